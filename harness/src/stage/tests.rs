//! All stages on the model with a closed form: whatever happens in between, the digits are the same.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, Array4, ArrayView4};
use ndarray_npy::NpzWriter;

use super::build::OpenModel;
use super::evaluate::{Evaluation, evaluate};
use super::features::features;
use super::generate::{GenerateOptions, generate};
use super::report::report_input;
use super::run::{self, status};
use super::verify::{Networks, verify};
use super::{Progress, Run, Sharing, Silent, StageError, Stop, inputs, models};
use crate::config::Experiment;
use crate::exit::{Exit, Exits};
use crate::model::onnx::{RuntimeOptions, SelfTestReport};
use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::plan::{Plan, PlanOptions, Shard};
use crate::report::input::RankEnd;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::sidecar::sidecar_path;
use crate::store::{Provenance, StoreError, publish};
use crate::units::BlockId;

const TINY: &str = include_str!("../plan/tiny.yaml");

/// An experiment in a folder of its own, with a reference of twelve independent pixel means.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) experiment: Experiment,
    pub(super) plan: Plan,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::edited(|text| text)
    }

    pub(super) fn edited(edit: impl FnOnce(String) -> String) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), edit)
    }

    pub(super) fn in_folder(
        folder: tempfile::TempDir,
        edit: impl FnOnce(String) -> String,
    ) -> Self {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(std::io::Cursor::new(&mut bytes));
        npz.add_array("mu", &Array1::from_elem(12, 0.55)).unwrap();
        npz.add_array("sigma", &(Array2::<f64>::eye(12) * 0.004)).unwrap();
        npz.add_array("n", &ndarray::arr0(1000_i64)).unwrap();
        npz.finish().unwrap();
        publish(&folder.path().join("reference.npz"), &bytes).unwrap();
        let path = folder.path().join("tiny.yaml");
        let experiment = Experiment::parse(&path, &edit(TINY.to_owned())).unwrap();
        let plan = inputs::plan(&experiment, "smoke", PlanOptions::default()).unwrap();
        Self { folder, experiment, plan }
    }

    pub(super) fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn open(&self) -> Result<OpenModel, StageError> {
        models::open_model(&self.experiment, "smoke", &RuntimeOptions::default())
    }

    fn generate(&self, run: &Run<'_>, batch: usize) -> Result<super::StageSummary, StageError> {
        generate(run, one_network(batch), &mut || self.open())
    }

    fn features(&self, run: &Run<'_>) -> Result<super::StageSummary, StageError> {
        self.features_by(run, 1)
    }

    fn features_by(&self, run: &Run<'_>, n: usize) -> Result<super::StageSummary, StageError> {
        let [batch_size, n] = [5, n].map(|n| NonZeroUsize::new(n).unwrap());
        features(run, (batch_size, n), &mut || {
            models::open_extractor(&self.experiment, &RuntimeOptions::default())
        })
    }

    /// All stages in the work folder `name`.
    pub(super) fn all(&self, name: &str, batch: usize) -> Result<Evaluation, StageError> {
        let stop = Stop::default();
        let work = self.work(name);
        let run = Run::open(&self.plan, &work, Shard::whole(), (&stop, &Silent))?;
        self.generate(&run, batch)?;
        self.features(&run)?;
        evaluate(&run, &self.experiment)
    }

    pub(super) fn run<'a>(&'a self, name: &str, shard: Shard, stop: &'a Stop) -> Run<'a> {
        Run::open(&self.plan, &self.work(name), shard, (stop, &Silent)).unwrap()
    }

    fn part(&self, name: &str, stage: StageName, block: u64) -> PathBuf {
        run::layout(&self.plan, &self.work(name)).part(stage, BlockId(block))
    }
}

pub(super) fn one_network(batch: usize) -> GenerateOptions {
    let batch_size = NonZeroUsize::new(batch).unwrap();
    GenerateOptions { batch_size, networks: NonZeroUsize::MIN, threads: 1 }
}

/// Asks for a stop when the n-th image is done.
struct StopAfter<'a>(&'a Stop, AtomicU64);

