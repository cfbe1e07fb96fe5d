//! The released code's estimator: mean square about the unperturbed prediction.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::variance::mean_square_about;
use super::{
    CleanEstimate, Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given,
    GraphStatistic, Look, PerturbedStatistic, Renoising, StepContext, Window,
};
use crate::fault::Fault;
use crate::model::DenoiserSpec;

/// The released code's estimator as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenteredSettings {
    /// Name in tables, `centered` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The paper's `M`, at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Which clean image is noised again.
    #[serde(default, skip_serializing_if = "CleanEstimate::is_default")]
    pub clean: CleanEstimate,
}

impl EstimatorSettings for CenteredSettings {
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
        let estimator = CenteredVariance::new(look.window, look.n_draws)?.named(look.name);
        Ok(Box::new(estimator.with_clean_estimate(self.clean)))
    }
}

/// `U_t = 1 / M sum_m (e_m - epsilon_t)^2`: not a variance.
///
/// DIFFERENCE (D1): the paper says variance. The two are tied by
/// `U = 1 / M sum_m (e_m - mean e)^2 + (mean e - epsilon_t)^2`, and where noise can be told from image
/// `mean e` is near zero, so a large part of this map is `epsilon_t^2`. That is why
/// [`crate::control::MeanSquaredEpsilon`] is a control row.
#[derive(Clone, Debug)]
pub struct CenteredVariance(Renoising);

impl CenteredVariance {
    /// The estimator over `window` with `n_draws` draws and the sampler's own `x0_hat`.
    ///
    /// # Errors
    /// [`EstimatorError::TooFewDraws`] without a draw.
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("centered", n_draws, 1)?;
        Ok(Self(Renoising::new("centered", window, n_draws)))
    }

    /// The same over another clean estimate.
    #[must_use]
    pub fn with_clean_estimate(mut self, clean: CleanEstimate) -> Self {
        self.0.perturbation.clean = clean;
        self
    }

    /// The same under another name, for tables with several settings.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }
}

impl PerturbedStatistic for CenteredVariance {
    fn renoising(&self) -> &Renoising {
        &self.0
    }

    fn in_graph(&self) -> Option<GraphStatistic> {
        Some(GraphStatistic::MeanSquare)
    }

    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        mean_square_about(draws, &context.epsilon)
    }
}
