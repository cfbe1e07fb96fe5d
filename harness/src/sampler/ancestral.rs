//! Keyed noise that samplers add to the states of a batch.

use ndarray::{Array4, Axis};

use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal};
use crate::units::{SampleId, StepIndex};

/// Where the noise of `eta > 0` comes from: one sample id a row of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AncestralNoise {
    /// Master seed.
    pub seed: u64,
    /// Sample ids, one a row.
    pub samples: Vec<SampleId>,
}

/// Adds `sigma z` with the keyed `z` of each row and step.
///
/// # Panics
/// When the batch does not have one row a sample id.
pub(super) fn add_noise(x: &mut Array4<f32>, noise: &AncestralNoise, index: StepIndex, sigma: f64) {
    assert_eq!(x.shape()[0], noise.samples.len(), "rows of the batch and sample ids of eta > 0");
    let mut z = vec![0.0; x.len() / x.shape()[0].max(1)];
    for (mut row, sample) in x.axis_iter_mut(Axis(0)).zip(&noise.samples) {
        let purpose = Purpose::Ancestral;
        let key = NoiseKey { seed: noise.seed, purpose, sample: *sample, step: index.0, draw: 0 };
        standard_normal(key, &mut z);
        for (value, z) in row.iter_mut().zip(&z) {
            *value = nearest_f32(f64::from(*value) + sigma * f64::from(*z));
        }
    }
}
