//! The paper's estimator: variance of the predictions of re-noised copies.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::{
    CleanEstimate, Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given,
    GraphStatistic, Look, PerturbedStatistic, Renoising, StepContext, Window, variance_over_draws,
};
use crate::fault::Fault;
use crate::model::DenoiserSpec;

/// The paper's estimator as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleVarSettings {
    /// Name in tables, `sample_var` if left out.
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

impl EstimatorSettings for SampleVarSettings {
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
        let estimator = SampleVariance::new(look.window, look.n_draws)?.named(look.name);
        Ok(Box::new(estimator.with_clean_estimate(self.clean)))
    }
}

/// `U_t = 1 / (M - 1) sum_m (e_m - mean e)^2` (Algorithm 1, arXiv:2412.00205), per pixel and channel, with
/// `e_m = epsilon_theta(a_t x0_hat + s_t n_m, t)` and `n_m ~ N(0, I)`.
///
/// DIFFERENCE (D1): Eq. 8 writes the scatter without a divisor and the released code another
/// statistic, [`super::CenteredVariance`]. At fixed M the divisor changes no ranking.
///
/// # Examples
/// ```
/// use dubench::uncertainty::{Estimator, SampleVariance, Window};
///
/// let estimator = SampleVariance::new(Window { start: 45, len: 4 }, 5)?;
/// assert_eq!(estimator.name(), "sample_var");
/// assert!(SampleVariance::new(Window { start: 45, len: 4 }, 1).is_err());
/// # Ok::<(), dubench::uncertainty::EstimatorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SampleVariance(Renoising);

impl SampleVariance {
    /// The estimator over `window` with `n_draws` draws and the sampler's own `x0_hat`.
    ///
    /// # Errors
    /// [`EstimatorError::TooFewDraws`] below two draws.
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("sample_var", n_draws, 2)?;
        Ok(Self(Renoising::new("sample_var", window, n_draws)))
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

impl PerturbedStatistic for SampleVariance {
    fn renoising(&self) -> &Renoising {
        &self.0
    }

    fn in_graph(&self) -> Option<GraphStatistic> {
        Some(GraphStatistic::Variance)
    }

    fn map(&self, _context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        variance_over_draws(draws)
    }
}
