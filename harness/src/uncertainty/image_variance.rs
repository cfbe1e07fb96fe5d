//! Variance of the next state instead of the prediction: an option of the released code.

use ndarray::{Array4, ArrayView4, Zip};

use super::error::check_draws;
use super::perturb::perturbed_states;
use super::{
    CleanEstimate, EstimatorError, Perturbation, PerturbedStatistic, StepContext, Window, draws_of,
    variance_over_draws,
};
use crate::noise::nearest_f32;

/// `U_t = Var_m(x'^m)` (ddof 1) of one DDIM step from each copy, without clipping:
///
/// ```text
/// x'^m = a' (x_hat^m - s_t e_m) / a_t + s' e_m
/// ```
///
/// where `a', s'` belong to the state behind the step.
#[derive(Clone, Debug)]
pub struct ImageVariance {
    window: Window,
    n_draws: u32,
    next_alpha_bars: Vec<f64>,
}

impl ImageVariance {
    /// The estimator over `window` with `n_draws` draws. `next_alpha_bars[i]` is `alpha_bar` behind step `i`:
    /// see [`crate::sampler::Ddim::next_alpha_bar`].
    ///
    /// # Errors
    /// [`EstimatorError`] below two draws, or when the window ends past `next_alpha_bars`.
    pub fn new(
        window: Window,
        n_draws: u32,
        next_alpha_bars: Vec<f64>,
    ) -> Result<Self, EstimatorError> {
        check_draws("image", n_draws, 2)?;
        window.check(u32::try_from(next_alpha_bars.len()).unwrap_or(u32::MAX))?;
        Ok(Self { window, n_draws, next_alpha_bars })
    }
}

impl PerturbedStatistic for ImageVariance {
    fn name(&self) -> &'static str {
        "image"
    }

    fn window(&self) -> Window {
        self.window
    }

    fn perturbation(&self) -> Perturbation {
        Perturbation { n_draws: self.n_draws, clean: CleanEstimate::FollowSampler }
    }

    /// # Panics
    /// At a step past the last one of the constructor's list, which its window excludes.
    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        let next = self.next_alpha_bars[context.point.index.0 as usize];
        let (a, s) = (context.point.a(), context.point.s());
        let (a_next, s_next) = (next.sqrt(), (1.0 - next).sqrt());
        let stacked = perturbed_states(context, self.perturbation());
        let moved: Vec<Array4<f32>> = draws_of(&stacked, context.x.shape()[0])
            .iter()
            .zip(draws)
            .map(|(state, e)| {
                Zip::from(state).and(e).map_collect(|state, e| {
                    let (state, e) = (f64::from(*state), f64::from(*e));
                    nearest_f32(a_next * (state - s * e) / a + s_next * e)
                })
            })
            .collect();
        let views: Vec<_> = moved.iter().map(|state| state.view()).collect();
        variance_over_draws(&views)
    }
}
