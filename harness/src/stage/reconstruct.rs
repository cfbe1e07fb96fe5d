//! Real images, noised part of the way and denoised again under the eyes of estimators.

use std::time::Duration;

use ndarray::{Array4, ArrayView4, Axis, Zip};

use crate::config::{LateWindow, NoiseLevel};
use crate::model::{DenoiserSpec, ModelError, Network};
use crate::noise::nearest_f32;
use crate::plan::{ArmPlan, ArmTask};
use crate::protocol::reconstruction::{ESTIMATE_SHIFT, late};
use crate::sampler::StepPoint;
use crate::schedule::NoiseSchedule;
use crate::store::records::MethodScores;
use crate::uncertainty::{GroupEstimate, StepContext};
use crate::units::{Nfe, SampleId, StepIndex, Timestep};

use super::build::{self, OpenModel};
use super::gathered::ArmBatch;
use super::settings::GenerateOptions;
use super::starts::Starts;
use super::statistics::StatisticsError;
use super::trajectory::run_batch_watched;
use super::{Run, StageError};

/// Reconstructs the images of `samples` as `arm` says.
///
/// The methods are every estimator over all executed steps, again over the late ones, and the map
/// `|x0_hat - x_0|` of how far the first clean estimate lies from the reconstruction. Maps are `[c, h, w]`.
pub(super) fn run_batch(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    (arm, samples): (&ArmPlan, &[SampleId]),
) -> Result<ArmBatch, StageError> {
    let ArmTask::Reconstruct { noise, late, estimators } = &arm.task else {
        return Err(StageError::Absent { what: "noise level in an arm" });
    };
    let spec = model.denoiser.spec().clone();
    let x0 = originals(model, &spec, samples)?;
    let mut sampler = build::sampler(&arm.sampler, &model.schedule, &spec)?;
    let n_steps = sampler.n_steps();
    let start = StepIndex(n_steps / 2);
    let point = noised_at(*noise, sampler.point(start), &model.schedule, n_steps);
    let starts = Starts::from_images((run.plan.seed, samples), &x0, (&point, start));
    let stop = run.before_step();
    let request = starts.request(options.batch_size, &stop);
    let absent = build::not_applicable(run.plan, &spec);
    let mut built = build::applicable(estimators, &absent)?;
    let mut sums = MapSums::new(built.iter().map(|estimator| estimator.name()), *late);
    let mut network = Network::new(model.denoiser.as_mut());
    let mut watch = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        sums.add(context, estimates);
    };
    let looking = (built.as_mut_slice(), &mut watch as super::trajectory::Watch<'_>);
    let outcome = run_batch_watched(&request, sampler.as_mut(), looking, None, &mut network)?;
    Ok(ArmBatch {
        images: model.decoder.decode(outcome.x0.view())?,
        methods: sums.into_methods(outcome.x0.view()),
        nfe_trajectory: outcome.nfe.trajectory,
        network_seconds: outcome.network_time.as_secs_f64(),
    })
}

/// The images in the model's range, `[b, c, h, w]` in [-1, 1].
fn originals(
    model: &mut OpenModel,
    spec: &DenoiserSpec,
    samples: &[SampleId],
) -> Result<Array4<f32>, StageError> {
    if spec.n_classes.is_some() {
        return Err(ModelError::NotApplicable {
            method: "reconstruction",
            model: spec.name.clone(),
            reason: "it asks for classes, which the image set does not tell".to_owned(),
        }
        .into());
    }
    let source = model.images.as_mut().ok_or(StageError::Absent { what: "set of real images" })?;
    let [c, h, w] = spec.shape;
    let mut x0 = Array4::zeros((samples.len(), c, h, w));
    for (mut row, sample) in x0.axis_iter_mut(Axis(0)).zip(samples) {
        let index = usize::try_from(sample.0).unwrap_or(usize::MAX);
        let image = source.read(index..index.saturating_add(1))?;
        if image.shape() != [1, c, h, w] {
            let message = format!(
                "images are {:?}, {} takes {:?}: give images of its size (latent models have no encoder here)",
                &image.shape()[1..],
                spec.name,
                spec.shape
            );
            return Err(StatisticsError::input(source.name().as_ref(), message).into());
        }
        row.iter_mut()
            .zip(&image)
            .for_each(|(value, byte)| *value = nearest_f32(f64::from(*byte) / 127.5 - 1.0));
    }
    Ok(x0)
}

