//! A step of a trajectory at which re-noised predictions are asked for, in one call.

use ndarray::{Array4, ArrayView4, ArrayView5};

use super::NetworkInput;
use crate::schedule::NoiseLevel;

/// How a step moves the state on, with the numbers of that step.
#[derive(Clone, Copy, Debug)]
pub enum StepUpdate<'a> {
    /// `a x0_hat + s epsilon_hat` (Eq. 12, arXiv:2010.02502, without noise).
    Ddim {
        /// Range that `x0_hat` is clipped to, where it is.
        clip: Option<[f32; 2]>,
        /// Weight of `x0_hat`.
        a: f64,
        /// Weight of `epsilon_hat`.
        s: f64,
    },
    /// `keep x + gain (m + weight (m - earlier))` with `m = x0_hat`, never clipped (Algorithm 2, arXiv:2211.01095).
    DpmSolverPp2m {
        /// Weight of the state.
        keep: f64,
        /// Weight of the data prediction.
        gain: f64,
        /// Weight of the difference of data predictions.
        weight: f64,
        /// `x0_hat` of the step before, `[b, c, h, w]`.
        earlier: ArrayView4<'a, f32>,
    },
}

/// Update rule of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepRule {
    /// [`StepUpdate::Ddim`].
    Ddim,
    /// [`StepUpdate::DpmSolverPp2m`].
    DpmSolverPp2m,
}

/// What a graph of a step is made for: one serves all steps of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepKind {
    /// Draws a sample, the paper's `M`.
    pub n_draws: u32,
    /// Range that `x0_hat` is clipped to, where it is.
    pub clip: Option<[f32; 2]>,
    /// How the state moves on.
    pub rule: StepRule,
}

impl StepUpdate<'_> {
    /// The kind of a step with so many draws.
    pub fn kind(&self, n_draws: u32) -> StepKind {
        let (clip, rule) = match self {
            Self::Ddim { clip, .. } => (*clip, StepRule::Ddim),
            Self::DpmSolverPp2m { .. } => (None, StepRule::DpmSolverPp2m),
        };
        StepKind { n_draws, clip, rule }
    }

    /// The same for some rows of the batch.
    #[must_use]
    pub fn of_rows(&self, rows: std::ops::Range<usize>) -> StepUpdate<'_> {
        match *self {
            Self::Ddim { clip, a, s } => StepUpdate::Ddim { clip, a, s },
            Self::DpmSolverPp2m { keep, gain, weight, ref earlier } => {
                let earlier = earlier.slice(ndarray::s![rows, .., .., ..]);
                StepUpdate::DpmSolverPp2m { keep, gain, weight, earlier }
            }
        }
    }
}

/// Images of one call whose re-noised states are as many rows as other calls have; a few images at least, where there are so
/// many, since the trajectory's own prediction is asked for one row each.
pub fn images_a_call(rows: usize, n_draws: usize) -> usize {
    (rows / n_draws.max(1)).max(rows.min(4)).max(1)
}

/// What goes into a step.
#[derive(Clone, Copy, Debug)]
pub struct StepInput<'a> {
    /// States, all at one place.
    pub at: NetworkInput<'a>,
    /// How noisy the states are: what the sampler goes by.
    pub level: NoiseLevel,
    /// Noise of the draws, `[M, b, c, h, w]`.
    pub noise: ArrayView5<'a, f32>,
    /// How the states move on.
    pub update: StepUpdate<'a>,
}

/// What comes out of a step, each `[b, c, h, w]`.
#[derive(Clone, Debug)]
pub struct StepAnswer {
    /// `epsilon_hat` at the states.
    pub epsilon: Array4<f32>,
    /// `x0_hat` at the states, clipped where the update clips.
    pub x0_hat: Array4<f32>,
    /// Unbiased variance of the predictions over the draws.
    pub variance: Array4<f32>,
    /// Mean square of the predictions about `epsilon_hat`.
    pub mean_square: Array4<f32>,
    /// The states that the sampler moves to.
    pub next: Array4<f32>,
}

impl StepAnswer {
    /// Its arrays, in the order of the fields.
    pub fn arrays(&self) -> [&Array4<f32>; 5] {
        [&self.epsilon, &self.x0_hat, &self.variance, &self.mean_square, &self.next]
    }

    /// From arrays in the order of the fields.
    pub fn of([epsilon, x0_hat, variance, mean_square, next]: [Array4<f32>; 5]) -> Self {
        Self { epsilon, x0_hat, variance, mean_square, next }
    }
}
