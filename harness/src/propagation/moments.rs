//! The walk with its moments.

use std::num::NonZeroUsize;
use std::time::Duration;

use ndarray::{Array4, ArrayRef4, ArrayView4, Axis, Zip, s};

use super::{EpsilonVariance, PropagationConfig};
use crate::model::{Condition, ModelError, Network, NetworkInput, Predictive};
use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal};
use crate::sampler::{LinearStep, Sampler};
use crate::schedule::NoisePoint;
use crate::uncertainty::{conditions_of, epsilon_in_batches};
use crate::units::{NfeKind, SampleId, StepIndex};

/// The batch that walks.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Master seed of the experiment.
    pub seed: u64,
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// What each row is conditioned on.
    pub conditions: Option<&'a [Condition]>,
    /// Most rows of a network call.
    pub max_batch: NonZeroUsize,
}

/// Expectation and variance of the states of a batch, `[b, c, h, w]`, carried from step to step.
///
/// For a step `x' = k x + g epsilon + noise` with `epsilon` at `x` (DDIM, DDPM) or half of the way (DPM-Solver-2):
///
/// ```text
/// E' = k E + g E[epsilon]
/// V' = k^2 V + 2 k g Cov(x, epsilon) + g^2 Var[epsilon] + noise variance
/// ```
///
/// (Eqs. 8 to 12, arXiv:2310.11142.) Where it looks, the prediction of the walk is drawn from `N(mean, variance)` over the
/// weights, and `E[epsilon]` and the covariance are those over `n_states` states drawn from `N(E, max(V, 0))`; at the first
/// look the state is certain. Between looks `V' = k^2 V + noise variance`, and `E'` goes by the prediction of the walk.
///
/// # Why is the mean over weights of a drawn state not drawn?
/// The layer is linear in its weights, so the mean over all weights is the prediction itself.
#[derive(Clone, Debug)]
pub struct Propagation {
    config: PropagationConfig,
    expectation: Array4<f64>,
    variance: Array4<f64>,
    n_negative: Vec<u64>,
    looks: u32,
    of_states: Duration,
}

/// Moments of the prediction of a step.
struct Prediction {
    mean: Array4<f64>,
    covariance: Array4<f64>,
    variance: Array4<f64>,
}

impl Propagation {
    /// States `x [b, c, h, w]` that are certain.
    pub fn new(config: PropagationConfig, x: ArrayView4<'_, f32>) -> Self {
        Self {
            config,
            expectation: x.mapv(f64::from),
            variance: Array4::zeros(x.dim()),
            n_negative: vec![0; x.dim().0],
            looks: 0,
            of_states: Duration::ZERO,
        }
    }

