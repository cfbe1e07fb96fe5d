//! The samplers that an experiment can name.

use super::{
    SamplerSettings, ddim, ddpm, dpm_solver_2, dpm_solver_pp_2m, edm_euler, edm_heun, flow_euler,
    pndm,
};
use crate::kinds::kinds;

kinds! {
    /// Sampler, its steps and its conventions.
    pub enum SamplerConfig: SamplerSettings {
        /// DDIM (arXiv:2010.02502).
        "ddim", "DDIM" => Ddim(ddim::DdimSettings),
        /// DPM-Solver++(2M), midpoint form (arXiv:2211.01095).
        "dpm_solver_pp_2m", "DPM-Solver++(2M)" => DpmSolverPp2m(dpm_solver_pp_2m::DpmSolverPp2mSettings),
        /// Ancestral sampling (arXiv:2006.11239).
        "ddpm", "DDPM" => Ddpm(ddpm::DdpmSettings),
        /// Single-step DPM-Solver of second order (arXiv:2206.00927).
        "dpm_solver_2", "DPM-Solver-2" => DpmSolver2(dpm_solver_2::DpmSolver2Settings),
        /// PNDM in its multistep form, PLMS (arXiv:2202.09778).
        "pndm", "PNDM" => Pndm(pndm::PndmSettings),
        /// Euler steps over EDM's sigmas (arXiv:2206.00364).
        "edm_euler", "EDM Euler" => EdmEuler(edm_euler::EdmEulerSettings),
        /// Heun steps over EDM's sigmas (arXiv:2206.00364).
        "edm_heun", "EDM Heun" => EdmHeun(edm_heun::EdmHeunSettings),
        /// Euler steps of a rectified flow (arXiv:2209.03003).
        "flow_euler", "Flow Euler" => FlowEuler(flow_euler::FlowEulerSettings),
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