impl Progress for StopAfter<'_> {
    fn begin(&self, _stage: &str, _total: u64, _done: u64) {}

    fn advance(&self, n: u64) {
        let left = self.1.load(Ordering::SeqCst).saturating_sub(n);
        self.1.store(left, Ordering::SeqCst);
        if left == 0 {
            self.0.request();
        }
    }

    fn end(&self) {}
}

#[test]
fn every_row_of_the_table_is_there_and_a_second_run_finds_it() {
    let bench = Bench::new();
    let first = bench.all("work", 16).unwrap();
    assert!(!first.found);
    let value = |method: &str, metric: &str, direction: Option<&str>| {
        let row = first.rows.iter().find(|row| {
            row.method == method && row.metric == metric && row.direction.as_deref() == direction
        });
        row.unwrap_or_else(|| panic!("{method} {metric} {direction:?}")).clone()
    };
    assert_eq!(value("full", "fid", None).n, Some(48));
    let random = value("random", "fid", None);
    assert_eq!((random.n, random.n_reference), (Some(40), Some(1000)));
    for method in ["sample_var", "centered", "total_variation", "mean_squared_epsilon"] {
        for direction in ["keep_lowest", "keep_highest"] {
            let fid = value(method, "fid", Some(direction));
            assert!(fid.value.unwrap() > 0.0 && fid.se.unwrap() > 0.0);
            let delta = value(method, "delta_random", Some(direction));
            let difference = fid.value.unwrap() - random.value.unwrap();
            assert!((delta.value.unwrap() - difference).abs() < 1e-12);
            let p = value(method, "p_value", Some(direction)).value.unwrap();
            assert!(p > 0.0 && p <= 1.0);
            let significant = fid.verdict.as_deref() != Some("n.s.");
            assert_eq!(significant, p < 0.05, "{method} {direction} {p}");
        }
    }
    assert_eq!(value("sample_var", "fid", Some("keep_lowest")).nfe_estimator, Some(20));
    assert_eq!(value("sample_var", "fid", Some("keep_lowest")).nfe_trajectory, Some(50));
    assert_eq!(value("total_variation", "fid", Some("keep_lowest")).nfe_estimator, Some(0));
    assert!(value("centered", "spearman(sample_var)", None).value.is_some());
    let second = bench.all("work", 16).unwrap();
    assert!(second.found);
    assert_eq!(Evaluation { found: false, ..second }, first);
}

#[test]
fn batch_size_and_threads_change_no_digit() {
    let bench = Bench::edited(|text| {
        text.replace("std: 0.5\n", "std: 0.5\n  dropout: true\n  classes: 3\n")
            .replace("estimators:\n", "estimators:\n  - {kind: mc_dropout}\n")
    });
    let expected = bench.all("batch-16", 16).unwrap();
    for batch in [1, 7, 64] {
        let got = bench.all(&format!("batch-{batch}"), batch).unwrap();
        assert_eq!(got.digest, expected.digest, "batch {batch}");
        assert_eq!(got.scores, expected.scores);
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(|| bench.all(&format!("threads-{threads}"), 16)).unwrap();
        assert_eq!(got.digest, expected.digest, "{threads} threads");
    }
    for n in [2, 3, 9] {
        let stop = Stop::default();
        let run = bench.run(&format!("networks-{n}"), Shard::whole(), &stop);
        let options = GenerateOptions { networks: NonZeroUsize::new(n).unwrap(), ..one_network(7) };
        let summary = generate(&run, options, &mut || bench.open()).unwrap();
        assert_eq!(summary.n_networks, n.min(3));
        assert_eq!(bench.features_by(&run, n).unwrap().n_networks, n.min(3));
        let got = evaluate(&run, &bench.experiment).unwrap();
        assert_eq!(got.digest, expected.digest, "{n} networks");
    }
}

