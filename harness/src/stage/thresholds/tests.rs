//! Thresholds from set to mask, on the model with a closed form.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ndarray::Array4;

use super::take::{of_arm, path};
use super::*;
use crate::exit::{Exit, Exits};
use crate::experiment::{Experiment, Plan};
use crate::guidance::StepThresholds;
use crate::model::onnx::RuntimeOptions;
use crate::plan::ThresholdKind;
use crate::sampler::{ClipX0, Walk};
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::features::{OpenExtractor, features};
use crate::stage::generate::generate;
use crate::stage::open::models;
use crate::stage::tests::one_extractor;
use crate::stage::verify::{Networks, verify};
use crate::stage::{Silent, Stop, run as run_stage, tests};
use crate::store::digest::sha256_of_file;
use crate::store::sidecar::publish_sealed;
use crate::store::{publish, thresholds as files};

const TINY: &str = include_str!("../../experiment/tiny_thresholds.yaml");

struct Bench {
    folder: tempfile::TempDir,
    experiment: Experiment,
    plan: Plan,
}

impl Bench {
    fn new() -> Self {
        Self::of(TINY)
    }

    fn of(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tests::Bench { folder, experiment, plan } =
            tests::Bench::in_folder(folder, |_| text.to_owned());
        Self { folder, experiment, plan }
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

    fn open(&self) -> Result<OpenModel, StageError> {
        models::open_model(&self.experiment, &self.plan, &RuntimeOptions::default())
    }

    fn extractor(&self) -> Result<OpenExtractor, StageError> {
        models::open_extractor(&self.experiment, &self.plan, &RuntimeOptions::default())
    }

    fn run<'a>(&'a self, name: &str, shard: &str, stop: &'a Stop) -> Run<'a> {
        let work: PathBuf = self.folder.path().join(name);
        let shard = Shard::parse(shard).unwrap();
        Run::open(&self.plan, &work, shard, (stop, &Silent)).unwrap()
    }

    fn sets(&self, run: &Run<'_>, batch: usize) -> Result<StageSummary, StageError> {
        thresholds(run, Self::options(batch), &mut || self.open())
    }

    fn all(&self, run: &Run<'_>, batch: usize) -> Result<(), StageError> {
        self.sets(run, batch)?;
        generate(run, Self::options(batch), &mut || self.open())?;
        features(run, one_extractor(5), &mut || self.extractor()).map(drop)
    }

    fn numbers(&self, name: &str, batch: usize) -> Evaluation {
        let stop = Stop::default();
        let run = self.run(name, "0/1", &stop);
        self.all(&run, batch).unwrap();
        evaluate(&run, &self.experiment).unwrap()
    }

    /// Digests of everything that the stage has published, by file name.
    fn digests(&self, name: &str) -> Vec<(String, String)> {
        let stop = Stop::default();
        let run = self.run(name, "0/1", &stop);
        let stage_id = run.layout.stage_id(STAGE);
        let blocks = self.plan.set_blocks().into_iter().map(|set| {
            let path = run.layout.part(STAGE, set.block.id);
            let claimed = maps::claims(&path, stage_id).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), claimed)
        });
        let thresholds = self.plan.thresholds().into_iter().map(|thresholds| {
            let path = path(&run, &thresholds);
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, sha256_of_file(&path).unwrap())
        });
        blocks.chain(thresholds).collect()
    }
}

#[test]
fn batch_shards_stops_and_kills_change_no_bit() {
    let bench = Bench::new();
    let stop = Stop::default();
    let expected_numbers = bench.numbers("whole", 8).digest;
    let expected = bench.digests("whole");
    for batch in [1, 3, 64] {
        let name = format!("batch-{batch}");
        assert_eq!(bench.numbers(&name, batch).digest, expected_numbers);
        assert_eq!(bench.digests(&name), expected);
    }
    // One block a call; a part and a seal get lost on the way.
    let mut run = bench.run("killed", "0/1", &stop);
    run.limit = Some(1);
    for made in 1..=bench.plan.set_blocks().len() {
        let summary = bench.sets(&run, 5).unwrap();
        assert_eq!(summary.n_blocks - summary.n_left, made);
    }
    std::fs::remove_file(run.layout.part(STAGE, crate::units::BlockId(3))).unwrap();
    let thresholds = path(&run, &bench.plan.thresholds()[1]);
    std::fs::remove_file(sidecar_of(&thresholds)).unwrap();
    assert_eq!(bench.sets(&run, 5).unwrap().n_found, 7);
    assert_eq!(bench.digests("killed"), expected);
    assert!(sidecar_of(&thresholds).exists());
    drop(run);
    // The last shard finds everything made.
    for shard in ["2/3", "0/3", "1/3"] {
        bench.all(&bench.run("shards", shard, &stop), 3).unwrap();
    }
    let run = bench.run("shards", "0/1", &stop);
    assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected_numbers);
    assert_eq!(bench.digests("shards"), expected);
}

