//! The experiment that the tests of the stages share.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ndarray::{Array1, Array2};
use ndarray_npy::NpzWriter;

use crate::experiment::{Experiment, Plan};
use crate::model::onnx::RuntimeOptions;
use crate::plan::Shard;
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::features::{ExtractOptions, OpenExtractor, features};
use crate::stage::generate::generate;
use crate::stage::open::{OpenModel, inputs, models};
use crate::stage::settings::GenerateOptions;
use crate::stage::{Run, Silent, StageError, StageSummary, Stop, run};
use crate::store::layout::StageName;
use crate::store::publish;
use crate::units::BlockId;

const TINY: &str = include_str!("../../experiment/tiny.yaml");

/// An experiment in a folder of its own, with a reference of twelve independent pixel means.
pub(in crate::stage) struct Bench {
    pub(in crate::stage) folder: tempfile::TempDir,
    pub(in crate::stage) experiment: Experiment,
    pub(in crate::stage) plan: Plan,
}

impl Bench {
    pub(in crate::stage) fn new() -> Self {
        Self::edited(|text| text)
    }

    pub(in crate::stage) fn edited(edit: impl FnOnce(String) -> String) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), edit)
    }

    pub(in crate::stage) fn in_folder(
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
        let plan = inputs::plan(&experiment, "smoke").unwrap();
        Self { folder, experiment, plan }
    }

    pub(in crate::stage) fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(in crate::stage) fn open(&self) -> Result<OpenModel, StageError> {
        models::open_model(&self.experiment, &self.plan, &RuntimeOptions::default())
    }

    pub(in crate::stage) fn generate(
        &self,
        run: &Run<'_>,
        batch: usize,
    ) -> Result<StageSummary, StageError> {
        generate(run, one_network(batch), &mut || self.open())
    }

    pub(in crate::stage) fn features(&self, run: &Run<'_>) -> Result<StageSummary, StageError> {
        self.features_by(run, 1)
    }

    pub(in crate::stage) fn extractor(&self) -> Result<OpenExtractor, StageError> {
        models::open_extractor(&self.experiment, &self.plan, &RuntimeOptions::default())
    }

    pub(super) fn features_by(&self, run: &Run<'_>, n: usize) -> Result<StageSummary, StageError> {
        let networks = NonZeroUsize::new(n).unwrap();
        let options = ExtractOptions { networks, ..one_extractor(5) };
        features(run, options, &mut || self.extractor())
    }

    /// All stages in the work folder `name`.
    pub(in crate::stage) fn all(&self, name: &str, batch: usize) -> Result<Evaluation, StageError> {
        let stop = Stop::default();
        let work = self.work(name);
        let run = Run::open(&self.plan, &work, Shard::whole(), (&stop, &Silent))?;
        self.generate(&run, batch)?;
        self.features(&run)?;
        evaluate(&run, &self.experiment)
    }

    pub(in crate::stage) fn run<'a>(&'a self, name: &str, shard: Shard, stop: &'a Stop) -> Run<'a> {
        Run::open(&self.plan, &self.work(name), shard, (stop, &Silent)).unwrap()
    }

    pub(super) fn part(&self, name: &str, stage: StageName, block: u64) -> PathBuf {
        run::layout(&self.plan, &self.work(name)).part(stage, BlockId(block))
    }
}

pub(in crate::stage) fn one_network(batch: usize) -> GenerateOptions {
    let batch_size = NonZeroUsize::new(batch).unwrap();
    GenerateOptions {
        batch_size,
        networks: NonZeroUsize::MIN,
        turns: NonZeroUsize::MIN,
        threads: 1,
        step_graphs: crate::model::onnx::StepGraphs::Off,
    }
}

pub(in crate::stage) fn one_extractor(batch: usize) -> ExtractOptions {
    let batch_size = NonZeroUsize::new(batch).unwrap();
    ExtractOptions { batch_size, networks: NonZeroUsize::MIN, turns: NonZeroUsize::MIN }
}
