//! A step of the trajectory and what estimators over re-noised states say there, by one call to the network.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use ndarray::{Array4, ArrayView4, Axis, concatenate, s};

use super::group::estimate;
use super::micro_batch::{Ahead, conditions_of};
use super::perturb::draws_of_noise;
use super::{CleanEstimate, Estimator, GraphStatistic, GroupEstimate, StepContext};
use crate::model::{
    Condition, ModelError, Network, NetworkInput, StepAnswer, StepInput, images_a_call,
};
use crate::sampler::{Sampler, StepPoint};
use crate::units::{Nfe, SampleId, StepIndex};

/// Draws that those of `estimators` share who re-noise at a step, where one call can serve them all; `None` where nobody
/// re-noises there.
///
/// # Errors
/// Why it cannot, by the name of the estimator.
pub fn draws_in_one_call(
    estimators: &[Box<dyn Estimator>],
    index: StepIndex,
) -> Result<Option<u32>, String> {
    let mut shared: Option<(&str, u32)> = None;
    let here = estimators.iter().filter(|estimator| estimator.window().contains(index));
    for statistic in here.filter_map(|estimator| estimator.as_perturbed()) {
        let asked = statistic.renoising();
        let (name, perturbation) = (asked.name.as_str(), asked.perturbation);
        if perturbation.clean != CleanEstimate::FollowSampler {
            return Err(format!("{name} re-noises another image than the sampler's x0_hat"));
        }
        if statistic.in_graph().is_none() {
            return Err(format!(
                "{name} is neither sample_var nor centered, which its graph computes"
            ));
        }
        match shared {
            Some((first, n)) if n != perturbation.n_draws => {
                let other = perturbation.n_draws;
                return Err(format!(
                    "{first} takes {n} draws and {name} {other}: give them one number"
                ));
            }
            _ => shared = Some((name, perturbation.n_draws)),
        }
    }
    Ok(shared.map(|(_, n_draws)| n_draws))
}

/// Where a batch is.
#[derive(Clone, Copy, Debug)]
pub struct StepRequest<'a> {
    /// Loop index, time, noise level.
    pub point: StepPoint,
    /// States `x_t`, `[b, c, h, w]`.
    pub x: ArrayView4<'a, f32>,
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// What each row is conditioned on; `None` for unconditional networks.
    pub conditions: Option<&'a [Condition]>,
    /// Master seed of the experiment.
    pub seed: u64,
    /// Most rows that one network call may carry.
    pub max_batch: NonZeroUsize,
}

/// What one call says of a step.
#[derive(Clone, Debug)]
pub struct WholeStep {
    /// Prediction, clean estimate, statistics, next state.
    pub answer: StepAnswer,
    n_draws: u32,
    evaluations_a_row: u64,
    time: Duration,
}

impl WholeStep {
    /// Asks the network for the whole step, where it makes such steps, the sampler's rule is one of them here, and somebody
    /// re-noises; `None` elsewhere. All is as separate calls have it, bit for bit.
    ///
    /// # Errors
    /// [`ModelError`] of the network.
    pub fn ask(
        request: &StepRequest<'_>,
        (estimators, sampler): (&[Box<dyn Estimator>], &dyn Sampler),
        network: &mut Network<'_>,
    ) -> Result<Option<Self>, ModelError> {
        let index = request.point.index;
        let Ok(Some(n_draws)) = draws_in_one_call(estimators, index) else { return Ok(None) };
        let makes = sampler.step_kind(n_draws).is_some_and(|kind| network.makes(&kind));
        let Some(update) = sampler.update(index).filter(|_| makes) else { return Ok(None) };
        let (b, c, h, w) = request.x.dim();
        let draw = n_draws as usize;
        let at = (request.seed, index);
        let noise =
            |rows: Range<usize>| draws_of_noise(at, &request.samples[rows], draw, [c, h, w]);
        let most = NonZeroUsize::new(images_a_call(request.max_batch.get(), draw));
        let most = most.unwrap_or(NonZeroUsize::MIN);
        let (busy, evaluations_a_row) = (network.busy(), network.evaluations_a_row());
        let mut ahead = Ahead::new((b, most), &noise);
        let mut answers = Vec::new();
        for start in (0..b).step_by(most.get()) {
            let rows = start..b.min(start + most.get());
            let answer = ahead.call(network, rows, |network, rows, noise| {
                let times = vec![request.point.place(); rows.len()];
                let y = conditions_of(request.conditions, rows.clone());
                let x = request.x.slice(s![rows.clone(), .., .., ..]);
                let at = NetworkInput { x, t: &times, y: y.as_deref() };
                let update = update.of_rows(rows);
                let level = request.point.level;
                network.step(StepInput { at, level, noise: noise.view(), update })
            });
            answers.push(answer?);
        }
        let time = network.busy().saturating_sub(busy);
        Ok(Some(Self { answer: joined(&answers)?, n_draws, evaluations_a_row, time }))
    }

    /// What each estimator says whose window holds the step: from this call, else alone.
    ///
    /// # Errors
    /// [`ModelError`] of the network.
    pub fn estimates(
        &self,
        estimators: &mut [Box<dyn Estimator>],
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Vec<Option<GroupEstimate>>, ModelError> {
        estimate(estimators, context, network, |estimator| {
            let map = match estimator.as_perturbed()?.in_graph()? {
                GraphStatistic::Variance => &self.answer.variance,
                GraphStatistic::MeanSquare => &self.answer.mean_square,
            };
            let evaluations = u64::from(self.n_draws) * self.evaluations_a_row;
            let nfe = Nfe { estimator: evaluations, ..Nfe::default() };
            // The call asks for the trajectory's own prediction too.
            let network_time = self.time * self.n_draws / (self.n_draws + 1);
            Some(GroupEstimate { map: map.clone(), nfe, network_time })
        })
    }
}

fn joined(answers: &[StepAnswer]) -> Result<StepAnswer, ModelError> {
    let join = |field: usize| {
        let views: Vec<_> = answers.iter().map(|answer| answer.arrays()[field].view()).collect();
        concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
            context: "joining the answers of steps".to_owned(),
            message: error.to_string(),
        })
    };
    let arrays: [Array4<f32>; 5] = [join(0)?, join(1)?, join(2)?, join(3)?, join(4)?];
    Ok(StepAnswer::of(arrays))
}
