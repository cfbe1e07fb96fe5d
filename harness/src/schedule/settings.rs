//! Noise schedules and grids as files name them.

use serde::{Deserialize, Serialize};

use super::{NoiseSchedule, ScheduleError, TimestepGrid};
use crate::fault::Fault;

/// Noise schedule of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// `beta_t` linear in `t`.
    Linear {
        /// First `beta`.
        beta_start: f64,
        /// Last `beta`.
        beta_end: f64,
        /// `T`.
        n_train_steps: u32,
    },
    /// `alpha_bar` a squared cosine (arXiv:2102.09672).
    Cosine {
        /// `T`.
        n_train_steps: u32,
    },
    /// `sqrt(beta_t)` linear in `t`.
    ScaledLinear {
        /// First `beta`.
        beta_start: f64,
        /// Last `beta`.
        beta_end: f64,
        /// `T`.
        n_train_steps: u32,
    },
}

impl ScheduleConfig {
    /// Number of training times `T`.
    pub fn n_train_steps(&self) -> u32 {
        match self {
            Self::Linear { n_train_steps, .. }
            | Self::Cosine { n_train_steps }
            | Self::ScaledLinear { n_train_steps, .. } => *n_train_steps,
        }
    }

    /// The schedule.
    ///
    /// # Errors
    /// [`ScheduleError`] for values that make none.
    pub fn build(&self) -> Result<NoiseSchedule, ScheduleError> {
        match *self {
            Self::Linear { beta_start, beta_end, n_train_steps } => {
                NoiseSchedule::linear(beta_start, beta_end, n_train_steps)
            }
            Self::ScaledLinear { beta_start, beta_end, n_train_steps } => {
                NoiseSchedule::scaled_linear(beta_start, beta_end, n_train_steps)
            }
            Self::Cosine { n_train_steps } => NoiseSchedule::cosine(n_train_steps),
        }
    }
}

/// Map from loop index to training time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GridConfig {
    /// `t_i = (N - 1 - i) floor(T / N) + offset`.
    Leading {
        /// Added to every time. 0 for the pixel models of the paper.
        #[serde(default)]
        offset: u32,
    },
    /// `t_i = round_half_even((T - 1) (N - i) / N)`.
    Linspace {},
}

impl GridConfig {
    /// Why there is no grid of `n_steps` over `n_train_steps` training times, keys relative to the sampler's.
    pub fn faults(&self, n_train_steps: u32, n_steps: u32) -> Vec<Fault> {
        if n_steps == 0 || n_steps > n_train_steps {
            let message = format!(
                "{n_steps} steps over {n_train_steps} training times: use 1..={n_train_steps}"
            );
            return vec![Fault::new("n_steps", message)];
        }
        let Err(error) = self.build(n_train_steps, n_steps) else { return Vec::new() };
        vec![match self {
            Self::Leading { offset } => {
                let most = (n_train_steps / n_steps).saturating_sub(1);
                let message = format!(
                    "offset {offset} moves the first step past the last training time: set {most} or less"
                );
                Fault::new("grid.offset", message)
            }
            Self::Linspace {} => Fault::new("n_steps", error.to_string()),
        }]
    }

    /// The grid of `n_steps` over `n_train_steps` training times.
    ///
    /// # Errors
    /// [`ScheduleError`] where there is none.
    pub fn build(&self, n_train_steps: u32, n_steps: u32) -> Result<TimestepGrid, ScheduleError> {
        match self {
            Self::Leading { offset } => TimestepGrid::leading(n_train_steps, n_steps, *offset),
            Self::Linspace {} => TimestepGrid::linspace(n_train_steps, n_steps),
        }
    }
}
