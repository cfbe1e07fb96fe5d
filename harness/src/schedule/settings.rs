//! Noise schedules as files name them.

use serde::{Deserialize, Serialize};

use super::noise_schedule::COSINE_MAX_BETA;
use super::{EdmRange, NoiseSchedule, ScheduleError, TimeAxis};

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
        /// Whether the last step is left without signal (arXiv:2305.08891).
        #[serde(default, skip_serializing_if = "is_false")]
        rescale_zero_terminal_snr: bool,
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
        /// Whether the last step is left without signal (arXiv:2305.08891).
        #[serde(default, skip_serializing_if = "is_false")]
        rescale_zero_terminal_snr: bool,
    },
    /// The cosine schedule with a cap on `beta`; `cosine` is this one with the cap 0.999.
    SquaredCosine {
        /// `T`.
        n_train_steps: u32,
        /// Largest `beta`.
        #[serde(default = "max_beta")]
        max_beta: f64,
        /// Whether the last step is left without signal (arXiv:2305.08891).
        #[serde(default, skip_serializing_if = "is_false")]
        rescale_zero_terminal_snr: bool,
    },
    /// Every `beta_t` by itself.
    Betas {
        /// `beta_0 .. beta_(T - 1)`, each in (0, 1).
        betas: Vec<f64>,
        /// Whether the last step is left without signal (arXiv:2305.08891).
        #[serde(default, skip_serializing_if = "is_false")]
        rescale_zero_terminal_snr: bool,
    },
    /// A continuous variance-preserving process (arXiv:2011.13456).
    VpContinuous {
        /// `beta` at time 0.
        #[serde(default = "beta_min")]
        beta_min: f64,
        /// `beta` at time 1.
        #[serde(default = "beta_max")]
        beta_max: f64,
        /// Noisiest time.
        #[serde(default = "one")]
        t_max: f64,
    },
    /// EDM: `x = x_0 + sigma n` (arXiv:2206.00364).
    Edm {
        /// Smallest `sigma` that is asked.
        #[serde(default = "sigma_min")]
        sigma_min: f64,
        /// Largest `sigma`.
        #[serde(default = "sigma_max")]
        sigma_max: f64,
        /// Exponent of the spacing.
        #[serde(default = "rho")]
        rho: f64,
        /// Standard deviation of the data.
        #[serde(default = "sigma_data")]
        sigma_data: f64,
    },
    /// Rectified flow: `x = (1 - t) x_0 + t n` (arXiv:2209.03003).
    Flow {
        /// How far steps are drawn towards noise, 1 for not at all; 3 for SD3.
        #[serde(default = "one")]
        shift: f64,
        /// The last step is asked at `1 / n_train_steps`.
        #[serde(default = "thousand")]
        n_train_steps: u32,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn max_beta() -> f64 {
    COSINE_MAX_BETA
}

fn beta_min() -> f64 {
    0.1
}

fn beta_max() -> f64 {
    20.0
}

fn one() -> f64 {
    1.0
}

fn sigma_min() -> f64 {
    0.002
}

fn sigma_max() -> f64 {
    80.0
}

fn rho() -> f64 {
    7.0
}

fn sigma_data() -> f64 {
    0.5
}

fn thousand() -> u32 {
    1000
}

impl ScheduleConfig {
    /// What its times are.
    pub fn axis(&self) -> TimeAxis {
        match self {
            Self::Linear { n_train_steps, .. }
            | Self::Cosine { n_train_steps }
            | Self::ScaledLinear { n_train_steps, .. }
            | Self::SquaredCosine { n_train_steps, .. } => TimeAxis::Steps(*n_train_steps),
            Self::Betas { betas, .. } => {
                TimeAxis::Steps(u32::try_from(betas.len()).unwrap_or(u32::MAX))
            }
            Self::VpContinuous { .. } => TimeAxis::Continuous,
            Self::Edm { .. } => TimeAxis::Sigma,
            Self::Flow { .. } => TimeAxis::Flow,
        }
    }

    /// Number of training times `T`; `None` where time is continuous.
    pub fn n_train_steps(&self) -> Option<u32> {
        self.axis().n_train_steps()
    }

    /// Whether the last step is left without signal.
    fn rescales(&self) -> bool {
        match self {
            Self::Linear { rescale_zero_terminal_snr, .. }
            | Self::ScaledLinear { rescale_zero_terminal_snr, .. }
            | Self::SquaredCosine { rescale_zero_terminal_snr, .. }
            | Self::Betas { rescale_zero_terminal_snr, .. } => *rescale_zero_terminal_snr,
            Self::Cosine { .. }
            | Self::VpContinuous { .. }
            | Self::Edm { .. }
            | Self::Flow { .. } => false,
        }
    }

    /// The schedule.
    ///
    /// # Errors
    /// [`ScheduleError`] for values that make none.
    pub fn build(&self) -> Result<NoiseSchedule, ScheduleError> {
        let schedule = match *self {
            Self::Linear { beta_start, beta_end, n_train_steps, .. } => {
                NoiseSchedule::linear(beta_start, beta_end, n_train_steps)
            }
            Self::ScaledLinear { beta_start, beta_end, n_train_steps, .. } => {
                NoiseSchedule::scaled_linear(beta_start, beta_end, n_train_steps)
            }
            Self::Cosine { n_train_steps } => NoiseSchedule::cosine(n_train_steps),
            Self::SquaredCosine { n_train_steps, max_beta, .. } => {
                NoiseSchedule::squared_cosine(n_train_steps, max_beta)
            }
            Self::Betas { ref betas, .. } => NoiseSchedule::from_betas(betas.clone()),
            Self::VpContinuous { beta_min, beta_max, t_max } => {
                NoiseSchedule::vp_continuous(beta_min, beta_max, t_max)
            }
            Self::Edm { sigma_min, sigma_max, rho, sigma_data } => {
                NoiseSchedule::edm(EdmRange { sigma_min, sigma_max, rho, sigma_data })
            }
            Self::Flow { shift, n_train_steps } => NoiseSchedule::flow(shift, n_train_steps),
        }?;
        Ok(if self.rescales() { schedule.rescaled_to_zero_terminal_snr() } else { schedule })
    }
}
