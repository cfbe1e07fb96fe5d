//! Controls: scores that ask no network. An estimator that does not beat them has learnt nothing.
//!
//! To add one: a file with its rule and its settings ([`ControlSettings`]), a line here, a line in the list of
//! [`ControlConfig`].

mod estimate_shift;
mod kinds;
mod mean_squared_epsilon;
mod total_variation;

pub use estimate_shift::{EstimateShiftSettings, estimate_shift};
pub use kinds::{Control, ControlConfig, ControlPlan, ControlSettings, ImageScore};
pub use mean_squared_epsilon::{MeanSquaredEpsilon, MeanSquaredEpsilonSettings};
pub use total_variation::{TotalVariationSettings, total_variation};