#[test]
fn shards_in_any_order_and_number_change_no_digit() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    for (name, shards) in [("two", vec!["1/2", "0/2"]), ("mixed", vec!["2/3", "0/2", "1/2", "0/3"])]
    {
        let stop = Stop::default();
        for shard in shards {
            let run = bench.run(name, Shard::parse(shard).unwrap(), &stop);
            bench.generate(&run, 8).unwrap();
            bench.features(&run).unwrap();
        }
        let run = bench.run(name, Shard::whole(), &stop);
        assert_eq!(evaluate(&run, &bench.experiment).unwrap().digest, expected.digest, "{name}");
    }
}

#[test]
fn a_stop_loses_the_block_in_hand_and_resume_gives_the_same_digits() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    for stop_after in [1, 16, 20, 33] {
        let name = format!("stopped-{stop_after}");
        let stop = Stop::default();
        let listener = StopAfter(&stop, AtomicU64::new(stop_after));
        let work = bench.work(&name);
        let run = Run::open(&bench.plan, &work, Shard::whole(), (&stop, &listener)).unwrap();
        let error = bench.generate(&run, 4).unwrap_err();
        assert_eq!(error.exit(), Exit::Interrupted, "{error}");
        let done = status(&bench.plan, &run.layout)[0].n_present;
        assert_eq!(done, (stop_after.next_multiple_of(4)) / 16, "{error}");
        drop(run);
        let resumed = bench.all(&name, 16).unwrap();
        assert_eq!(resumed.digest, expected.digest);
    }
}

#[test]
fn what_a_killed_process_leaves_behind_is_made_good() {
    let bench = Bench::new();
    let expected = bench.all("whole", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("killed", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    // Killed between a part and its hash, in the middle of a part, and after a hash without a part.
    std::fs::remove_file(sidecar_path(&bench.part("killed", StageName::Generate, 0))).unwrap();
    let half = run
        .layout
        .stage_folder(StageName::Generate)
        .join(".block-000001.parquet.0123456789abcdef.tmp");
    publish(&half, b"PAR1 half").unwrap();
    std::fs::remove_file(bench.part("killed", StageName::Generate, 2)).unwrap();
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_images), (3, 2, 16));
    assert!(sidecar_path(&bench.part("killed", StageName::Generate, 0)).exists());
    drop(run);
    assert_eq!(bench.all("killed", 16).unwrap().digest, expected.digest);
}

#[test]
fn flipped_bits_in_any_part_are_never_a_number() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    for stage in [StageName::Generate, StageName::Features] {
        let path = bench.part("work", stage, 1);
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 11) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            publish(&path, &flipped).unwrap();
            let error = bench.all("work", 16).unwrap_err();
            assert_eq!(error.exit(), Exit::Integrity, "byte {at}: {error}");
            assert!(error.to_string().contains("block-000001.parquet"), "{error}");
        }
        publish(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(bench.all("work", 16).unwrap_err().exit(), Exit::Integrity);
        publish(&path, &bytes).unwrap();
    }
    assert!(bench.all("work", 16).unwrap().found);
}

#[test]
fn features_follow_the_images_that_are_there() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let mut part = part::read(&path, &stage_id, Parts::All).unwrap();
    part.images[[0, 0, 0, 0]] ^= 1;
    let provenance = Provenance::new("closed form", "cpu");
    let other = part::to_bytes(&path, &part, &stage_id, &provenance).unwrap();
    publish(&path, &other).unwrap();
    crate::store::sidecar::seal(&path, &other).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().contains("images sha256"), "{error}");
    std::fs::remove_file(bench.part("work", StageName::Features, 1)).unwrap();
    bench.features(&run).unwrap();
    assert!(!evaluate(&run, &bench.experiment).unwrap().found);
}

#[test]
fn an_unsealed_part_is_taken_only_for_what_was_written() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let expected = part::read(&path, &stage_id, Parts::All).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let block = bench.plan.blocks().nth(1).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 16;
        let _ = std::fs::remove_file(sidecar_path(&path));
        publish(&path, &flipped).unwrap();
        match super::generate::is_done(&run, &block) {
            Err(_) => refused += 1,
            // A bit that carries nothing: statistics of a column, an unread field of the footer.
            Ok(done) => {
                let got = part::read(&path, &stage_id, Parts::All).unwrap();
                assert!(done && part::content_digest(&got) == part::content_digest(&expected));
            }
        }
    }
    assert!(refused > 100, "{refused} of 150 flips were refused");
}

