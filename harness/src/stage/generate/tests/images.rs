//! The reconstruction pipeline on the model with a closed form.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ndarray::{Array4, Axis};
use ndarray_npy::NpzWriter;

use crate::exit::{Exit, Exits};
use crate::experiment::{Experiment, Plan};
use crate::model::onnx::RuntimeOptions;
use crate::plan::{NoiseLevel, Shard};
use crate::protocol::Evidence;
use crate::protocol::reconstruction::CHANCE;
use crate::protocol::reconstruction::audit::Rung;
use crate::sampler::StepPoint;
use crate::schedule::{NoiseSchedule, TimestepGrid};
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::evaluate::{RunEvidence, evaluate};
use crate::stage::features::features;
use crate::stage::generate::generate;
use crate::stage::generate::starts::noised_at;
use crate::stage::open::{inputs, models};
use crate::stage::run::status;
use crate::stage::settings::GenerateOptions;
use crate::stage::tests::one_extractor;
use crate::stage::verify::{Networks, verify};
use crate::stage::{Run, Silent, StageError, Stop};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::publish;
use crate::store::records::{MetricRow, Span};
use crate::units::{BlockId, StepIndex, Timestep};

pub(super) const TINY: &str = include_str!("../../../experiment/tiny_reconstruction.yaml");

pub(super) struct Bench {
    folder: tempfile::TempDir,
    experiment: Experiment,
    plan: Plan,
}

/// `n` images of 8 x 8 with a bright square each, `[n, h, w, 3]`.
pub(super) fn images(n: usize, side: usize) -> Array4<u8> {
    Array4::from_shape_fn((n, side, side, 3), |(i, y, x, c)| {
        let inside = (2..5).contains(&y) && (1 + i % 3..5 + i % 3).contains(&x);
        u8::try_from(60 + 20 * c + 7 * ((x * y + i) % 5) + if inside { 100 } else { 0 }).unwrap()
    })
}

pub(super) fn folder_with(images: &Array4<u8>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(std::io::Cursor::new(&mut bytes));
    npz.add_array("arr_0", images).unwrap();
    npz.finish().unwrap();
    publish(&folder.path().join("images.npz"), &bytes).unwrap();
    folder
}

pub(super) fn planned(
    folder: &tempfile::TempDir,
    text: &str,
) -> Result<(Experiment, Plan), StageError> {
    let experiment = Experiment::parse(&folder.path().join("tiny.yaml"), text)?;
    let plan = inputs::plan(&experiment, "smoke")?;
    Ok((experiment, plan))
}

impl Bench {
    fn new() -> Self {
        Self::edited(|text| text)
    }

    fn edited(edit: impl FnOnce(String) -> String) -> Self {
        Self::in_folder(folder_with(&images(8, 8)), &edit(TINY.to_owned()))
    }

    pub(super) fn in_folder(folder: tempfile::TempDir, text: &str) -> Self {
        let (experiment, plan) = planned(&folder, text).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, experiment, plan }
    }

    pub(super) fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(batch: usize) -> GenerateOptions {
        let batch_size = NonZeroUsize::new(batch).unwrap();
        GenerateOptions {
            batch_size,
            networks: NonZeroUsize::MIN,
            turns: NonZeroUsize::MIN,
            threads: 1,
            step_graphs: crate::model::onnx::StepGraphs::Off,
        }
    }

    fn generate(&self, run: &Run<'_>, batch: usize) -> Result<(), StageError> {
        generate(run, Self::options(batch), &mut || {
            models::open_model(&self.experiment, &self.plan, &RuntimeOptions::default())
        })
        .map(drop)
    }

    pub(super) fn run<'a>(&'a self, name: &str, shard: Shard, stop: &'a Stop) -> Run<'a> {
        Run::open(&self.plan, &self.work(name), shard, (stop, &Silent)).unwrap()
    }

    pub(super) fn all(&self, name: &str, batch: usize) -> Result<Evaluation, StageError> {
        let stop = Stop::default();
        let run = self.run(name, Shard::whole(), &stop);
        self.generate(&run, batch)?;
        evaluate(&run, &self.experiment)
    }
}

/// The row of a method and metric, what it is of behind a `:`.
pub(super) fn row<'a>(
    rows: &'a [MetricRow],
    arm: &str,
    key: [&str; 2],
    side: &str,
) -> &'a MetricRow {
    let [method, metric] = key;
    let (metric, argument) = metric.split_once(':').unwrap_or((metric, ""));
    rows.iter()
        .find(|row| {
            row.arm == arm
                && row.method == method
                && row.metric == metric
                && row.argument.as_deref().unwrap_or("") == argument
                && row.side.as_deref().unwrap_or("") == side
        })
        .unwrap_or_else(|| panic!("{arm} {key:?} {side}"))
}

