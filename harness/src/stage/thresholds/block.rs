//! One block of a threshold set: unguided trajectories whose maps are kept at every step.

use std::time::Instant;

use ndarray::{Array4, s};

use crate::guidance::{Guidance, MapRecorder};
use crate::model::{ModelError, Network};
use crate::plan::SetBlock;
use crate::sampler::{ClipX0, Walk};
use crate::store::maps::MapPart;
use crate::units::{SampleId, StepIndex};

use crate::stage::generate::starts::Starts;
use crate::stage::generate::trajectory::run_batch;
use crate::stage::open::OpenModel;
use crate::stage::settings::GenerateOptions;
use crate::stage::{Run, StageError};
use crate::uncertainty::{CleanEstimate, Perturbation};

/// Makes the maps of a block. Nothing is published.
pub(in crate::stage) fn make(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    set: &SetBlock,
) -> Result<MapPart, StageError> {
    let start = Instant::now();
    let samples = set.block.sample_ids();
    let [c, h, w] = model.denoiser.spec().shape;
    let n_steps = set.set.sampler.n_steps() as usize;
    let mut part = MapPart {
        block: set.block.id,
        steps: vec![Array4::zeros((samples.len(), c, h, w)); n_steps],
        samples: Vec::new(),
        seconds: 0.0,
        network_seconds: 0.0,
    };
    for chunk in samples.chunks(options.batch_size.get()) {
        let first = part.samples.len();
        part.samples.extend(chunk);
        let (maps, seconds) = record(run, options, model, (set, chunk))?;
        part.network_seconds += seconds;
        for (all, maps) in part.steps.iter_mut().zip(maps) {
            all.slice_mut(s![first..first + chunk.len(), .., .., ..]).assign(&maps);
        }
        run.progress.advance(chunk.len() as u64);
    }
    part.seconds = start.elapsed().as_secs_f64();
    Ok(part)
}

/// The maps of one batch, one `[b, c, h, w]` a step, and the time inside the network.
fn record(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (set, samples): (&SetBlock, &[SampleId]),
) -> Result<(Vec<Array4<f32>>, f64), StageError> {
    let spec = model.denoiser.spec().clone();
    let stop = run.before_step();
    let (schedule, clips, seed) = (&model.schedule, ClipX0::of_model(&spec), run.plan.seed);
    let mut sampler = set.set.sampler.build(&Walk { schedule, clips, seed, samples })?;
    let std = schedule.start_std(&sampler.point(StepIndex(0)).level);
    let starts = Starts::from_noise((seed, samples), &spec, std);
    let request = starts.request(options.batch_size, &stop);
    let perturbation =
        Perturbation { n_draws: set.set.n_draws, clean: CleanEstimate::FollowSampler };
    let mut recorder = MapRecorder::new(set.set.statistic, perturbation);
    let mut network = Network::new(model.denoiser.as_mut());
    let rule: &mut dyn Guidance = &mut recorder;
    let outcome =
        run_batch(&request, sampler.as_mut(), (&mut [], &mut |_, _| ()), Some(rule), &mut network)?;
    let maps = recorder.into_maps();
    if let Some(got) = maps.iter().flatten().find(|value| !value.is_finite()) {
        // Finite predictions whose squares are not: no threshold can be taken of them.
        return Err(ModelError::Runtime {
            context: format!("threshold set, samples from {}", samples[0].0),
            message: format!("a map holds {got}: the trajectory has run away"),
        }
        .into());
    }
    Ok((maps, outcome.network_time.as_secs_f64()))
}
