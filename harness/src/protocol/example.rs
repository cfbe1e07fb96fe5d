//! What the tests of several protocols make up.

use std::path::Path;

use ndarray::Array2;

use crate::experiment::Experiment;
use crate::experiment::tests::TINY;

/// `n` images in three features: an even cover of the unit cube, moved by `shift` along each axis.
pub(super) fn weyl(n: usize, shift: f32) -> Array2<f32> {
    Array2::from_shape_fn((n, 3), |(i, j)| {
        ((i + 1) as f32 * ((j + 5) as f32).sqrt()).fract() + shift
    })
}

/// What is refused of the tiny experiment with these estimators, under this protocol, at this scale.
pub(super) fn refused(estimators: &str, protocol: &str, scale: &str) -> String {
    let head = TINY.split("estimators:").next().unwrap();
    let text = format!(
        "{head}estimators: {estimators}\nprotocol: {protocol}\nscales: {{smoke: {scale}}}\n"
    );
    Experiment::parse(Path::new("t.yaml"), &text).unwrap_err().to_string()
}
