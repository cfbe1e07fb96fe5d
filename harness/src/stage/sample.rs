//! One network, sampled without an experiment: final states, images, maps and scores of keyed starts, or of given ones.

use std::num::NonZeroUsize;

use ndarray::{Array4, ArrayView4, Axis, s};

use super::StageError;
use super::generate::keep::{Keep, SummedMaps};
use super::generate::starts::Starts;
use super::generate::trajectory::{Watch, run_batch};
use super::open::OpenModel;
use super::progress::Progress;
use super::stop::Stop;
use crate::model::{DenoiserSpec, ModelError, Network};
use crate::sampler::{ClipX0, SamplerConfig, Walk};
use crate::store::records::MethodScores;
use crate::uncertainty::{Estimator, EstimatorPlan, GroupEstimate, StepContext};
use crate::units::{ClassLabel, SampleId, StepIndex};

/// What to sample.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    /// Master seed of all draws.
    pub seed: u64,
    /// Sample ids, one a row of everything below.
    pub samples: Vec<SampleId>,
    /// States `[n, c, h, w]` at the first step, scaled as the schedule has it (an EDM walk begins at `sigma_max n`); keyed
    /// noise where `None`.
    pub starts: Option<Array4<f32>>,
    /// Classes; keyed ones where `None` and the network asks for some.
    pub labels: Option<Vec<ClassLabel>>,
    /// How to walk.
    pub sampler: SamplerConfig,
    /// Who looks on.
    pub estimators: Vec<EstimatorPlan>,
    /// Images that walk together; changes no number.
    pub batch_size: NonZeroUsize,
}

/// What sampling gave.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Final states `[n, c, h, w]`.
    pub x0: Array4<f32>,
    /// Images `[n, 3, H, W]`.
    pub images: Array4<u8>,
    /// Classes, where the network asks for some.
    pub labels: Option<Vec<ClassLabel>>,
    /// Scores and maps, one entry an estimator.
    pub methods: Vec<MethodScores>,
    /// Evaluations of the trajectory per image.
    pub nfe_trajectory: u64,
    /// Time inside the network, seconds.
    pub network_seconds: f64,
}