#[test]
fn noise_levels_are_those_of_the_protocol() {
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    let grid = TimestepGrid::leading(1000, 50, 0).unwrap();
    let t = grid.timestep(StepIndex(25));
    let start = StepPoint::new(StepIndex(25), schedule.at(t));
    // alpha_bar of the linear schedule at t = 480, 500 and 25, in double precision.
    for (noise, t, alpha_bar) in [
        (NoiseLevel::Match, 480, 0.094_869),
        (NoiseLevel::HalfT, 500, 0.077_797),
        (NoiseLevel::AuthorsCode, 25, 0.990_965),
    ] {
        let point = noised_at(noise, start, &schedule, 50).unwrap();
        assert_eq!((point.t, point.index), (f64::from(t), StepIndex(25)));
        let got = point.level.a2();
        assert!((got - alpha_bar).abs() < 1e-6, "{noise:?} {got}");
    }
}

#[test]
fn every_number_of_the_table_is_there_and_a_second_run_finds_it() {
    let bench = Bench::new();
    let first = bench.all("work", 4).unwrap();
    let rows = &first.numbers.rows;
    let rmse = row(rows, "corrected", ["reconstruction", "rmse"], "");
    assert_eq!((rmse.n, rmse.nfe_trajectory), (Some(8), Some(10)));
    assert!(rmse.value.unwrap() > 1.0 && rmse.se.unwrap() > 0.0);
    for method in ["sample_var", "mc_dropout", "estimate_shift", "local_variance"] {
        for side in ["as_is", "inverted"] {
            for metric in ["ause", "aurg", "ause:pooled", "aurg:pooled", "ause:pixel", "aurg:pixel"]
            {
                let row = row(rows, "corrected", [method, metric], side);
                assert!(row.value.unwrap().is_finite() && row.se.unwrap() >= 0.0);
                assert_eq!(row.n, Some(8));
            }
        }
    }
    // Ten executed steps of three draws; of them t = 50 alone lies between 20 and 80.
    let whole = row(rows, "corrected", ["sample_var", "aurg"], "as_is");
    let late = row(rows, "corrected", ["sample_var", "aurg:late"], "as_is");
    assert_eq!((whole.nfe_estimator, late.nfe_estimator), (Some(30), Some(3)));
    assert!(row(rows, "corrected", ["oracle", "ause"], "as_is").value.unwrap().abs() < 1e-12);
    let gain = row(rows, "corrected", ["sample_var", "aurg_gain:local_variance"], "as_is");
    let other = row(rows, "corrected", ["local_variance", "aurg"], "as_is").value.unwrap();
    assert!((gain.value.unwrap() - (whole.value.unwrap() - other)).abs() < 1e-12);
    assert_eq!(row(rows, "half_t", ["reconstruction", "rmse"], "").n, Some(4));
    for method in ["centered", "mc_dropout", CHANCE] {
        for rung in Rung::ALL {
            row(rows, "authors_code", [method, "aurg:audit"], rung.as_str());
        }
    }
    let second = bench.all("work", 4).unwrap();
    assert!(second.found);
    assert_eq!(Evaluation { found: false, ..second }, first);
}

#[test]
fn batch_shards_and_a_stop_change_no_digit() {
    let bench = Bench::new();
    let expected = bench.all("whole", 4).unwrap();
    for batch in [1, 3] {
        let got = bench.all(&format!("batch-{batch}"), batch).unwrap();
        assert_eq!(
            (got.digest, got.numbers.scores),
            (expected.digest.clone(), expected.numbers.scores.clone())
        );
    }
    let stop = Stop::default();
    for shard in ["1/2", "0/2"] {
        let run = bench.run("shards", Shard::parse(shard).unwrap(), &stop);
        bench.generate(&run, 2).unwrap();
    }
    let run = bench.run("shards", Shard::whole(), &stop);
    assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest);
    let stopped = Stop::default();
    stopped.request();
    let run = bench.run("stopped", Shard::whole(), &stopped);
    assert_eq!(bench.generate(&run, 4).unwrap_err().exit(), Exit::Interrupted);
    drop(run);
    assert_eq!(bench.all("stopped", 4).unwrap().digest, expected.digest);
}

