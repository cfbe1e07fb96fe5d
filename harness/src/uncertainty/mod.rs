//! Uncertainty estimators: one a file. Each maps a place on the trajectory to a map `U [b, c, h, w]`.
//!
//! To add one: a file with the estimator ([`PerturbedStatistic`] where it is a function of re-noised predictions, else
//! [`Estimator`]) and its settings ([`EstimatorSettings`]), `mod` here, a line in the list of [`EstimatorConfig`]. Worked
//! example, run as a test: `harness/tests/worked/estimator.rs`.

mod centered;
mod divergence;
mod dpm2_centered_code;
mod error;
mod group;
mod kinds;
mod mc_dropout;
mod micro_batch;
mod perturb;
mod sample_var;
mod settings;
mod variance;
mod whole_step;

pub use centered::CenteredVariance;
pub use divergence::Divergence;
pub use dpm2_centered_code::Dpm2CenteredCode;
pub use error::EstimatorError;
pub(crate) use group::per_image;
pub use group::{GroupEstimate, estimate_group};
pub use kinds::{EstimatorConfig, EstimatorPlan};
pub use mc_dropout::McDropout;
pub(crate) use micro_batch::conditions_of;
pub use micro_batch::{epsilon_in_batches, in_batches, in_batches_of};
pub use perturb::{
    CleanEstimate, GraphStatistic, Perturbation, PerturbedStatistic, Renoising, draws_of,
    perturbed_predictions, perturbed_states,
};
pub use sample_var::SampleVariance;
pub use settings::{Defaults, EstimatorFacts, EstimatorSettings, Given, Look};
pub(crate) use variance::mean_square_about;
pub use variance::{mean_over_draws, variance_over_draws};
pub use whole_step::{StepRequest, WholeStep, draws_in_one_call};

use std::num::NonZeroUsize;

use ndarray::{Array4, ArrayView4};

use crate::model::{Condition, ModelError, Network};
use crate::sampler::StepPoint;
use crate::units::SampleId;

/// Loop indices `start .. start + len` at which an estimator looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// First loop index.
    pub start: u32,
    /// Number of loop indices.
    pub len: u32,
}

impl Window {
    /// Whether loop index `index` is inside.
    pub fn contains(&self, index: crate::units::StepIndex) -> bool {
        index.0 >= self.start && index.0 - self.start < self.len
    }

    /// Refuses an empty window and one that ends past the last of `n_steps` steps.
    ///
    /// # Errors
    /// [`EstimatorError::EmptyWindow`] or [`EstimatorError::WindowPastEnd`].
    ///
    /// # Examples
    /// ```
    /// use dubench::uncertainty::Window;
    ///
    /// let message = Window { start: 45, len: 8 }.check(50).unwrap_err().to_string();
    /// assert!(message.starts_with("window 45..=52 ends past the last step 49"));
    /// assert!(Window { start: 45, len: 4 }.check(50).is_ok());
    /// ```
    pub fn check(&self, n_steps: u32) -> Result<(), EstimatorError> {
        if self.len == 0 {
            return Err(EstimatorError::EmptyWindow { start: self.start });
        }
        let end = u64::from(self.start) + u64::from(self.len);
        if end > u64::from(n_steps) {
            let last = n_steps.saturating_sub(1);
            return Err(EstimatorError::WindowPastEnd { start: self.start, end: end - 1, last });
        }
        Ok(())
    }
}

/// A place on the trajectories of one batch, as estimators see it.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// Loop index, time, noise level.
    pub point: StepPoint,
    /// States `x_t`, `[b, c, h, w]`.
    pub x: ArrayView4<'a, f32>,
    /// The trajectory's own `epsilon_hat` at `x_t`.
    pub epsilon: ArrayView4<'a, f32>,
    /// `x0_hat` as the sampler forms it (clipped where it clips).
    pub x0_hat: ArrayView4<'a, f32>,
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// What each row is conditioned on; `None` for unconditional networks.
    pub conditions: Option<&'a [Condition]>,
    /// Master seed of the experiment.
    pub seed: u64,
    /// Most rows that one network call may carry. It changes speed and memory, never a value.
    pub max_batch: NonZeroUsize,
}

/// One uncertainty estimator.
///
/// A map element depends on (seed, sample, step, draw) alone: never on the batch, thread or shard.
pub trait Estimator: Send {
    /// Name in tables: `sample_var`, `centered`, `mc_dropout`, ...
    fn name(&self) -> &str;

    /// Where it looks.
    fn window(&self) -> Window;

    /// The maps `U [b, c, h, w]`, f32, >= 0, in units of squared `epsilon`.
    ///
    /// # Errors
    /// [`ModelError`] of the network, or [`ModelError::NotApplicable`].
    fn estimate(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError>;

    /// The estimator as a statistic over perturbed predictions, where it is one: such estimators
    /// share their network calls in [`estimate_group`], so every estimator says it.
    fn as_perturbed(&self) -> Option<&dyn PerturbedStatistic>;
}

#[cfg(test)]
mod closed_form_tests;