#[test]
fn the_loser_of_a_race_compares_digests() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    bench.generate(&run, 16).unwrap();
    let path = bench.part("work", StageName::Generate, 0);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let part = part::read(&path, &stage_id, Parts::All).unwrap();
    let put = |part: &crate::store::records::ImagePart| {
        let provenance = Provenance::new("closed form", "cpu");
        let bytes = part::to_bytes(&path, part, &stage_id, &provenance).unwrap();
        let digest = part::content_digest(part);
        let id = stage_id.clone();
        let checks = super::shelf::Checks {
            claimed: Box::new(move |path| Ok(part::claims(path, &id)?.content_sha256)),
            actual: Box::new(|_| panic!("the part is sealed")),
        };
        super::shelf::put(&path, &bytes, &digest, &checks)
    };
    let mut slower = part.clone();
    slower.seconds *= 2.0;
    put(&slower).unwrap();
    let mut other = part;
    other.scores[0].score[3] *= 1.0 + 1e-15;
    let error = put(&other).unwrap_err();
    assert!(matches!(error, StoreError::Disagreement { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Integrity);
}

#[test]
fn missing_blocks_are_listed_and_nothing_is_evaluated() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert_eq!(error.exit(), Exit::Incomplete);
    assert!(error.to_string().starts_with("3 of 3 blocks of generate are missing: 0-2"), "{error}");
    bench.generate(&run, 16).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().starts_with("3 of 3 blocks of features are missing"), "{error}");
    bench.features(&run).unwrap();
    evaluate(&run, &bench.experiment).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    std::fs::remove_file(&path).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().starts_with("1 of 3 blocks of generate are missing: 1"), "{error}");
    assert_eq!(bench.features(&run).unwrap_err().exit(), Exit::Incomplete);
}

#[test]
fn parts_of_another_plan_are_refused() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let other = Bench::edited(|text| text.replace("seed: 7", "seed: 8"));
    let stop = Stop::default();
    let run = other.run("work", Shard::whole(), &stop);
    let target = other.part("work", StageName::Generate, 0);
    let source = bench.part("work", StageName::Generate, 0);
    std::fs::copy(sidecar_path(&source), sidecar_path(&target)).unwrap();
    std::fs::copy(source, target).unwrap();
    let error = other.generate(&run, 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Input, "{error}");
    assert!(error.to_string().contains("another plan"), "{error}");
}

#[test]
fn features_of_other_images_are_refused() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let path = bench.part("work", StageName::Features, 0);
    let id = run.layout.stage_id(StageName::Features).to_owned();
    let mut part = crate::store::features::read(&path, &id).unwrap();
    part.images_sha256 = "0".repeat(64);
    let provenance = Provenance::new("none", "cpu");
    let bytes = crate::store::features::to_bytes(&path, &part, &id, &provenance).unwrap();
    publish(&path, &bytes).unwrap();
    crate::store::sidecar::seal(&path, &bytes).unwrap();
    let error = bench.features(&run).unwrap_err();
    assert_eq!(error.exit(), Exit::Input, "{error}");
    assert!(error.to_string().contains("images sha256"), "{error}");
}