#[test]
fn a_reconstruction_has_no_features_and_can_be_verified() {
    let bench = Bench::new();
    let digest = bench.all("work", 4).unwrap().digest;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    assert_eq!(status(&bench.plan, &run.layout).len(), 1);
    let none = features(&run, one_extractor(1), &mut || panic!("no network is opened"));
    assert_eq!(none.unwrap().n_blocks, 0);
    let networks = Networks {
        model: &mut || {
            models::open_model(&bench.experiment, &bench.plan, &RuntimeOptions::default())
        },
        extractor: &mut || panic!("no network is opened"),
    };
    let verification = verify(&run, &bench.experiment, (2, Bench::options(3)), networks).unwrap();
    assert_eq!((verification.n_parts, verification.metrics_sha256), (4, digest));
}

/// The code's noise leaves the image almost as it is, but the network is told t = 450: `x0_hat` is blown up by
/// `1 / a_450 = 2.8` and clipped, so the reconstruction is far from the image it started next to.
#[test]
fn the_released_noise_level_makes_worse_reconstructions_of_cleaner_inputs() {
    let bench = Bench::new();
    let rows = bench.all("work", 4).unwrap().numbers.rows;
    let rmse = |arm: &str| row(&rows, arm, ["reconstruction", "rmse"], "").value.unwrap();
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    let noise_in_grey_levels = 127.5 * (1.0 - schedule.alpha_bar(Timestep(10))).sqrt();
    assert!(rmse("authors_code") > 2.0 * noise_in_grey_levels, "{}", rmse("authors_code"));
}

#[test]
fn the_shift_of_the_estimate_and_the_maps_are_kept_by_channel() {
    let bench = Bench::new();
    bench.all("work", 4).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let path = run.layout.part(StageName::Generate, BlockId(0));
    let part = part::read(&path, run.layout.stage_id(StageName::Generate), Parts::All).unwrap();
    let names: Vec<(&str, Span)> =
        part.scores.iter().map(|scores| (scores.method.as_str(), scores.span)).collect();
    let expected = [
        ("sample_var", Span::Window),
        ("sample_var", Span::Late),
        ("mc_dropout", Span::Window),
        ("mc_dropout", Span::Late),
        ("estimate_shift", Span::Window),
    ];
    assert_eq!(names, expected);
    for scores in &part.scores {
        for (map, score) in scores.map.as_ref().unwrap().iter().zip(&scores.score) {
            assert_eq!(map.dim(), (3, 8, 8));
            let sum: f64 = map.iter().map(|u| f64::from(*u)).sum();
            assert!((sum - score).abs() <= 1e-5 * score.abs(), "{}", scores.method);
        }
    }
}

#[test]
fn the_report_has_curves_maps_and_the_audit() {
    let bench = Bench::new();
    let numbers = bench.all("work", 4).unwrap().numbers;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let original = images(8, 8);
    let first = original.index_axis(Axis(0), 0).permuted_axes([2, 0, 1]).to_owned();
    let truth = evidence.truth(6).unwrap();
    assert_eq!(truth.row(0).to_vec(), first.iter().copied().collect::<Vec<u8>>());
    let files = bench.plan.protocol.report(&mut evidence, &numbers).unwrap();
    for name in [
        "table.md",
        "table.tex",
        "plots/sparsification.svg",
        "plots/error-and-uncertainty.png",
        "plots/audit.svg",
    ] {
        assert!(files.iter().any(|file| file.name == name), "{name}");
    }
    let table = String::from_utf8(files[0].bytes.clone()).unwrap();
    for part in [
        "Audit",
        "as released",
        "Paired differences",
        "arm `half_t`, sampler `ddim-20`",
        "MC-Dropout",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
}

#[test]
fn without_dropout_the_method_is_a_dash_with_its_reason() {
    let bench = Bench::edited(|text| text.replace("  dropout: true\n", ""));
    let rows = bench.all("work", 4).unwrap().numbers.rows;
    let dash = row(&rows, "corrected", ["mc_dropout", "aurg"], "as_is");
    assert_eq!(dash.value, None);
    assert!(dash.reason.as_deref().unwrap().contains("Dropout"));
    assert!(rows.iter().all(|row| row.method != "mc_dropout" || row.value.is_none()));
}

#[test]
fn images_that_do_not_fit_are_named_before_any_number() {
    let few = folder_with(&images(5, 8));
    let error = planned(&few, TINY).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("has 5 images"), "{error}");
    let error = planned(&few, &TINY.replace("images.npz", "none.npz")).unwrap_err();
    assert!(error.to_string().contains("none.npz"), "{error}");
    let large = folder_with(&images(8, 9));
    let error = planned(&large, TINY).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("have 243 elements"), "{error}");
    let classes = TINY.replace("  dropout: true\n", "  classes: 3\n");
    let error = planned(&folder_with(&images(8, 8)), &classes).unwrap_err().to_string();
    assert!(error.contains("tells no classes") && error.contains("one of 3"), "{error}");
}