fn sidecar_of(path: &Path) -> PathBuf {
    crate::store::sidecar::sidecar_path(path)
}

#[test]
fn shards_at_the_same_time_share_a_set() {
    let bench = Bench::new();
    let expected = {
        let stop = Stop::default();
        bench.sets(&bench.run("whole", "0/1", &stop), 8).unwrap();
        bench.digests("whole")
    };
    std::thread::scope(|scope| {
        for shard in ["0/3", "1/3", "2/3"] {
            let bench = &bench;
            scope.spawn(move || {
                let stop = Stop::default();
                bench.all(&bench.run("together", shard, &stop), 8).unwrap();
            });
        }
    });
    assert_eq!(bench.digests("together"), expected);
}

#[test]
fn a_shard_makes_its_own_blocks_first() {
    let blocks: Vec<Block> = Bench::new().plan.set_blocks().into_iter().map(|b| b.block).collect();
    let order = |shard: &str| -> Vec<u64> {
        let ordered = own_first(blocks.clone(), Shard::parse(shard).unwrap());
        ordered.into_iter().map(|block| block.id.0).collect()
    };
    assert_eq!(order("0/1"), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(order("0/2"), [0, 2, 4, 6, 1, 3, 5, 7]);
    assert_eq!(order("1/2"), [1, 3, 5, 7, 4, 6, 0, 2]);
}

/// The maps of the set, read back whole, give the thresholds by sorting: not the selection that made them.
#[test]
fn thresholds_are_the_order_statistics_of_the_set() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", "0/1", &stop);
    bench.sets(&run, 8).unwrap();
    for thresholds in bench.plan.thresholds() {
        let sets = bench.plan.set_blocks();
        let file = files::read(&path(&run, &thresholds)).unwrap();
        for step in 0..5 {
            let mut maps: Vec<Array4<f32>> = Vec::new();
            for block in sets.iter().filter(|block| block.set == thresholds.set) {
                let part = run.layout.part(STAGE, block.block.id);
                maps.push(maps::read_step(&part, run.layout.stage_id(STAGE), step).unwrap());
            }
            match &file.values {
                files::ThresholdValues::Pixel(values) => {
                    let at = [1, 4, 2];
                    let mut column: Vec<f32> = maps
                        .iter()
                        .flat_map(|maps| maps.outer_iter().map(|m| m[at]).collect::<Vec<_>>())
                        .collect();
                    column.sort_by(f32::total_cmp);
                    // int(20 * 0.95) = 19; int(20 * 0.9) = 18.
                    let expected = if thresholds.percentile > 0.92 { 19 } else { 18 };
                    assert_eq!(column.len(), 20);
                    assert_eq!(values[[step, 1, 4, 2]].to_bits(), column[expected].to_bits());
                }
                files::ThresholdValues::Scalar(values) => {
                    let mut all: Vec<f64> = maps.iter().flatten().map(|u| f64::from(*u)).collect();
                    all.sort_by(f64::total_cmp);
                    let place = 0.95 * (all.len() - 1) as f64;
                    let low = all.iter().take_while(|u| **u <= values[step]).count() - 1;
                    assert_eq!(low as f64, place.floor());
                    let expected = all[low] + (all[low + 1] - all[low]) * (place - low as f64);
                    assert!((values[step] - expected).abs() < 1e-12);
                }
            }
        }
    }
}

/// A network that answers `epsilon_hat` linearly in `x_hat` has `e_m - mean e` proportional to the noise, so the threshold of
/// a step is a quantile of a chi-square variable. Here it is of the variance of 3 draws, `sigma^2` times half a variable of 2
/// degrees of freedom, whose 0.95-quantile is `-sigma^2 ln 0.05`, with `sigma = s_t g_t` and `g_t = s_t / (a_t^2 std^2 + s_t^2)`
/// the slope of a Gaussian's `epsilon`.
#[test]
fn the_scalar_threshold_of_a_gaussian_is_its_chi_square_quantile() {
    let text = TINY.replace("n_threshold_images: 20", "n_threshold_images: 400");
    let bench = Bench::of(&text);
    let stop = Stop::default();
    let run = bench.run("work", "0/1", &stop);
    bench.sets(&run, 64).unwrap();
    let thresholds = bench.plan.thresholds();
    let scalar =
        thresholds.iter().find(|t| t.kind == ThresholdKind::DatasetScalar && t.set.n_draws == 3);
    let file = files::read(&path(&run, scalar.unwrap())).unwrap();
    let files::ThresholdValues::Scalar(values) = file.values else { panic!("one a step") };
    let model = bench.open().unwrap();
    let spec = model.denoiser.spec().clone();
    let walk =
        Walk { schedule: &model.schedule, clips: ClipX0::of_model(&spec), seed: 0, samples: &[] };
    let sampler = bench.plan.arms[0].sampler.build(&walk).unwrap();
    for (step, value) in (0..5).zip(values) {
        let point = sampler.point(crate::units::StepIndex(step));
        let (a, s) = (point.a(), point.s());
        let sigma = s * s / (a * a * 0.25 + s * s);
        let expected = -sigma * sigma * 0.05_f64.ln();
        // 76,800 elements: the standard error of this quantile is 0.5 % of it.
        let ratio = value / expected;
        assert!((ratio - 1.0).abs() < 0.02, "step {step}: {value}, expected {expected}");
    }
}