#[test]
fn two_processes_on_the_whole_plan_are_told_and_shards_may_overlap() {
    let bench = Bench::new();
    let stop = Stop::default();
    let first = bench.run("work", Shard::whole(), &stop);
    let _held = first.lock(StageName::Generate).unwrap();
    let error = bench.generate(&bench.run("work", Shard::whole(), &stop), 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Resources, "{error}");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let worker = || {
            let mut run = bench.run("work", Shard::whole(), &stop);
            run.sharing = Sharing::Allow;
            bench.generate(&run, 3).map(|_| ())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// Answers with a NaN at one call.
struct Faulty {
    inner: Box<dyn Denoiser>,
    calls_left: u32,
}

impl Denoiser for Faulty {
    fn spec(&self) -> &DenoiserSpec {
        self.inner.spec()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let mut out = self.inner.epsilon(input)?;
        self.calls_left = self.calls_left.wrapping_sub(1);
        if self.calls_left == 0 {
            out[[1, 0, 0, 0]] = f32::NAN;
        }
        Ok(out)
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        self.inner.epsilon_dropout(input, masks, p)
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        self.inner.epsilon_vjp(input, cotangent)
    }
}

#[test]
fn a_nan_fails_its_block_alone_and_no_metric_is_computed_over_the_rest() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let error = generate(&run, one_network(16), &mut || {
        let mut model = bench.open()?;
        model.denoiser = Box::new(Faulty { inner: model.denoiser, calls_left: 100 });
        Ok(model)
    })
    .unwrap_err();
    assert_eq!(error.exit(), Exit::Gate, "{error}");
    let StageError::NotFinite { failed, .. } = &error else { panic!("{error}") };
    let status = &status(&bench.plan, &run.layout)[0];
    assert_eq!((status.n_present, &status.failed), (2, failed));
    assert_eq!(evaluate(&run, &bench.experiment).unwrap_err().exit(), Exit::Incomplete);
    // The next run, with a sound model, goes on.
    bench.generate(&run, 16).unwrap();
    assert!(super::run::status(&bench.plan, &run.layout)[0].failed.is_empty());
}

#[test]
fn a_method_that_the_model_cannot_serve_is_a_dash_with_its_reason() {
    let bench = Bench::edited(|text| {
        text.replace("estimators:\n", "estimators:\n  - {kind: mc_dropout}\n")
    });
    let evaluation = bench.all("work", 16).unwrap();
    let rows: Vec<_> = evaluation.rows.iter().filter(|row| row.method == "mc_dropout").collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].value, None);
    let reason = rows[0].reason.as_deref().unwrap();
    assert!(reason.starts_with("not applicable: ") && reason.contains("Dropout"), "{reason}");
}

