//! The controls that an experiment can name.

use serde::{Deserialize, Serialize};

use super::{ControlSettings, estimate_shift, mean_squared_epsilon, total_variation};
use crate::kinds::kinds;
use crate::uncertainty::Defaults;

kinds! {
    /// A score that costs no network evaluation. An estimator that cannot beat it earns nothing.
    pub enum ControlConfig: ControlSettings {
        /// Total variation of the u8 image: rough images score high.
        "total_variation", "Total variation" => TotalVariation(total_variation::TotalVariationSettings),
        /// Mean of the trajectory's own squared `epsilon_hat`.
        "mean_squared_epsilon", "Mean squared ε" => MeanSquaredEpsilon(mean_squared_epsilon::MeanSquaredEpsilonSettings),
        /// How far the first clean estimate of a walk lies from its end.
        "estimate_shift", "Shift of x̂₀" => EstimateShift(estimate_shift::EstimateShiftSettings),
    }
}

/// A control with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPlan {
    /// Name in tables: its kind.
    pub name: String,
    /// What it computes.
    pub rule: ControlConfig,
}

impl ControlPlan {
    /// Fills what the file left out.
    pub fn resolve(config: &ControlConfig, defaults: &Defaults) -> Self {
        let mut rule = config.clone();
        rule.fill(defaults);
        Self { name: rule.kind().to_owned(), rule }
    }
}