#[test]
fn thresholds_of_something_else_are_refused_by_the_field_that_differs() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", "0/1", &stop);
    bench.sets(&run, 8).unwrap();
    let arm = &bench.plan.arms[1];
    let path = path(&run, &arm.thresholds().unwrap());
    assert!(matches!(of_arm(&run, arm, [3, 8, 8]), Ok(Some(StepThresholds::Pixel(_)))));
    let refusal = |shape| of_arm(&run, arm, shape).unwrap_err();
    assert!(refusal([3, 16, 16]).to_string().contains("shape is [3, 8, 8], expected [3, 16, 16]"));
    let good = files::read(&path).unwrap();
    let cases = [
        ("n_steps", "20"),
        ("model", "another"),
        ("sampler", "{}"),
        ("n_draws", "20"),
        ("n_images", "3000"),
        ("percentile", "0.99"),
        ("statistic", "centered"),
        ("seed", "1"),
        ("sha256 of closed form", "0"),
    ];
    for (field, value) in cases {
        let mut file = good.clone();
        file.facts.insert(field.to_owned(), value.to_owned());
        let id = bench.plan.threshold_id(&arm.thresholds().unwrap());
        let bytes = files::to_bytes(&path, &file, &id, &Provenance::new("none", "cpu")).unwrap();
        publish_sealed(&path, &bytes).unwrap();
        let error = refusal([3, 8, 8]);
        assert_eq!(error.exit(), Exit::Input, "{error}");
        assert!(error.to_string().contains(&format!("{field} is {value}, expected")), "{error}");
        let error = generate(&run, Bench::options(8), &mut || bench.open()).unwrap_err();
        assert_eq!(error.exit(), Exit::Input, "{error}");
    }
}

#[test]
fn guided_blocks_wait_for_their_thresholds() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", "0/1", &stop);
    let error = generate(&run, Bench::options(8), &mut || bench.open()).unwrap_err();
    assert_eq!(error.exit(), Exit::Incomplete);
    assert!(error.to_string().contains("run `dubench thresholds`"), "{error}");
    let status = run_stage::status(&bench.plan, &run.layout);
    let lines: Vec<(&str, u64, u64)> =
        status.iter().map(|stage| (stage.stage, stage.n_blocks, stage.n_present)).collect();
    assert_eq!(lines, [("thresholds", 8, 0), ("generate", 7, 0), ("features", 7, 0)]);
}

#[test]
fn verify_makes_sets_and_thresholds_again_and_finds_a_flipped_bit() {
    let bench = Bench::new();
    bench.numbers("work", 8);
    let stop = Stop::default();
    let run = bench.run("work", "0/1", &stop);
    let check = || {
        let networks =
            Networks { model: &mut || bench.open(), extractor: &mut || bench.extractor() };
        verify(&run, &bench.experiment, (2, Bench::options(3)), networks)
    };
    let verified = check().unwrap();
    assert_eq!((verified.n_parts, verified.recomputed_sets.len()), (2 * 7 + 8 + 4, 2));
    for path in
        [run.layout.part(STAGE, crate::units::BlockId(5)), path(&run, &bench.plan.thresholds()[0])]
    {
        let good = std::fs::read(&path).unwrap();
        let mut bytes = good.clone();
        bytes[good.len() / 3] ^= 4;
        publish(&path, &bytes).unwrap();
        assert_eq!(check().unwrap_err().exit(), Exit::Integrity);
        assert_eq!(bench.sets(&run, 8).unwrap_err().exit(), Exit::Integrity);
        publish(&path, &good).unwrap();
    }
    check().unwrap();
}

#[test]
fn masks_of_a_set_move_predictions_and_no_evaluated_start_is_in_the_set() {
    let bench = Bench::new();
    let numbers = bench.numbers("work", 8);
    let moved = |arm: &str| {
        let row = numbers
            .numbers
            .rows
            .iter()
            .find(|row| row.arm == arm && row.metric == crate::guidance::DISPLACEMENT);
        row.unwrap().value.unwrap()
    };
    assert!(moved("posterior") > 0.0 && moved("second_order") > 0.0);
    let evaluated = 0..bench.plan.n_images();
    assert!(
        bench.plan.set_blocks().iter().all(|set| !evaluated.contains(&set.block.samples.start))
    );
}
