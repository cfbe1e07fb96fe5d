//! The input of the last layer as an output.

use super::error::GraphError;
use super::last_layer;
use super::model::Model;

/// Name of the added output.
pub use super::last_layer::FEATURES;

/// Adds the input of the last layer behind `output` (the only float output where `None`) as output
/// `features`: what a last-layer Laplace posterior is fitted on. Costs about 1 % of a forward pass.
///
/// # Errors
/// [`GraphError::Node`] where a step that is not linear lies behind the last layer, by name.
pub fn tap(model: &Model, output: Option<&str>) -> Result<Model, GraphError> {
    last_layer::with_features(model, output)
}
