//! One batch of trajectories, watched by any number of estimators.

use std::num::NonZeroUsize;
use std::time::Duration;

use ndarray::{Array4, ArrayView4};

use crate::guidance::Guidance;
use crate::model::{Condition, ModelError, Network, StepAnswer};
use crate::sampler::{Sampler, StepPoint};
use crate::schedule::NoisePoint;
use crate::uncertainty::{
    Estimator, GroupEstimate, StepContext, StepRequest, WholeStep, epsilon_in_batches,
    estimate_group, per_image,
};
use crate::units::{Nfe, NfeKind, SampleId, StepIndex};

/// What is asked of one batch.
#[derive(Clone, Copy)]
pub struct BatchRequest<'a> {
    /// Master seed of the experiment.
    pub seed: u64,
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// What each row is conditioned on; `None` for unconditional networks.
    pub conditions: Option<&'a [Condition]>,
    /// States `[b, c, h, w]` at loop index `start`.
    pub x: ArrayView4<'a, f32>,
    /// First loop index that is executed: 0, or later where a reference image was noised part of the way.
    pub start: StepIndex,
    /// Most rows that one network call may carry.
    pub max_batch: NonZeroUsize,
    /// Called before every step; an error stops the batch there. For progress and for signals.
    pub before_step: Option<&'a dyn Fn(StepIndex) -> Result<(), ModelError>>,
}

impl std::fmt::Debug for BatchRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchRequest")
            .field("seed", &self.seed)
            .field("samples", &self.samples)
            .field("start", &self.start)
            .field("max_batch", &self.max_batch)
            .finish_non_exhaustive()
    }
}

/// What one batch gave.
#[derive(Clone, Debug)]
pub struct BatchOutcome {
    /// Final states `[b, c, h, w]`.
    pub x0: Array4<f32>,
    /// Evaluations per image for the trajectory, those of the guidance rule included.
    pub nfe: Nfe,
    /// Time inside the network, estimators included.
    pub network_time: Duration,
}

/// Sees every place on the trajectories with what each estimator said there, in their order.
pub type Watch<'a> = &'a mut dyn FnMut(&StepContext<'_>, &[Option<GroupEstimate>]);

/// Samples a batch, asks every estimator at the steps of its window, calls `watch` after each step's estimates, and lets
/// `guidance` rewrite the prediction at the steps that it guides.
///
/// Estimators see the network's own prediction, before guidance. Predictions that the sampler asks for inside a step are the
/// network's own as well. Every row depends on the seed, its sample id and its
/// class alone, so the batch a row travels in changes no bit of it.
///
/// # Errors
/// [`ModelError`] of the network; [`ModelError::Shape`] when rows and samples differ in number;
/// [`ModelError::Runtime`] when a window does not lie in the executed steps.
pub fn run_batch(
    request: &BatchRequest<'_>,
    sampler: &mut dyn Sampler,
    (estimators, watch): (&mut [Box<dyn Estimator>], Watch<'_>),
    mut guidance: Option<&mut dyn Guidance>,
    network: &mut Network<'_>,
) -> Result<BatchOutcome, ModelError> {
    check(request, sampler, estimators, network)?;
    let mut nfe = Nfe::default();
    let busy = network.busy();
    let mut x = request.x.to_owned();
    for index in (request.start.0..sampler.n_steps()).map(StepIndex) {
        request.before_step.map_or(Ok(()), |call| call(index))?;
        let point = sampler.point(index);
        let batching = (request.conditions, request.max_batch);
        let guides = guidance.as_deref().is_some_and(|rule| guides(rule, index));
        let calls = if guides { Calls::Separate } else { Calls::AsTheNetworkHas };
        let seen = see(request, (&x, index, calls), (estimators, sampler), network)?;
        let Seen { mut epsilon, x0_hat, estimates, next } = seen;
        nfe.trajectory += network.evaluations_a_row();
        let context = place(request, point, [x.view(), epsilon.view(), x0_hat.view()]);
        watch(&context, &estimates);
        if let Some(next) = next {
            sampler.stepped(index, &x0_hat);
            x = next;
            continue;
        }
        if let Some(rule) = guidance.as_deref_mut().filter(|_| guides) {
            let (rewritten, cost) = guided(rule, &context, network)?;
            epsilon = rewritten;
            nfe = sum(nfe, cost);
        }
        let mut asked = 0;
        let mut ask = |x: ArrayView4<'_, f32>, place: NoisePoint| {
            asked += network.evaluations_a_row();
            epsilon_in_batches(network, NfeKind::Trajectory, &x, place, batching)
        };
        x = sampler.step(index, x.view(), epsilon.view(), &mut ask)?;
        nfe.trajectory += asked;
    }
    Ok(BatchOutcome { x0: x, nfe, network_time: network.busy().saturating_sub(busy) })
}

/// How the network is called at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// For the prediction, then for those at re-noised states.
    Separate,
    /// Once for all of it, where the network makes whole steps and this one is such a step.
    AsTheNetworkHas,
}

