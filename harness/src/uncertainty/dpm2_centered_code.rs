//! Bug-compatible estimator of the released second-order code.

use ndarray::{Array4, ArrayView4};

use super::centered::mean_square_about;
use super::error::check_draws;
use super::{CleanEstimate, EstimatorError, Perturbation, PerturbedStatistic, StepContext, Window};

/// `U_t = 1 / M sum_m (e_m - x0_hat)^2` over copies of `y = (x_t - s_t x0_hat) / a_t`.
///
/// DIFFERENCE (D4): the released estimator for DPM-Solver++ stores the solver's `x0_hat` under the name that its
/// uncertainty block reads as `epsilon_t`. The noised image `y` is then no image, and `U` is
/// dominated by the energy of `x0_hat`. The published second-order rows were presumably made with
/// it. It exists here for that comparison only; [`super::SampleVariance`] and
/// [`super::CenteredVariance`] use the network's own prediction under every sampler.
#[derive(Clone, Debug)]
pub struct Dpm2CenteredCode {
    window: Window,
    n_draws: u32,
}

impl Dpm2CenteredCode {
    /// The estimator over `window` with `n_draws` draws.
    ///
    /// # Errors
    /// [`EstimatorError::TooFewDraws`] without a draw.
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("dpm2_centered_code", n_draws, 1)?;
        Ok(Self { window, n_draws })
    }
}

impl PerturbedStatistic for Dpm2CenteredCode {
    fn name(&self) -> &'static str {
        "dpm2_centered_code"
    }

    fn window(&self) -> Window {
        self.window
    }

    fn perturbation(&self) -> Perturbation {
        Perturbation { n_draws: self.n_draws, clean: CleanEstimate::Dpm2Code }
    }

    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        mean_square_about(draws, &context.x0_hat)
    }
}
