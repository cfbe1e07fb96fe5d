//! The estimators that an experiment can name.

use serde::{Deserialize, Serialize};

use super::{
    Defaults, Estimator, EstimatorError, EstimatorSettings, Given, Look, Window, centered,
    divergence, dpm2_centered_code, mc_dropout, sample_var,
};
use crate::kinds::kinds;

kinds! {
    /// An uncertainty estimator. Values that are left out are those of the experiment's preset.
    pub enum EstimatorConfig: EstimatorSettings {
        /// Sample variance of `epsilon_hat` over `n_draws` re-noised states (Algorithm 1, arXiv:2412.00205).
        "sample_var", "Score variance" => SampleVar(sample_var::SampleVarSettings),
        /// Mean squared distance to the trajectory's own `epsilon_hat`: what the released code computes.
        "centered", "Centred variance" => Centered(centered::CenteredSettings),
        /// The released second-order code, which takes `x0_hat` for `epsilon_t` (D4).
        "dpm2_centered_code", "Released second-order variance" => Dpm2CenteredCode(dpm2_centered_code::Dpm2Settings),
        /// Variance of `epsilon_hat` over `n_draws` dropout masks.
        "mc_dropout", "MC-Dropout" => McDropout(mc_dropout::McDropoutSettings),
        /// Variance of the clean image given the state, in closed form, by random probes of the Jacobian.
        "divergence", "Divergence" => Divergence(divergence::DivergenceSettings),
    }
}

/// An estimator with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimatorPlan {
    /// Name in tables, unique within an arm.
    pub name: String,
    /// What it computes.
    pub rule: EstimatorConfig,
    /// Network evaluations a step: the paper's `M`.
    pub n_draws: u32,
    /// Loop indices at which it looks.
    pub window: Window,
}

impl EstimatorConfig {
    /// What the file says of the things that every estimator has.
    pub fn given(&self) -> Given {
        self.clone().take()
    }

    /// Name in tables.
    pub fn name(&self) -> String {
        self.given().name.unwrap_or_else(|| self.kind().to_owned())
    }

    /// Window, with the default one where the file gives none.
    pub fn window(&self, defaults: &Defaults) -> Window {
        self.given().window.unwrap_or_else(|| self.default_window(defaults))
    }
}

impl EstimatorPlan {
    /// Fills what the file left out.
    pub fn resolve(config: &EstimatorConfig, window: Window, defaults: &Defaults) -> Self {
        let mut rule = config.clone();
        let given = rule.take();
        rule.fill(defaults);
        let name = given.name.unwrap_or_else(|| rule.kind().to_owned());
        Self { name, rule, n_draws: given.n_draws.unwrap_or(defaults.n_draws), window }
    }

    /// The estimator.
    ///
    /// # Errors
    /// [`EstimatorError`] for values that make none.
    pub fn build(&self) -> Result<Box<dyn Estimator>, EstimatorError> {
        self.rule.build(&Look { name: &self.name, n_draws: self.n_draws, window: self.window })
    }
}
