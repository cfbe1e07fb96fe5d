//! The controls that an experiment can name, and what each of them must answer.

use ndarray::{Array4, ArrayView3, ArrayView4};
use serde::{Deserialize, Serialize};

use super::{estimate_shift, mean_squared_epsilon, total_variation};
use crate::kinds::kinds;
use crate::uncertainty::{Defaults, Estimator, Window};

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

/// What a control's settings know. The enum of the kinds hands every question on.
pub trait ControlSettings {
    /// Loop indices at which it looks, as the file gives them; `None` where it gives none or there are none.
    fn window(&self) -> Option<Window>;

    /// Fills what the file left out.
    fn fill(&mut self, defaults: &Defaults);

    /// The control.
    fn build(&self) -> Control;
}

/// A score of an image `[c, h, w]` u8.
pub type ImageScore = fn(ArrayView3<'_, u8>) -> f64;

/// A control, by what it looks at.
pub enum Control {
    /// Places on the trajectory, as an estimator does, without a call of its own.
    Trajectory(Box<dyn Estimator>),
    /// The first clean estimate and the final state, both `[b, c, h, w]`; the map is of the same shape.
    Ends(fn(ArrayView4<'_, f32>, ArrayView4<'_, f32>) -> Array4<f64>),
    /// The image alone, `[c, h, w]` u8.
    Image(ImageScore),
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trajectory(_) => "Trajectory",
            Self::Ends(_) => "Ends",
            Self::Image(_) => "Image",
        })
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
