//! From an experiment file to plain arrays: with `numbers`, the only place of the pins that knows the types of the day.
//!
//! A change of layout is followed there, and nowhere else in the pins. Every experiment has as many images as a block, so a
//! block is an arm, in the order of the file.

use ndarray::{Array2, Array4, stack};
use ndarray_npy::NpzWriter;

use super::super::{Bench, one_extractor, one_network};
use crate::model::Denoiser;
use crate::model::onnx::RuntimeOptions;
use crate::plan::Shard;
use crate::schedule::NoiseSchedule;
use crate::stage::features::features;
use crate::stage::generate::{generate, starts};
use crate::stage::open::{OpenModel, models};
use crate::stage::thresholds::thresholds;
use crate::stage::{Run, StageError, Stop};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::{MethodScores, Span};
use crate::store::{features as feature_files, maps, publish, thresholds as threshold_files};
use crate::units::SampleId;

/// Kind of DPM-Solver++(2M) in experiment files.
pub(super) const DPM_SOLVER: &str = "dpm_solver_pp_2m";
/// An unguided arm in experiment files.
pub(super) const UNGUIDED: &str = "{name: unguided}";

/// What one method said of a block.
pub(super) struct Method {
    /// Name; `NAME@late` for the sum over late steps.
    pub(super) name: String,
    /// One score an image.
    pub(super) scores: Vec<f64>,
    /// `[n, 1, h, w]`, or `[n, c, h, w]` in a reconstruction.
    pub(super) maps: Option<Array4<f32>>,
}

/// One block.
pub(super) struct Block {
    /// Classes, where the part says some.
    pub(super) labels: Option<Vec<u32>>,
    /// `[n, 3, h, w]`.
    pub(super) images: Array4<u8>,
    /// In the order of the part.
    pub(super) methods: Vec<Method>,
}

/// Thresholds of one mask.
pub(super) enum Limits {
    /// `[n_steps, c, h, w]`.
    Pixel(Array4<f32>),
    /// `[n_steps]`.
    Scalar(Vec<f64>),
}

/// Puts another network in the place of the one that was opened.
pub(super) type Exchange = dyn Fn(Box<dyn Denoiser>, &NoiseSchedule) -> Box<dyn Denoiser>;

/// An experiment in a folder of its own.
pub(super) struct Lab<'a> {
    pub(super) bench: Bench,
    exchange: &'a Exchange,
}

/// The network as it was opened.
pub(super) fn as_opened(network: Box<dyn Denoiser>, _: &NoiseSchedule) -> Box<dyn Denoiser> {
    network
}

impl<'a> Lab<'a> {
    /// The experiment `text`; `images`, `[n, h, w, 3]`, stand beside it as `images.npz`.
    pub(super) fn new(text: &str, images: &Array4<u8>, exchange: &'a Exchange) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(std::io::Cursor::new(&mut bytes));
        npz.add_array("arr_0", images).unwrap();
        npz.finish().unwrap();
        publish(&folder.path().join("images.npz"), &bytes).unwrap();
        Self { bench: Bench::in_folder(folder, |_| text.to_owned()), exchange }
    }

    fn open(&self) -> Result<OpenModel, StageError> {
        let model = self.bench.open()?;
        let denoiser = (self.exchange)(model.denoiser, &model.schedule);
        Ok(OpenModel { denoiser, ..model })
    }

    fn run<'r>(&'r self, stop: &'r Stop) -> Run<'r> {
        self.bench.run("work", Shard::whole(), stop)
    }

    /// All blocks, in order. Batches of three, so that none is a block.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let stop = Stop::default();
        let run = self.run(&stop);
        thresholds(&run, one_network(3), &mut || self.open()).unwrap();
        generate(&run, one_network(3), &mut || self.open()).unwrap();
        let id = run.layout.stage_id(StageName::Generate);
        let paths = self.bench.plan.blocks().map(|b| run.layout.part(StageName::Generate, b.id));
        let parts = paths.map(|path| part::read(&path, id, Parts::All).unwrap());
        let plain = parts.map(|part| Block {
            labels: part.labels.map(|labels| labels.iter().map(|label| label.0).collect()),
            images: part.images,
            methods: part.scores.into_iter().map(method).collect(),
        });
        plain.collect()
    }

    /// Thresholds of all masks that take some, in the order of the plan, each with its kind. After [`Self::blocks`].
    pub(super) fn thresholds(&self) -> Vec<(String, Limits)> {
        let stop = Stop::default();
        let run = self.run(&stop);
        let taken = self.bench.plan.thresholds().into_iter().map(|limits| {
            let (kind, id) = (limits.kind.as_str(), self.bench.plan.threshold_id(&limits));
            let file = threshold_files::read(&run.layout.thresholds(kind, &id)).unwrap();
            let values = match file.values {
                threshold_files::ThresholdValues::Pixel(values) => Limits::Pixel(values),
                threshold_files::ThresholdValues::Scalar(values) => Limits::Scalar(values),
            };
            (kind.to_owned(), values)
        });
        taken.collect()
    }

    /// Maps `[n, c, h, w]` of step `step`, one a block of the threshold sets. After [`Self::blocks`].
    pub(super) fn set_maps(&self, step: usize) -> Vec<Array4<f32>> {
        let stop = Stop::default();
        let run = self.run(&stop);
        let id = run.layout.stage_id(StageName::Thresholds);
        let blocks = self.bench.plan.set_blocks().into_iter();
        let paths = blocks.map(|set| run.layout.part(StageName::Thresholds, set.block.id));
        paths.map(|path| maps::read_step(&path, id, step).unwrap()).collect()
    }

    /// Features of all blocks, `[n, d]`. After [`Self::blocks`].
    pub(super) fn features(&self) -> Vec<Array2<f32>> {
        let stop = Stop::default();
        let run = self.run(&stop);
        features(&run, one_extractor(1), &mut || {
            models::open_extractor(
                &self.bench.experiment,
                &self.bench.plan,
                &RuntimeOptions::default(),
            )
        })
        .unwrap();
        let id = run.layout.stage_id(StageName::Features);
        let paths = self.bench.plan.blocks().map(|b| run.layout.part(StageName::Features, b.id));
        paths.map(|path| feature_files::read(&path, id).unwrap().features).collect()
    }
}

fn method(method: MethodScores) -> Method {
    let maps = method.map.map(|maps| {
        let views: Vec<_> = maps.iter().map(|map| map.view()).collect();
        stack(ndarray::Axis(0), &views).unwrap()
    });
    let late = if method.span == Span::Late { "@late" } else { "" };
    Method { name: format!("{}{late}", method.method), scores: method.score, maps }
}

/// `x_T` of samples, `[n, c, h, w]`.
pub(super) fn starts_of(seed: u64, samples: &[u64], shape: [usize; 3]) -> Array4<f32> {
    let samples: Vec<SampleId> = samples.iter().copied().map(SampleId).collect();
    starts::initial_states(seed, &samples, shape)
}

/// Classes of samples.
pub(super) fn labels_of(seed: u64, samples: &[u64], n_classes: u32) -> Vec<u32> {
    let samples: Vec<SampleId> = samples.iter().copied().map(SampleId).collect();
    starts::initial_labels(seed, &samples, n_classes).iter().map(|label| label.0).collect()
}