#[test]
fn published_numbers_are_joined_by_key_and_a_wrong_key_is_refused() {
    let published = "published: {file: table.yaml, network: net, dataset: toy, sampler: DDIM}\n";
    let bench = Bench::edited(|text| {
        text.replace("artefact: none\n", &format!("artefact: none\n{published}"))
    });
    let table = "artefact: none\nsource: s\ntitle: t\nbetter: {fid: lower}\nmethods: []\ncaveats: []\n\
                 settings:\n  - {network: net, dataset: toy, sampler: DDIM, values: {fid: {random: 2.5, sample_var: 1.5, centered: null}}}\n";
    let path = bench.folder.path().join("table.yaml");
    publish(&path, table.as_bytes()).unwrap();
    let rows = bench.all("work", 16).unwrap().rows;
    let paper = |method: &str, direction: Option<&str>| {
        let row = rows.iter().find(|row| {
            row.method == method && row.metric == "fid" && row.direction.as_deref() == direction
        });
        row.unwrap().paper_value
    };
    assert_eq!(paper("random", None), Some(2.5));
    assert_eq!(paper("sample_var", Some("keep_lowest")), Some(1.5));
    assert_eq!(paper("sample_var", Some("keep_highest")), None);
    assert_eq!(paper("centered", Some("keep_lowest")), None);
    publish(&path, table.replace("network: net", "network: other").as_bytes()).unwrap();
    let error = bench.all("again", 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(
        error.to_string().contains("net / toy / DDIM; there are other / toy / DDIM"),
        "{error}"
    );
}

#[test]
fn a_gate_outside_its_band_ends_with_its_own_code_after_writing() {
    let gate = "gates: [{scale: smoke, method: full, metric: fid, min: 100, max: 101}]\nscales:";
    let bench = Bench::edited(|text| text.replace("scales:", gate));
    let error = bench.all("work", 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Gate);
    assert!(error.to_string().contains("accepted 100..=101"), "{error}");
    assert_eq!(bench.all("work", 16).unwrap_err().exit(), Exit::Gate);
}

#[test]
fn a_report_shows_both_ends_of_every_ranking_with_its_maps() {
    let bench = Bench::new();
    bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let input = report_input(&run, &bench.experiment).unwrap();
    let of = |method: &str, end: RankEnd| -> Vec<_> {
        input.exhibits.iter().filter(|e| e.method == method && e.end == end).collect()
    };
    for method in ["sample_var", "total_variation"] {
        let (low, high) = (of(method, RankEnd::MostCertain), of(method, RankEnd::LeastCertain));
        assert_eq!((low.len(), high.len()), (8, 8));
        assert!(low.windows(2).all(|pair| pair[0].score <= pair[1].score));
        assert!(high.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert!(low[7].score <= high[7].score);
    }
    let shown = of("sample_var", RankEnd::LeastCertain)[0];
    let sum: f64 = shown.map.as_ref().unwrap().iter().map(|value| f64::from(*value)).sum();
    assert!((sum / shown.score - 1.0).abs() < 1e-5, "{sum} {}", shown.score);
    assert!(of("total_variation", RankEnd::MostCertain)[0].map.is_none());
    assert!(input.remarks[0].contains("48 images, 40 kept"), "{:?}", input.remarks);
}

#[test]
fn verification_recomputes_blocks_and_numbers_and_finds_what_was_exchanged() {
    let bench = Bench::new();
    let digest = bench.all("work", 16).unwrap().digest;
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let verify = |n| {
        let mut extractor =
            || models::open_extractor(&bench.experiment, &RuntimeOptions::default());
        let networks = Networks { model: &mut || bench.open(), extractor: &mut extractor };
        verify(&run, &bench.experiment, (n, one_network(7)), networks)
    };
    let verification = verify(2).unwrap();
    assert_eq!((verification.n_parts, verification.recomputed.len()), (6, 2));
    assert_eq!(verification.metrics_sha256, digest);
    assert_eq!(verify(99).unwrap().recomputed, [0, 1, 2]);
    // A part with a sound hash and a sound digest, which no seed gives.
    let path = bench.part("work", StageName::Generate, 2);
    let stage_id = run.layout.stage_id(StageName::Generate).to_owned();
    let mut part = part::read(&path, &stage_id, Parts::All).unwrap();
    part.scores[0].score[0] *= 2.0;
    let provenance = Provenance::new("closed form", "cpu");
    let bytes = part::to_bytes(&path, &part, &stage_id, &provenance).unwrap();
    publish(&path, &bytes).unwrap();
    crate::store::sidecar::seal(&path, &bytes).unwrap();
    let error = verify(99).unwrap_err();
    assert_eq!(error.exit(), Exit::Integrity, "{error}");
    assert!(error.to_string().contains("block-000002"), "{error}");
    assert!(verify(0).unwrap_err().to_string().contains("metrics.parquet"));
}

#[test]
fn a_network_whose_rows_depend_on_their_batch_pins_the_batch_size() {
    let bench = Bench::new();
    let stop = Stop::default();
    let go = |name: &str, against_single: f32, batch: usize| {
        let mut run = bench.run(name, Shard::whole(), &stop);
        run.limit = Some(1);
        generate(&run, one_network(batch), &mut || {
            let report = SelfTestReport {
                n_rows: 5,
                largest: 1.0,
                against_single,
                against_reversed: 0.0,
                against_repeat: 0.0,
            };
            Ok(OpenModel { self_test: Some(report), ..bench.open()? })
        })
    };
    go("invariant", 0.0, 16).unwrap();
    go("invariant", 0.0, 7).unwrap();
    go("dependent", 1e-7, 16).unwrap();
    go("dependent", 1e-7, 16).unwrap();
    let error = go("dependent", 1e-7, 7).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("batch_size is 16"), "{error}");
}

#[test]
fn a_limit_leaves_blocks_for_another_time() {
    let bench = Bench::new();
    let stop = Stop::default();
    let mut run = bench.run("work", Shard::whole(), &stop);
    run.limit = Some(1);
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_left), (3, 0, 2));
    run.limit = None;
    let summary = bench.generate(&run, 16).unwrap();
    assert_eq!((summary.n_blocks, summary.n_found, summary.n_left), (3, 1, 0));
}