    /// Expectation of the states.
    pub fn expectation(&self) -> ArrayView4<'_, f64> {
        self.expectation.view()
    }

    /// Variance of the states. Estimated covariances can make elements of it negative.
    pub fn variance(&self) -> ArrayView4<'_, f64> {
        self.variance.view()
    }

    /// Elements of the variance that came out negative, over all looks, an image.
    pub fn n_negative(&self) -> &[u64] {
        &self.n_negative
    }

    /// Steps at which it has looked.
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// Time inside the network for states that were drawn.
    pub fn time_of_states(&self) -> Duration {
        self.of_states
    }

    /// Moves the states `x` one step on, and the moments with them.
    ///
    /// # Errors
    /// [`ModelError`] of the network; [`ModelError::NotApplicable`] for a step that is not linear.
    pub fn step(
        &mut self,
        at: &At<'_>,
        (index, x): (StepIndex, &Array4<f32>),
        sampler: &mut dyn Sampler,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let linear = sampler.linear(index).ok_or_else(|| ModelError::NotApplicable {
            method: super::METHOD,
            model: network.spec().name.clone(),
            reason: "a step of its sampler is no linear map of state and prediction".to_owned(),
        })?;
        let is_last = index.0 + 1 == sampler.n_steps();
        if index.0.is_multiple_of(self.config.skip) && !is_last {
            return self.look(at, (index, x, &linear), sampler, network);
        }
        let place = sampler.point(index).place();
        let batching = (at.conditions, at.max_batch);
        let mut ask = |x: ArrayView4<'_, f32>, place: NoisePoint| {
            epsilon_in_batches(network, NfeKind::Trajectory, &x, place, batching)
        };
        let mut mean = ask(x.view(), place)?;
        let epsilon = mean.clone();
        let moved = sampler.step(index, x.view(), epsilon.view(), &mut |x, place| {
            mean = ask(x, place)?;
            Ok(mean.clone())
        })?;
        let LinearStep { of_x, of_epsilon, noise_variance, .. } = linear;
        Zip::from(&mut self.expectation).and(&mean).for_each(|expected, mean| {
            *expected = of_x * *expected + of_epsilon * f64::from(*mean);
        });
        self.variance.mapv_inplace(|variance| of_x * of_x * variance + noise_variance);
        Ok(moved)
    }

    /// A step at which predictions are drawn.
    fn look(
        &mut self,
        at: &At<'_>,
        (index, x, linear): (StepIndex, &Array4<f32>, &LinearStep),
        sampler: &mut dyn Sampler,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let mut looks = Looks { at, step: index.0, weights: self.config.weights, next: 0, network };
        let place = sampler.point(index).place();
        let (first, drawn) = looks.draw(NfeKind::Trajectory, x, place)?;
        let mut asked = None;
        let moved = sampler.step(index, x.view(), drawn.view(), &mut |x, place| {
            let (predictive, drawn) = looks.draw(NfeKind::Trajectory, &x, place)?;
            asked = Some(predictive);
            Ok(drawn)
        })?;
        let used = asked.unwrap_or(first);
        let prediction = if self.looks == 0 {
            Prediction {
                mean: used.mean.mapv(f64::from),
                covariance: Array4::zeros(x.dim()),
                variance: used.variance.mapv(f64::from),
            }
        } else {
            let busy = looks.network.busy();
            let prediction = self.over_states(&used, (linear, place), &mut looks)?;
            self.of_states += looks.network.busy().saturating_sub(busy);
            prediction
        };
        self.advance(linear, &prediction);
        self.looks += 1;
        Ok(moved)
    }

    /// Moments over states drawn from the present ones.
    fn over_states(
        &mut self,
        used: &Predictive,
        (linear, place): (&LinearStep, NoisePoint),
        looks: &mut Looks<'_, '_>,
    ) -> Result<Prediction, ModelError> {
        self.variance.mapv_inplace(|variance| variance.max(0.0));
        let dim = self.variance.dim();
        let mut sums = [Array4::<f64>::zeros(dim), Array4::zeros(dim), Array4::zeros(dim)];
        for _ in 0..self.config.n_states {
            let state = looks.normal(&self.expectation, &self.variance);
            let mean = match linear.midpoint {
                None => looks.mean(&state, place)?,
                Some(middle) => {
                    let (_, drawn) = looks.draw(NfeKind::Estimator, &state, place)?;
                    let there = Zip::from(&state).and(&drawn).map_collect(|x, e| {
                        nearest_f32(middle.of_x * f64::from(*x) + middle.of_epsilon * f64::from(*e))
                    });
                    looks.mean(&there, middle.place)?
                }
            };
            let [of_mean, of_product, of_square] = &mut sums;
            Zip::from(of_mean).and(of_product).and(of_square).and(&state).and(&mean).for_each(
                |sum, product, square, x, mean| {
                    let (x, mean) = (f64::from(*x), f64::from(*mean));
                    *sum += mean;
                    *product += x * mean;
                    *square += mean * mean;
                },
            );
        }
        let n = f64::from(self.config.n_states);
        let [sum, product, square] = sums;
        let mean = sum / n;
        // About the carried expectation of the state, as released.
        let covariance = product / n - &self.expectation * &mean;
        let mut variance = used.variance.mapv(f64::from);
        if self.config.epsilon_variance == EpsilonVariance::Total {
            Zip::from(&mut variance).and(&square).and(&mean).for_each(|variance, square, mean| {
                *variance += ((square / n - mean * mean) * n / (n - 1.0)).max(0.0);
            });
        }
        Ok(Prediction { mean, covariance, variance })
    }

    fn advance(&mut self, linear: &LinearStep, prediction: &Prediction) {
        let LinearStep { of_x, of_epsilon, noise_variance, .. } = *linear;
        Zip::from(&mut self.expectation).and(&prediction.mean).for_each(|expected, mean| {
            *expected = of_x * *expected + of_epsilon * mean;
        });
        Zip::from(&mut self.variance)
            .and(&prediction.covariance)
            .and(&prediction.variance)
            .for_each(|variance, covariance, of_prediction| {
                *variance = of_x * of_x * *variance
                    + 2.0 * of_x * of_epsilon * covariance
                    + of_epsilon * of_epsilon * of_prediction
                    + noise_variance;
            });
        for (count, row) in self.n_negative.iter_mut().zip(self.variance.axis_iter(Axis(0))) {
            *count += row.iter().filter(|variance| **variance < 0.0).count() as u64;
        }
    }
}

