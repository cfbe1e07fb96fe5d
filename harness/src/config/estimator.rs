//! Which uncertainty estimators and controls an experiment compares.

use serde::{Deserialize, Serialize};

use crate::uncertainty::Window;

/// An uncertainty estimator. Fields that are left out take the values of the [`super::Preset`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EstimatorConfig {
    /// Sample variance of `epsilon_hat` over `n_draws` re-noised states (Algorithm 1, arXiv:2412.00205).
    SampleVar {
        /// Name in tables, `sample_var` if left out.
        name: Option<String>,
        /// The paper's `M`, at least 2.
        n_draws: Option<u32>,
        /// Loop indices at which it looks.
        window: Option<Window>,
    },
    /// Mean squared distance to the trajectory's own `epsilon_hat`: what the released code computes.
    Centered {
        /// Name in tables, `centered` if left out.
        name: Option<String>,
        /// The paper's `M`, at least 2.
        n_draws: Option<u32>,
        /// Loop indices at which it looks.
        window: Option<Window>,
    },
    /// Variance of `epsilon_hat` over `n_draws` dropout masks.
    McDropout {
        /// Name in tables, `mc_dropout` if left out.
        name: Option<String>,
        /// Dropout probability, in (0, 1).
        p: Option<f64>,
        /// The paper's `M`, at least 2.
        n_draws: Option<u32>,
        /// Loop indices at which it looks.
        window: Option<Window>,
    },
}

impl EstimatorConfig {
    /// Name in tables.
    pub fn name(&self) -> &str {
        match self {
            Self::SampleVar { name, .. } => name.as_deref().unwrap_or("sample_var"),
            Self::Centered { name, .. } => name.as_deref().unwrap_or("centered"),
            Self::McDropout { name, .. } => name.as_deref().unwrap_or("mc_dropout"),
        }
    }

    /// `n_draws` as the file gives it.
    pub fn n_draws(&self) -> Option<u32> {
        match self {
            Self::SampleVar { n_draws, .. }
            | Self::Centered { n_draws, .. }
            | Self::McDropout { n_draws, .. } => *n_draws,
        }
    }

    /// `window` as the file gives it.
    pub fn window(&self) -> Option<Window> {
        match self {
            Self::SampleVar { window, .. }
            | Self::Centered { window, .. }
            | Self::McDropout { window, .. } => *window,
        }
    }
}

/// A score that costs no network evaluation. An estimator that cannot beat it earns nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlConfig {
    /// Total variation of the u8 image: rough images score high.
    TotalVariation {},
    /// Mean of the trajectory's own squared `epsilon_hat`.
    MeanSquaredEpsilon {
        /// Loop indices at which it looks.
        window: Option<Window>,
    },
}

impl ControlConfig {
    /// Name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TotalVariation {} => "total_variation",
            Self::MeanSquaredEpsilon { .. } => "mean_squared_epsilon",
        }
    }

    /// `window` as the file gives it.
    pub fn window(&self) -> Option<Window> {
        match self {
            Self::TotalVariation {} => None,
            Self::MeanSquaredEpsilon { window } => *window,
        }
    }
}
