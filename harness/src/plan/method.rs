//! Estimators and controls with every value resolved.

use serde::{Deserialize, Serialize};

use crate::config::{ControlConfig, Defaults, EstimatorConfig};
use crate::uncertainty::Window;

/// An estimator with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorPlan {
    /// Name in tables, unique within a plan.
    pub name: String,
    /// What it computes.
    pub rule: EstimatorRule,
    /// Network evaluations a step: the paper's `M`.
    pub n_draws: u32,
    /// Loop indices at which it looks.
    pub window: Window,
}

/// What an estimator computes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EstimatorRule {
    /// Sample variance over re-noised states.
    SampleVar {},
    /// Mean squared distance to the trajectory's own prediction.
    Centered {},
    /// Variance over dropout masks.
    McDropout {
        /// Dropout probability.
        p: f64,
    },
}

impl EstimatorPlan {
    /// Fills what the file left out.
    pub(super) fn resolve(config: &EstimatorConfig, window: Window, defaults: &Defaults) -> Self {
        let rule = match config {
            EstimatorConfig::SampleVar { .. } => EstimatorRule::SampleVar {},
            EstimatorConfig::Centered { .. } => EstimatorRule::Centered {},
            EstimatorConfig::McDropout { p, .. } => {
                EstimatorRule::McDropout { p: p.unwrap_or(defaults.dropout_p) }
            }
        };
        Self {
            name: config.name().to_owned(),
            rule,
            n_draws: config.n_draws().unwrap_or(defaults.n_draws),
            window,
        }
    }
}

/// A control with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlPlan {
    /// Name in tables, unique within a plan.
    pub name: String,
    /// What it computes.
    pub rule: ControlRule,
}

/// What a control computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlRule {
    /// Total variation of the u8 image.
    TotalVariation {},
    /// Mean of the trajectory's own squared prediction.
    MeanSquaredEpsilon {
        /// Loop indices at which it looks.
        window: Window,
    },
}

impl ControlPlan {
    /// Fills what the file left out.
    pub(super) fn resolve(config: &ControlConfig, defaults: &Defaults) -> Self {
        let rule = match config {
            ControlConfig::TotalVariation {} => ControlRule::TotalVariation {},
            ControlConfig::MeanSquaredEpsilon { window } => {
                ControlRule::MeanSquaredEpsilon { window: window.unwrap_or(defaults.window) }
            }
        };
        Self { name: config.name().to_owned(), rule }
    }
}