/// Looks at uncertain weights within one step, each with draws of its own.
struct Looks<'a, 'n> {
    at: &'a At<'a>,
    step: u32,
    weights: super::WeightsConfig,
    next: u32,
    network: &'a mut Network<'n>,
}

impl Looks<'_, '_> {
    /// Mean and variance of the prediction, and a draw from them.
    fn draw(
        &mut self,
        kind: NfeKind,
        x: &ArrayRef4<f32>,
        place: NoisePoint,
    ) -> Result<(Predictive, Array4<f32>), ModelError> {
        let look = self.weights.look(self.at.seed, self.step, self.next);
        let mut out = Predictive { mean: Array4::zeros(x.dim()), variance: Array4::zeros(x.dim()) };
        let rows = x.dim().0;
        for start in (0..rows).step_by(self.at.max_batch.get()) {
            let range = start..rows.min(start + self.at.max_batch.get());
            let times = vec![place; range.len()];
            let y = conditions_of(self.at.conditions, range.clone());
            let part = x.slice(s![range.clone(), .., .., ..]);
            let input = NetworkInput { x: part, t: &times, y: y.as_deref() };
            let part = self.network.epsilon_predictive(kind, input, look)?;
            out.mean.slice_mut(s![range.clone(), .., .., ..]).assign(&part.mean);
            out.variance.slice_mut(s![range, .., .., ..]).assign(&part.variance);
        }
        let drawn = self.normal(&out.mean.mapv(f64::from), &out.variance.mapv(f64::from));
        Ok((out, drawn))
    }

    /// The prediction at states that were drawn.
    fn mean(&mut self, x: &ArrayRef4<f32>, place: NoisePoint) -> Result<Array4<f32>, ModelError> {
        let batching = (self.at.conditions, self.at.max_batch);
        epsilon_in_batches(self.network, NfeKind::Estimator, x, place, batching)
    }

    /// `N(mean, variance)`, keyed by the sample of each row.
    fn normal(&mut self, mean: &Array4<f64>, variance: &Array4<f64>) -> Array4<f32> {
        let mut out = Array4::zeros(mean.dim());
        let mut z = vec![0.0; out.len() / out.dim().0.max(1)];
        let rows = out.axis_iter_mut(Axis(0)).zip(self.at.samples);
        for ((mut row, sample), (mean, variance)) in
            rows.zip(mean.axis_iter(Axis(0)).zip(variance.axis_iter(Axis(0))))
        {
            let (seed, purpose) = (self.at.seed, Purpose::Propagate);
            let (step, draw) = (self.step, self.next);
            standard_normal(NoiseKey { seed, purpose, sample: *sample, step, draw }, &mut z);
            let all = row.iter_mut().zip(mean).zip(variance).zip(&z);
            for (((value, mean), variance), z) in all {
                *value = nearest_f32(mean + variance.max(0.0).sqrt() * f64::from(*z));
            }
        }
        self.next += 1;
        out
    }
}
