//! One image of an arm through the code that makes images, over networks that compute nothing.

use std::num::NonZeroUsize;
use std::ops::Range;

use ndarray::{Array4, ArrayView4};

use super::counting::{Answers, Counting, Tally};
use crate::guidance::StepThresholds;
use crate::model::onnx::StepGraphs;
use crate::model::{Decoder, Encoder, ModelError};
use crate::plan::{ArmPlan, Block, SetBlock, ThresholdKind, ThresholdSet};
use crate::stage::generate::{ArmBatch, run_arm, run_propagated};
use crate::stage::open::OpenModel;
use crate::stage::settings::GenerateOptions;
use crate::stage::statistics::{ImageSource, StatisticsError};
use crate::stage::{Run, StageError, thresholds};
use crate::units::{BlockId, ClassLabel, SampleId};

/// Side of the states of a dry run. What is counted does not depend on it.
pub(super) const SIDE: usize = 4;

/// Puts what counts in the place of what computes.
pub(super) fn exchange(model: OpenModel) -> (OpenModel, Tally) {
    let tally = Tally::default();
    let channels = model.denoiser.spec().shape[0];
    let answers = Answers::Zeros([channels, SIDE, SIDE]);
    let encoder = model.encoder.map(|_| Box::new(Blank { channels }) as Box<dyn Encoder>);
    let images = model.images.map(|_| Box::new(Blank { channels }) as Box<dyn ImageSource>);
    let model = OpenModel {
        denoiser: Box::new(Counting::new(model.denoiser, answers, tally.clone())),
        decoder: Box::new(Blank { channels }),
        encoder,
        images,
        starts: None,
        ..model
    };
    (model, tally)
}

fn options() -> GenerateOptions {
    let one = NonZeroUsize::MIN;
    let step_graphs = StepGraphs::Off;
    GenerateOptions { batch_size: one, networks: one, turns: one, threads: 1, step_graphs }
}

/// Walks one image of an arm.
pub(super) fn arm(
    run: &Run<'_>,
    model: &mut OpenModel,
    arm: &ArmPlan,
) -> Result<ArmBatch, StageError> {
    let samples = [SampleId(0)];
    if let Some(config) = arm.propagate {
        return run_propagated(run, options(), model, (arm, &samples, config));
    }
    let (n_steps, channels) = (arm.sampler.n_steps() as usize, model.denoiser.spec().shape[0]);
    let limits = arm.thresholds().map(|thresholds| match thresholds.kind {
        ThresholdKind::DatasetPixel => {
            StepThresholds::Pixel(Array4::zeros((n_steps, channels, SIDE, SIDE)))
        }
        ThresholdKind::DatasetScalar => StepThresholds::Scalar(vec![0.0; n_steps]),
    });
    run_arm(run, options(), model, (arm, &samples, limits.as_ref()))
}

/// Walks one image of a set that thresholds are taken of.
pub(super) fn set(
    run: &Run<'_>,
    model: &mut OpenModel,
    set: &ThresholdSet,
) -> Result<(), StageError> {
    let samples = set.first_sample..set.first_sample + 1;
    let set = SetBlock { set: set.clone(), block: Block { id: BlockId(0), samples } };
    thresholds::make_block(run, options(), model, &set).map(drop)
}

/// Grey images and zero states.
struct Blank {
    channels: usize,
}

impl Decoder for Blank {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        Ok(Array4::zeros((x0.dim().0, 3, SIDE, SIDE)))
    }
}

impl Encoder for Blank {
    fn encode(&mut self, images: ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError> {
        Ok(Array4::zeros((images.dim().0, self.channels, SIDE, SIDE)))
    }
}

impl ImageSource for Blank {
    fn name(&self) -> &'static str {
        "blank"
    }

    fn len(&self) -> usize {
        1
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        Ok(Array4::from_elem((range.len(), 3, SIDE, SIDE), 128))
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        Ok(Some(vec![ClassLabel(0); range.len()]))
    }
}
