//! One block of an arm: the one way that images are made.

use std::time::Instant;

use crate::guidance::{Guidance, Path, StepThresholds};
use crate::model::{HeldWeights, Network};
use crate::plan::{ArmPlan, Block, PlacedArm};
use crate::sampler::{ClipX0, Walk};
use crate::store::records::{ImagePart, Timed};
use crate::uncertainty::{GroupEstimate, StepContext};
use crate::units::SampleId;

use super::displacement::Measured;
use super::gathered::{ArmBatch, Gathered};
use super::propagated::run_propagated;
use super::starts::Starts;
use super::trajectory::run_batch;
use super::watchers::Watchers;
use crate::stage::open::OpenModel;
use crate::stage::settings::GenerateOptions;
use crate::stage::{Run, StageError, thresholds};

/// Generates one block. Nothing is published.
pub(in crate::stage) fn generate_block(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    block: &Block,
) -> Result<ImagePart, StageError> {
    let start = Instant::now();
    let placed = run.plan.arm_of(block.id).ok_or(StageError::Absent { what: "arm of a block" })?;
    let PlacedArm { arm, .. } = placed;
    let limits = thresholds::of_arm(run, arm, model.denoiser.spec().shape)?;
    let samples = block.sample_ids();
    let mut gathered = Gathered::default();
    for chunk in samples.chunks(options.batch_size.get()) {
        gathered.add(match arm.propagate {
            Some(config) => run_propagated(run, options, model, (arm, chunk, config))?,
            None => run_arm(run, options, model, (arm, chunk, limits.as_ref()))?,
        });
        run.progress.advance(chunk.len() as u64);
    }
    let decode_seconds = gathered.decode().as_secs_f64();
    let mut part = gathered.into_part(arm, (block.id, samples))?;
    part.seconds = start.elapsed().as_secs_f64();
    let timed = run.plan.protocol.needs().times_are_evidence();
    part.timed = timed.then_some(Timed { decode_seconds, other_cores: None });
    Ok(part)
}

/// Walks one batch of an arm: from its start, by its sampler, watched by its estimators, guided by its rule.
pub(in crate::stage) fn run_arm(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (arm, samples, limits): (&ArmPlan, &[SampleId], Option<&StepThresholds>),
) -> Result<ArmBatch, StageError> {
    let spec = model.denoiser.spec().clone();
    let (schedule, clips, seed) = (model.schedule.clone(), ClipX0::of_model(&spec), run.plan.seed);
    let walk = Walk { schedule: &schedule, clips, seed, samples };
    let mut sampler = arm.sampler.build(&walk)?;
    let starts = Starts::of(arm, (seed, samples), sampler.as_ref(), model)?;
    let path = Path { schedule: &schedule, clip: arm.sampler.clip(clips) };
    let rule = arm.guide.as_ref().map(|rule| rule.guidance(limits, &path)).transpose()?;
    let mut measured = rule.map(|rule| Measured::new(rule, samples.len()));
    let Watchers { mut estimators, mut record } = Watchers::of(arm, model, starts.states())?;
    let stop = run.before_step();
    let request = starts.request(options.batch_size, &stop);
    let mut held = arm.weights.map(|draw| HeldWeights::new(model.denoiser.as_mut(), seed, draw));
    let mut network = match &mut held {
        Some(held) => Network::new(held),
        None => Network::new(model.denoiser.as_mut()),
    };
    let guidance = measured.as_mut().map(|rule| rule as &mut dyn Guidance);
    let mut watch = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        record.see(context, estimates);
    };
    let watching = (estimators.as_mut_slice(), &mut watch as super::trajectory::Watch<'_>);
    let outcome = run_batch(&request, sampler.as_mut(), watching, guidance, &mut network)?;
    let decoding = Instant::now();
    let images = model.decoder.decode(outcome.x0.view())?;
    let decode = decoding.elapsed();
    starts.fit(&images, &spec)?;
    let mut methods = record.close(outcome.x0.view(), &images);
    methods.extend(measured.map(|rule| rule.close(&outcome)));
    Ok(ArmBatch {
        images,
        labels: starts.labels(),
        methods,
        nfe_trajectory: outcome.nfe.trajectory,
        network: outcome.network_time,
        decode,
    })
}
