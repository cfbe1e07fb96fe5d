//! One batch of an arm that carries moments along.

use std::time::Instant;

use ndarray::{Axis, Zip};

use crate::model::Network;
use crate::noise::nearest_f32;
use crate::plan::ArmPlan;
use crate::propagation::{At, NEGATIVE, Propagation, PropagationConfig};
use crate::sampler::{ClipX0, Walk};
use crate::stage::open::OpenModel;
use crate::stage::settings::GenerateOptions;
use crate::stage::{Run, StageError};
use crate::store::records::{Array3Map, MethodScores, Span};
use crate::uncertainty::per_image;
use crate::units::{Nfe, SampleId, StepIndex};

use super::gathered::ArmBatch;
use super::starts::Starts;

/// Walks one batch of an arm with its moments. The score is the sum of the last variance; beside it stands which share of the
/// elements of all variances came out negative.
pub(in crate::stage) fn run_propagated(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (arm, samples, config): (&ArmPlan, &[SampleId], PropagationConfig),
) -> Result<ArmBatch, StageError> {
    let clips = ClipX0::of_model(model.denoiser.spec());
    let (schedule, seed) = (model.schedule.clone(), run.plan.seed);
    let walk = Walk { schedule: &schedule, clips, seed, samples };
    let mut sampler = arm.sampler.build(&walk)?;
    let starts = Starts::of(arm, (seed, samples), sampler.as_ref(), model)?;
    let stop = run.before_step();
    let request = starts.request(options.batch_size, &stop);
    let mut network = Network::new(model.denoiser.as_mut());
    let mut propagation = Propagation::new(config, request.x);
    let (conditions, max_batch) = (request.conditions, request.max_batch);
    let at = At { seed, samples, conditions, max_batch };
    let mut x = request.x.to_owned();
    for index in (request.start.0..sampler.n_steps()).map(StepIndex) {
        request.before_step.map_or(Ok(()), |call| call(index))?;
        x = propagation.step(&at, (index, &x), sampler.as_mut(), &mut network)?;
    }
    let nfe = per_image(Nfe::default(), network.nfe(), samples.len());
    let busy = network.busy();
    let decoding = Instant::now();
    let images = model.decoder.decode(x.view())?;
    let decode = decoding.elapsed();
    Ok(ArmBatch {
        images,
        decode,
        labels: starts.labels(),
        methods: methods(arm, &propagation, nfe),
        nfe_trajectory: nfe.trajectory,
        network: busy,
    })
}

fn methods(arm: &ArmPlan, propagation: &Propagation, nfe: Nfe) -> Vec<MethodScores> {
    let rows = || propagation.variance().into_owned();
    let scores = MethodScores {
        method: arm.name.clone(),
        span: Span::Window,
        score: rows().axis_iter(Axis(0)).map(|row| row.iter().sum()).collect(),
        map: Some(rows().axis_iter(Axis(0)).map(|row| summed(&row)).collect()),
        nfe: Nfe { trajectory: 0, ..nfe },
        network_seconds: propagation.time_of_states().as_secs_f64(),
    };
    let elements = propagation.variance().len() / propagation.n_negative().len().max(1);
    let all = elements as f64 * f64::from(propagation.looks());
    let negative = MethodScores {
        method: NEGATIVE.to_owned(),
        span: Span::Window,
        score: propagation.n_negative().iter().map(|n| *n as f64 / all.max(1.0)).collect(),
        map: None,
        nfe: Nfe::default(),
        network_seconds: 0.0,
    };
    vec![scores, negative]
}

/// One map `[1, h, w]`: summed over channels.
fn summed(variance: &ndarray::ArrayView3<'_, f64>) -> Array3Map {
    let sum = variance.sum_axis(Axis(0));
    Zip::from(&sum).map_collect(|value| nearest_f32(*value)).insert_axis(Axis(0))
}
