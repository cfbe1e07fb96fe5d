//! Samplers: one update rule a file. A sampler moves `x_t` given `epsilon_hat`; it never calls a network.
//!
//! To add one: a file with its update rule ([`Sampler`]) and its settings ([`SamplerSettings`]), `mod` here, a line in the
//! list of [`SamplerConfig`]. Worked example, run as a test: `harness/tests/worked/sampler.rs`.

mod clip_x0;
mod ddim;
mod dpm_solver_pp_2m;
mod error;
#[cfg(test)]
mod golden_tests;
mod kinds;
mod settings;

pub use clip_x0::{ClipX0, x0_from_epsilon};
pub use ddim::{AncestralNoise, Clip, Ddim, DdimSettings, FinalAlphaBar, step_points};
pub use dpm_solver_pp_2m::{DpmSolverPp2m, DpmSolverPp2mSettings};
pub use error::SamplerError;
pub use kinds::SamplerConfig;
pub use settings::{SamplerSettings, Walk};

use ndarray::{Array4, ArrayView4};

use crate::units::{StepIndex, Timestep};

/// What one step needs to know of its place: loop index, training time, noise level.
///
/// `a_t = sqrt(alpha_bar_t)`, `s_t = sqrt(1 - alpha_bar_t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPoint {
    /// Loop index.
    pub index: StepIndex,
    /// Training time.
    pub t: Timestep,
    /// `alpha_bar_t`, f64, in (0, 1).
    pub alpha_bar: f64,
}

impl StepPoint {
    /// `sqrt(alpha_bar_t)`.
    pub fn a(&self) -> f64 {
        self.alpha_bar.sqrt()
    }

    /// `sqrt(1 - alpha_bar_t)`.
    pub fn s(&self) -> f64 {
        (1.0 - self.alpha_bar).sqrt()
    }
}

/// A sampler of `n_steps` steps over a noise schedule; what it draws is keyed. Holds the history of multistep rules: one sampler value per trajectory batch.
pub trait Sampler: Send {
    /// Number of steps `N`.
    fn n_steps(&self) -> u32;

    /// Place of loop index `index`, which must be below [`Sampler::n_steps`].
    fn point(&self, index: StepIndex) -> StepPoint;

    /// `x0_hat = (x_t - s_t epsilon_hat) / a_t`, clipped to [-1, 1] where the model is a pixel model
    /// and the rule clips. `[b, c, h, w]`.
    fn x0_hat(
        &self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
    ) -> Array4<f32>;

    /// Moves `x` from loop index `index` to the next one. After the last index the result is the
    /// final state. Steps are taken in order 0, 1, .., N-1, each once.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
    ) -> Array4<f32>;
}