/// Where on the noise schedule the images are put; the walk starts at `start` whatever it is.
fn noised_at(
    noise: NoiseLevel,
    start: StepPoint,
    schedule: &NoiseSchedule,
    n_steps: u32,
) -> StepPoint {
    let t = match noise {
        NoiseLevel::Match => start.t,
        NoiseLevel::HalfT => Timestep(schedule.n_train_steps() / 2),
        NoiseLevel::AuthorsCode => Timestep(n_steps / 2).min(schedule.last()),
    };
    StepPoint { t, alpha_bar: schedule.alpha_bar(t), ..start }
}

/// Sums of one estimator's maps.
struct Sum {
    name: String,
    executed: Option<Array4<f64>>,
    late: Option<Array4<f64>>,
    nfe: [Nfe; 2],
    time: [Duration; 2],
}

/// Sums of all estimators' maps over executed and over late steps, and the first clean estimate.
struct MapSums {
    sums: Vec<Sum>,
    window: LateWindow,
    first_x0: Option<Array4<f32>>,
}

impl MapSums {
    fn new<'a>(names: impl Iterator<Item = &'a str>, window: LateWindow) -> Self {
        let sum = |name: &str| Sum {
            name: name.to_owned(),
            executed: None,
            late: None,
            nfe: [Nfe::default(); 2],
            time: [Duration::ZERO; 2],
        };
        Self { sums: names.map(sum).collect(), window, first_x0: None }
    }

    fn add(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]) {
        self.first_x0.get_or_insert_with(|| context.x0_hat.to_owned());
        let is_late = self.window.contains(context.point.t.0);
        for (sum, estimate) in self.sums.iter_mut().zip(estimates) {
            let Some(estimate) = estimate else { continue };
            let spans = [(true, &mut sum.executed), (is_late, &mut sum.late)];
            for (index, (inside, total)) in spans.into_iter().enumerate() {
                if !inside {
                    continue;
                }
                let total = total.get_or_insert_with(|| Array4::zeros(estimate.map.raw_dim()));
                total.zip_mut_with(&estimate.map, |sum, u| *sum += f64::from(*u));
                sum.nfe[index].estimator += estimate.nfe.estimator;
                sum.time[index] += estimate.network_time;
            }
        }
    }

    fn into_methods(self, x0: ArrayView4<'_, f32>) -> Vec<MethodScores> {
        let mut methods = Vec::new();
        for sum in self.sums {
            let late_name = late(&sum.name);
            let spans = [(sum.name, sum.executed), (late_name, sum.late)];
            for (index, (name, total)) in spans.into_iter().enumerate() {
                if let Some(total) = total {
                    let seconds = sum.time[index].as_secs_f64();
                    methods.push(scores(name, &total, (sum.nfe[index], seconds)));
                }
            }
        }
        if let Some(first) = self.first_x0 {
            let shift = Zip::from(&first)
                .and(x0)
                .map_collect(|first, last| (f64::from(*first) - f64::from(*last)).abs());
            methods.push(scores(ESTIMATE_SHIFT.to_owned(), &shift, (Nfe::default(), 0.0)));
        }
        methods
    }
}

fn scores(method: String, maps: &Array4<f64>, (nfe, seconds): (Nfe, f64)) -> MethodScores {
    MethodScores {
        method,
        score: maps.axis_iter(Axis(0)).map(|map| map.iter().sum()).collect(),
        map: Some(maps.axis_iter(Axis(0)).map(|map| map.mapv(nearest_f32)).collect()),
        nfe,
        network_seconds: seconds,
    }
}

#[cfg(test)]
mod tests;