/// Samples what `request` asks for.
///
/// Row `i` depends on the seed, its sample id, its start and its class alone: the digits are those of an experiment with
/// this sampler, seed and id.
///
/// # Errors
/// [`StageError`] for starts or classes that do not fit the network, a window outside the walk, a network that fails, and
/// where a stop was asked for.
pub fn sample(
    request: &SampleRequest,
    model: &mut OpenModel,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<Samples, StageError> {
    fits(request, model.denoiser.spec())?;
    progress.begin("sample", request.samples.len() as u64, 0);
    let size = request.batch_size.get();
    let mut batches = Vec::new();
    let rows = 0..request.samples.len();
    for first in rows.clone().step_by(size) {
        let batch = one_batch(request, model, first..(first + size).min(rows.end), stop);
        let batch = batch.map_err(|error| abandoned(error, (first, rows.end)));
        batches.push(batch.inspect_err(|_| progress.end())?);
        progress.advance(batches.last().map_or(0, |batch| batch.x0.shape()[0] as u64));
    }
    progress.end();
    joined(batches)
}

fn one_batch(
    request: &SampleRequest,
    model: &mut OpenModel,
    rows: std::ops::Range<usize>,
    stop: &Stop,
) -> Result<Samples, StageError> {
    let spec = model.denoiser.spec().clone();
    let samples = &request.samples[rows.clone()];
    let schedule = model.schedule.clone();
    let clips = ClipX0::of_model(&spec);
    let walk = Walk { schedule: &schedule, clips, seed: request.seed, samples };
    let mut sampler = request.sampler.build(&walk)?;
    let std = schedule.start_std(&sampler.point(StepIndex(0)).level);
    let mut starts = Starts::from_noise((request.seed, samples), &spec, std);
    if let Some(states) = &request.starts {
        starts = starts.with_states(states.slice(s![rows.clone(), .., .., ..]).to_owned());
    }
    if let Some(labels) = &request.labels {
        starts = starts.with_labels(labels[rows].to_vec(), &spec);
    }
    let mut estimators: Vec<Box<dyn Estimator>> =
        request.estimators.iter().map(EstimatorPlan::build).collect::<Result<_, _>>()?;
    let mut keep = SummedMaps::new(&estimators, starts.states());
    let stop = |_: StepIndex| if stop.requested() { Err(ModelError::Stopped) } else { Ok(()) };
    let batch = starts.request(request.batch_size, &stop);
    let mut network = Network::new(model.denoiser.as_mut());
    let mut watch = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        keep.see(context, estimates);
    };
    let watching = (estimators.as_mut_slice(), &mut watch as Watch<'_>);
    let outcome = run_batch(&batch, sampler.as_mut(), watching, None, &mut network)?;
    let images = model.decoder.decode(outcome.x0.view())?;
    Ok(Samples {
        images,
        labels: starts.labels(),
        methods: keep.close(),
        nfe_trajectory: outcome.nfe.trajectory,
        network_seconds: outcome.network_time.as_secs_f64(),
        x0: outcome.x0,
    })
}

/// A stop loses the whole set: its files are written at the end.
fn abandoned(error: StageError, (done, total): (usize, usize)) -> StageError {
    let StageError::Model(ModelError::Stopped) = error else { return error };
    StageError::Abandoned { stage: "sample", done: done as u64, total: total as u64 }
}

/// Refuses starts and classes that are not one a sample, and estimators that the model cannot serve.
fn fits(request: &SampleRequest, spec: &DenoiserSpec) -> Result<(), StageError> {
    let (n, [c, h, w], model) = (request.samples.len(), spec.shape, &spec.name);
    let shape = |input, got: Vec<usize>, expected| -> Result<(), StageError> {
        if got == expected {
            return Ok(());
        }
        Err(ModelError::Shape { model: model.clone(), input, got, expected }.into())
    };
    if let Some(states) = &request.starts {
        shape("starts", states.shape().to_vec(), vec![n, c, h, w])?;
    }
    if let Some(labels) = &request.labels {
        shape("labels", vec![labels.len()], vec![n])?;
        let classes = spec.n_classes.unwrap_or(0);
        if let Some(label) = labels.iter().find(|label| label.0 >= classes) {
            let reason = match spec.n_classes {
                None => "it is unconditional".to_owned(),
                Some(n) => format!("its classes are 0..={}", n.saturating_sub(1)),
            };
            let method = "a class label";
            let reason = format!("label {}: {reason}", label.0);
            return Err(ModelError::NotApplicable { method, model: model.clone(), reason }.into());
        }
    }
    for plan in &request.estimators {
        if let Some(reason) = plan.rule.not_applicable(spec) {
            let method = plan.rule.kind();
            return Err(ModelError::NotApplicable { method, model: model.clone(), reason }.into());
        }
    }
    Ok(())
}

fn joined(batches: Vec<Samples>) -> Result<Samples, StageError> {
    let states: Vec<ArrayView4<'_, f32>> = batches.iter().map(|batch| batch.x0.view()).collect();
    let images: Vec<ArrayView4<'_, u8>> = batches.iter().map(|batch| batch.images.view()).collect();
    let failed = |error: ndarray::ShapeError| ModelError::Runtime {
        context: "joining batches".to_owned(),
        message: error.to_string(),
    };
    let x0 = ndarray::concatenate(Axis(0), &states).map_err(failed)?;
    let images = ndarray::concatenate(Axis(0), &images).map_err(failed)?;
    let mut rest = batches.into_iter();
    let Some(first) = rest.next() else {
        return Err(StageError::Absent { what: "sample" });
    };
    let mut all = Samples { x0, images, ..first };
    for batch in rest {
        all.network_seconds += batch.network_seconds;
        if let (Some(labels), Some(more)) = (&mut all.labels, batch.labels) {
            labels.extend(more);
        }
        for (known, more) in all.methods.iter_mut().zip(batch.methods) {
            known.extend(more);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod tests;
