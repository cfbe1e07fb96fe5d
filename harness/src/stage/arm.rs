//! One block of an arm: what a plan of several trajectories has in the place of `generate`'s own.

use std::time::Instant;

use ndarray::{Array4, Axis, concatenate};

use crate::model::ModelError;
use crate::plan::{ArmTask, Block, PlacedArm};
use crate::store::records::{ImagePart, MethodScores};

use super::build::OpenModel;
use super::settings::GenerateOptions;
use super::{Run, StageError, guide, reconstruct, thresholds};

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
