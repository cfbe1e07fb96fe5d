//! Bug-compatible estimator of the released second-order code.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::variance::mean_square_about;
use super::{
    CleanEstimate, Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given,
    Look, Perturbation, PerturbedStatistic, Renoising, StepContext, Window,
};
use crate::fault::Fault;
use crate::model::DenoiserSpec;

/// The released second-order estimator as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpm2Settings {
    /// Name in tables, `dpm2_centered_code` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The paper's `M`, at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

impl EstimatorSettings for Dpm2Settings {
    fn take(&mut self) -> Given {
        let (name, n_draws, window) = (self.name.take(), self.n_draws.take(), self.window.take());
        Given { name, n_draws, window }
    }

    fn fill(&mut self, _defaults: &Defaults) {}

    fn default_window(&self, defaults: &Defaults) -> Window {
        defaults.window
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn facts(&self) -> EstimatorFacts {
        EstimatorFacts { needs_gradient: false, signed: false }
    }

    fn not_applicable(&self, _model: &DenoiserSpec) -> Option<String> {
        None
    }

    fn build(&self, look: &Look<'_>) -> Result<Box<dyn Estimator>, EstimatorError> {
        let estimator = Dpm2CenteredCode::new(look.window, look.n_draws)?;
        Ok(Box::new(estimator.named(look.name)))
    }
}

/// `U_t = 1 / M sum_m (e_m - x0_hat)^2` over copies of `y = (x_t - s_t x0_hat) / a_t`.
///
/// DIFFERENCE (D4): the released estimator for DPM-Solver++ stores the solver's `x0_hat` under the name that its
/// uncertainty block reads as `epsilon_t`. The noised image `y` is then no image, and `U` is
/// dominated by the energy of `x0_hat`. The published second-order rows were presumably made with
/// it. It exists here for that comparison only; [`super::SampleVariance`] and
/// [`super::CenteredVariance`] use the network's own prediction under every sampler.
#[derive(Clone, Debug)]
pub struct Dpm2CenteredCode(Renoising);

impl Dpm2CenteredCode {
    /// The estimator over `window` with `n_draws` draws.
    ///
    /// # Errors
    /// [`EstimatorError::TooFewDraws`] without a draw.
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("dpm2_centered_code", n_draws, 1)?;
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::Dpm2Code };
        Ok(Self(Renoising { name: "dpm2_centered_code".to_owned(), window, perturbation }))
    }

    /// The same under another name, for tables with several settings.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }
}

impl PerturbedStatistic for Dpm2CenteredCode {
    fn renoising(&self) -> &Renoising {
        &self.0
    }

    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        mean_square_about(draws, &context.x0_hat)
    }
}
