//! One block of an arm: what a plan of several trajectories has in the place of `generate`'s own.

use std::time::Instant;

use ndarray::{Array4, Axis, concatenate};

use crate::model::ModelError;
use crate::plan::{ArmTask, Block, PlacedArm};
use crate::store::records::{ImagePart, MethodScores};
use crate::units::StepIndex;

use super::build::OpenModel;
use super::generate::GenerateOptions;
use super::{Run, StageError, guide, reconstruct, thresholds};

/// What one batch of an arm gave.
pub(super) struct ArmBatch {
    /// Images `[b, 3, H, W]`.
    pub(super) images: Array4<u8>,
    /// What each method said of them.
    pub(super) methods: Vec<MethodScores>,
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Time inside the network.
    pub(super) network_seconds: f64,
}

/// Generates one block of an arm. Nothing is published.
pub(super) fn generate_block(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (block, placed): (&Block, PlacedArm<'_>),
) -> Result<ImagePart, StageError> {
    let start = Instant::now();
    let samples = placed.samples(block);
    let limits = thresholds::of_arm(run, placed.arm, model.denoiser.spec().shape)?;
    let mut part = ImagePart {
        block: block.id,
        samples: block.sample_ids(),
        labels: None,
        images: Array4::zeros((0, 0, 0, 0)),
        scores: Vec::new(),
        nfe_trajectory: 0,
        seconds: 0.0,
        network_seconds: 0.0,
    };
    let mut images = Vec::new();
    for chunk in samples.chunks(options.batch_size.get()) {
        let batch = match &placed.arm.task {
            ArmTask::Reconstruct { .. } => {
                reconstruct::run_batch(run, options, model, (placed.arm, chunk))?
            }
            ArmTask::Sample { .. } => {
                guide::run_batch(run, options, model, (placed.arm, chunk, limits.as_ref()))?
            }
        };
        images.push(batch.images);
        part.nfe_trajectory = batch.nfe_trajectory;
        part.network_seconds += batch.network_seconds;
        append(&mut part.scores, batch.methods);
        run.progress.advance(chunk.len() as u64);
    }
    let views: Vec<_> = images.iter().map(|images| images.view()).collect();
    part.images = concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
        context: "joining batches".to_owned(),
        message: error.to_string(),
    })?;
    part.seconds = start.elapsed().as_secs_f64();
    Ok(part)
}

/// Appends the rows of a batch to those of the batches before. Every batch has the same methods.
fn append(all: &mut Vec<MethodScores>, batch: Vec<MethodScores>) {
    if all.is_empty() {
        *all = batch;
        return;
    }
    for (known, more) in all.iter_mut().zip(batch) {
        known.score.extend(more.score);
        known.network_seconds += more.network_seconds;
        if let (Some(maps), Some(more)) = (&mut known.map, more.map) {
            maps.extend(more);
        }
    }
}

/// Ends a batch before the next step when a stop was asked for.
pub(super) fn stop_before_step<'a>(
    run: &'a Run<'_>,
) -> impl Fn(StepIndex) -> Result<(), ModelError> + 'a {
    move |_| {
        if !run.stop.requested() {
            return Ok(());
        }
        Err(ModelError::Runtime {
            context: "sampling".to_owned(),
            message: "a stop was asked for".to_owned(),
        })
    }
}
