//! The samplers that an experiment can name.

use super::{SamplerSettings, ddim, dpm_solver_pp_2m};
use crate::kinds::kinds;

kinds! {
    /// Sampler, its steps and its conventions.
    pub enum SamplerConfig: SamplerSettings {
        /// DDIM (arXiv:2010.02502).
        "ddim", "DDIM" => Ddim(ddim::DdimSettings),
        /// DPM-Solver++(2M), midpoint form (arXiv:2211.01095).
        "dpm_solver_pp_2m", "DPM-Solver++(2M)" => DpmSolverPp2m(dpm_solver_pp_2m::DpmSolverPp2mSettings),
    }
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
