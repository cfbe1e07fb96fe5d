//! Controls: scores that ask no network. An estimator that does not beat them has learnt nothing.
//!
//! To add one: a file with its rule and its settings ([`ControlSettings`]), a line here, a line in the list of
//! [`ControlConfig`].

mod estimate_shift;
mod kinds;
mod mean_squared_epsilon;
mod settings;
mod total_variation;

pub use estimate_shift::{EstimateShiftSettings, estimate_shift};
pub use kinds::{ControlConfig, ControlPlan};
pub use mean_squared_epsilon::{MeanSquaredEpsilon, MeanSquaredEpsilonSettings};
pub use settings::{Control, ControlSettings, ImageScore};
pub use total_variation::{TotalVariationSettings, total_variation};