/// What is known of a step before anything is rewritten.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The network's own prediction.
    pub epsilon: Array4<f32>,
    /// The sampler's clean estimate.
    pub x0_hat: Array4<f32>,
    /// What each estimator says.
    pub estimates: Vec<Option<GroupEstimate>>,
    /// The state behind the step, where the call made it.
    pub next: Option<Array4<f32>>,
}

/// Asks for all that is known of the step from `x` at `index`: by one call or by several, with the same bits.
///
/// # Errors
/// [`ModelError`] of the network.
pub fn see(
    request: &BatchRequest<'_>,
    (x, index, calls): (&Array4<f32>, StepIndex, Calls),
    (estimators, sampler): (&mut [Box<dyn Estimator>], &dyn Sampler),
    network: &mut Network<'_>,
) -> Result<Seen, ModelError> {
    let BatchRequest { seed, samples, conditions, max_batch, .. } = *request;
    let point = sampler.point(index);
    if calls == Calls::AsTheNetworkHas {
        let here = StepRequest { point, x: x.view(), samples, conditions, seed, max_batch };
        if let Some(whole) = WholeStep::ask(&here, (estimators, sampler), network)? {
            let answer = &whole.answer;
            let views = [x.view(), answer.epsilon.view(), answer.x0_hat.view()];
            let estimates = whole.estimates(estimators, &place(request, point, views), network)?;
            let StepAnswer { epsilon, x0_hat, next, .. } = whole.answer;
            return Ok(Seen { epsilon, x0_hat, estimates, next: Some(next) });
        }
    }
    let batching = (conditions, max_batch);
    let epsilon = epsilon_in_batches(network, NfeKind::Trajectory, x, point.place(), batching)?;
    let x0_hat = sampler.x0_hat(index, x.view(), epsilon.view());
    let context = place(request, point, [x.view(), epsilon.view(), x0_hat.view()]);
    let estimates = estimate_group(estimators, &context, network)?;
    Ok(Seen { epsilon, x0_hat, estimates, next: None })
}

fn place<'a, 'r: 'a>(
    request: &BatchRequest<'r>,
    point: StepPoint,
    [x, epsilon, x0_hat]: [ArrayView4<'a, f32>; 3],
) -> StepContext<'a> {
    let BatchRequest { seed, samples, conditions, max_batch, .. } = *request;
    StepContext { point, x, epsilon, x0_hat, samples, conditions, seed, max_batch }
}

fn guides(rule: &dyn Guidance, index: StepIndex) -> bool {
    rule.window().is_none_or(|window| window.contains(index))
}

/// The rewritten prediction and what it cost per image.
fn guided(
    rule: &mut dyn Guidance,
    context: &StepContext<'_>,
    network: &mut Network<'_>,
) -> Result<(Array4<f32>, Nfe), ModelError> {
    let before = network.nfe();
    let epsilon = rule.rewrite(context, network)?;
    let cost = per_image(before, network.nfe(), context.samples.len());
    Ok((epsilon, cost))
}

fn sum(a: Nfe, b: Nfe) -> Nfe {
    Nfe {
        trajectory: a.trajectory + b.trajectory,
        estimator: a.estimator + b.estimator,
        gradient: a.gradient + b.gradient,
    }
}

fn check(
    request: &BatchRequest<'_>,
    sampler: &dyn Sampler,
    estimators: &[Box<dyn Estimator>],
    network: &Network<'_>,
) -> Result<(), ModelError> {
    let [c, h, w] = network.spec().shape;
    let expected = vec![request.samples.len(), c, h, w];
    if request.x.shape() != expected {
        let model = network.spec().name.clone();
        let got = request.x.shape().to_vec();
        return Err(ModelError::Shape { model, input: "initial state", got, expected });
    }
    for estimator in estimators {
        let window = estimator.window();
        let refuse = |message: String| ModelError::Runtime {
            context: format!("estimator {}", estimator.name()),
            message,
        };
        window.check(sampler.n_steps()).map_err(|error| refuse(error.to_string()))?;
        if window.start < request.start.0 {
            let (first, start) = (request.start.0, window.start);
            return Err(refuse(format!(
                "its window starts at step {start}, before the first executed step {first}: set window.start to {first} or more"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
