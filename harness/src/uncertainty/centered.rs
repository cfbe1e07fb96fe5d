//! The released code's estimator: mean square about the unperturbed prediction.

use ndarray::{Array4, ArrayRef4, ArrayView4};

use super::error::check_draws;
use super::variance::sum_of_squares_about;
use super::{CleanEstimate, EstimatorError, Perturbation, PerturbedStatistic, StepContext, Window};
use crate::noise::nearest_f32;

/// `U_t = 1 / M sum_m (e_m - epsilon_t)^2`: not a variance.
///
/// DIFFERENCE (D1): the paper says variance. The two are tied by
/// `U = 1 / M sum_m (e_m - mean e)^2 + (mean e - epsilon_t)^2`, and where noise can be told from image
/// `mean e` is near zero, so a large part of this map is `epsilon_t^2`. That is why
/// [`super::MeanSquaredEpsilon`] is a control row.
#[derive(Clone, Debug)]
pub struct CenteredVariance {
    name: String,
    window: Window,
    perturbation: Perturbation,
}

impl CenteredVariance {
    /// The estimator over `window` with `n_draws` draws and the sampler's own `x0_hat`.
    ///
    /// # Errors
    /// [`EstimatorError::TooFewDraws`] without a draw.
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("centered", n_draws, 1)?;
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        Ok(Self { name: "centered".to_owned(), window, perturbation })
    }

    /// The same over another clean estimate.
    #[must_use]
    pub fn with_clean_estimate(mut self, clean: CleanEstimate) -> Self {
        self.perturbation.clean = clean;
        self
    }

    /// The same under another name, for tables with several settings.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// `1 / M sum_m (e_m - center)^2` with an f32 center.
pub(crate) fn mean_square_about(
    draws: &[ArrayView4<'_, f32>],
    center: &ArrayRef4<f32>,
) -> Array4<f32> {
    let squares = sum_of_squares_about(draws, &center.mapv(f64::from));
    squares.mapv(|sum| nearest_f32(sum / draws.len() as f64))
}

impl PerturbedStatistic for CenteredVariance {
    fn name(&self) -> &str {
        &self.name
    }

    fn window(&self) -> Window {
        self.window
    }

    fn perturbation(&self) -> Perturbation {
        self.perturbation
    }

    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        mean_square_about(draws, &context.epsilon)
    }
}
