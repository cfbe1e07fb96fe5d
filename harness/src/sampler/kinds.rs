//! The samplers that an experiment can name, and what each of them must answer.

use super::{ClipX0, Sampler, SamplerError, ddim, dpm_solver_pp_2m};
use crate::fault::Fault;
use crate::kinds::kinds;
use crate::schedule::NoiseSchedule;
use crate::units::SampleId;

kinds! {
    /// Sampler, its steps and its conventions.
    pub enum SamplerConfig: SamplerSettings {
        /// DDIM (arXiv:2010.02502).
        "ddim", "DDIM" => Ddim(ddim::DdimSettings),
        /// DPM-Solver++(2M), midpoint form (arXiv:2211.01095).
        "dpm_solver_pp_2m", "DPM-Solver++(2M)" => DpmSolverPp2m(dpm_solver_pp_2m::DpmSolverPp2mSettings),
    }
}

/// What a sampler's settings know. The enum of the kinds hands every question on.
pub trait SamplerSettings {
    /// Number of steps `N`.
    fn n_steps(&self) -> u32;

    /// Sets the number of steps.
    fn set_steps(&mut self, n_steps: u32);

    /// Whether `x0_hat` is clipped, for a model whose states are pixels (`clips`) or are not.
    fn clip(&self, clips: bool) -> ClipX0;

    /// Values that make no sampler over a schedule of `n_train_steps`, keys relative to the sampler's.
    fn faults(&self, n_train_steps: u32) -> Vec<Fault>;

    /// A sampler at its first step.
    ///
    /// # Errors
    /// [`SamplerError`] for values that make none.
    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError>;
}

/// What a sampler is built for.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// Noise schedule of the model.
    pub schedule: &'a NoiseSchedule,
    /// Whether the model's states are pixels in [-1, 1], so that `x0_hat` may be clipped.
    pub clips: bool,
    /// Master seed of draws.
    pub seed: u64,
    /// Sample ids, one a row of the batch.
    pub samples: &'a [SampleId],
}

impl SamplerConfig {
    /// The same with another number of steps.
    #[must_use]
    pub fn with_steps(&self, n_steps: u32) -> Self {
        let mut other = self.clone();
        other.set_steps(n_steps);
        other
    }

    /// Name in tables, with its steps: `ddim-50`.
    ///
    /// # Examples
    /// ```
    /// use dubench::sampler::SamplerConfig;
    /// let sampler: SamplerConfig =
    ///     serde_json::from_str(r#"{"kind": "dpm_solver_pp_2m", "n_steps": 20}"#).unwrap();
    /// assert_eq!(sampler.label(), "dpm_solver_pp_2m-20");
    /// ```
    pub fn label(&self) -> String {
        format!("{}-{}", self.kind(), self.n_steps())
    }
}
