//! Networks in closed form: the whole tool runs on them without a model file, and every estimator,
//! sampler and guidance rule has an exact answer to be held against.

#[cfg(test)]
mod curvature_tests;
mod gaussian;
mod identity_decoder;
mod mixture;

pub use gaussian::GaussianDenoiser;
pub use identity_decoder::IdentityDecoder;
pub use mixture::MixtureDenoiser;

use super::{DenoiserSpec, ModelError, NetworkInput};
use crate::schedule::NoiseLevel;

/// Noise level of each row, after checking the whole input against the specification.
fn checked_levels(
    spec: &DenoiserSpec,
    input: &NetworkInput<'_>,
) -> Result<Vec<NoiseLevel>, ModelError> {
    let rows = input.x.shape()[0];
    let [c, h, w] = spec.shape;
    expect_shape(spec, "x", input.x.shape(), &[rows, c, h, w])?;
    expect_shape(spec, "t", &[input.t.len()], &[rows])?;
    let n_labels = input.y.map_or(0, <[_]>::len);
    expect_shape(spec, "y", &[n_labels], &[spec.n_classes.map_or(0, |_| rows)])?;
    let n_classes = spec.n_classes.unwrap_or(0);
    let mut labels = input.y.into_iter().flatten().filter_map(|condition| condition.label());
    if let Some(y) = labels.find(|label| label.0 >= n_classes) {
        return Err(refused(spec, format!("class {} of a model of {n_classes} classes", y.0)));
    }
    Ok(input.t.iter().map(|place| place.level).collect())
}

/// Refuses an input of another shape, by its name.
fn expect_shape(
    spec: &DenoiserSpec,
    input: &'static str,
    got: &[usize],
    expected: &[usize],
) -> Result<(), ModelError> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (got.to_vec(), expected.to_vec());
    Err(ModelError::Shape { model: spec.name.clone(), input, got, expected })
}

fn refused(spec: &DenoiserSpec, message: String) -> ModelError {
    ModelError::Runtime { context: format!("evaluating {}", spec.name), message }
}
