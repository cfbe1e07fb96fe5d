//! The estimators that an experiment can name, and what each of them must answer.

use serde::{Deserialize, Serialize};

use super::{
    Estimator, EstimatorError, Window, centered, dpm2_centered_code, mc_dropout, sample_var,
};
use crate::fault::Fault;
use crate::kinds::kinds;
use crate::model::DenoiserSpec;

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
    }
}

/// What an estimator's settings know. The enum of the kinds hands every question on.
pub trait EstimatorSettings {
    /// What the file says of the things that every estimator has.
    fn given(&self) -> Given;

    /// Fills the estimator's own values from `defaults` and takes those of [`EstimatorSettings::given`] out: they
    /// stand in an [`EstimatorPlan`] once.
    fn fill(&mut self, defaults: &Defaults);

    /// Window of an estimator whose file gives none.
    fn default_window(&self, defaults: &Defaults) -> Window;

    /// Own values that make no estimator, keys relative to the estimator's.
    fn faults(&self) -> Vec<Fault>;

    /// Why it cannot run on a model; `None` where it can.
    fn not_applicable(&self, model: &DenoiserSpec) -> Option<String>;

    /// The estimator.
    ///
    /// # Errors
    /// [`EstimatorError`] for values that make none.
    fn build(&self, plan: &EstimatorPlan) -> Result<Box<dyn Estimator>, EstimatorError>;
}

/// What a file may say of any estimator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Name in tables; the kind where left out.
    pub name: Option<String>,
    /// The paper's `M`.
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    pub window: Option<Window>,
}

/// Values of estimators whose file leaves them out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// The paper's `M`.
    pub n_draws: u32,
    /// Window of the re-noising estimators.
    pub window: Window,
    /// Dropout probability of MC-Dropout.
    pub dropout_p: f64,
    /// Window of MC-Dropout.
    pub dropout_window: Window,
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
        let (name, n_draws) = (config.name(), config.given().n_draws.unwrap_or(defaults.n_draws));
        let mut rule = config.clone();
        rule.fill(defaults);
        Self { name, rule, n_draws, window }
    }

    /// The estimator.
    ///
    /// # Errors
    /// [`EstimatorError`] for values that make none.
    pub fn build(&self) -> Result<Box<dyn Estimator>, EstimatorError> {
        self.rule.build(self)
    }
}
