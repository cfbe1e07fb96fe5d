//! How an experiment walks from noise to image.

use serde::{Deserialize, Serialize};

/// Sampler, its steps and its conventions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// DDIM with `eta = 0` (arXiv:2010.02502).
    Ddim {
        /// Number of steps `N`.
        n_steps: u32,
        /// Which training times the steps visit.
        #[serde(default = "leading")]
        grid: GridConfig,
        /// Whether `x0_hat` is clipped to [-1, 1].
        #[serde(default)]
        clip_x0: Clip,
        /// `alpha_bar` after the last step.
        #[serde(default)]
        final_alpha_bar: FinalAlphaBar,
    },
    /// DPM-Solver++(2M), midpoint form (arXiv:2211.01095).
    DpmSolverPp2m {
        /// Number of steps `N`.
        n_steps: u32,
        /// Which training times the steps visit.
        #[serde(default = "linspace")]
        grid: GridConfig,
    },
}

impl SamplerConfig {
    /// Number of steps `N`.
    pub fn n_steps(&self) -> u32 {
        match self {
            Self::Ddim { n_steps, .. } | Self::DpmSolverPp2m { n_steps, .. } => *n_steps,
        }
    }

    /// The same with another number of steps.
    #[must_use]
    pub fn with_steps(&self, n: u32) -> Self {
        let mut other = self.clone();
        match &mut other {
            Self::Ddim { n_steps, .. } | Self::DpmSolverPp2m { n_steps, .. } => *n_steps = n,
        }
        other
    }

    /// Name in tables, with its steps: `ddim-50`.
    ///
    /// # Examples
    /// ```
    /// use dubench::config::{GridConfig, SamplerConfig};
    /// let sampler = SamplerConfig::DpmSolverPp2m { n_steps: 20, grid: GridConfig::Linspace {} };
    /// assert_eq!(sampler.label(), "dpm_solver_pp_2m-20");
    /// ```
    pub fn label(&self) -> String {
        let kind = match self {
            Self::Ddim { .. } => "ddim",
            Self::DpmSolverPp2m { .. } => "dpm_solver_pp_2m",
        };
        format!("{kind}-{}", self.n_steps())
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

/// DDIM visits a leading grid, offset 0, as the authors' code does on all pixel models.
fn leading() -> GridConfig {
    GridConfig::Leading { offset: 0 }
}

/// DPM-Solver++(2M) visits a linspace grid, as the authors' code does on all models.
fn linspace() -> GridConfig {
    GridConfig::Linspace {}
}

/// Whether samplers clip `x0_hat` to [-1, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Pixel models clip, latent models do not: what the paper's models were sampled with.
    #[default]
    FollowModel,
    /// Never clip.
    Off,
}

/// `alpha_bar` that DDIM assumes after its last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalAlphaBar {
    /// 1: the last step lands on `x0_hat`. What the authors' code does on all pixel models.
    #[default]
    One,
    /// `alpha_bar_0`: a little noise prediction stays. What it does on U-ViT.
    First,
}

/// Noise schedule of a model that has no bundle to say so.
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
}
