//! A network whose last layer has other weights than its own, for as long as it is asked.

use ndarray::Array4;

use super::super::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::noise::{NoiseKey, Purpose};
use crate::units::SampleId;

/// A network under one draw of its last layer's weights: every prediction is by the same ones, whatever its time and its row.
/// A walk along it is a walk of another network of the posterior, as in "Generative Uncertainty in Diffusion Models"
/// (arXiv:2502.20946, Section 3).
pub struct HeldWeights<'a> {
    inner: &'a mut dyn Denoiser,
    key: NoiseKey,
}

impl std::fmt::Debug for HeldWeights<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldWeights").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<'a> HeldWeights<'a> {
    /// The network under draw number `draw` of a seed.
    pub fn new(inner: &'a mut dyn Denoiser, seed: u64, draw: u32) -> Self {
        let (purpose, sample) = (Purpose::HeldWeights, SampleId(0));
        Self { inner, key: NoiseKey { seed, purpose, sample, step: 0, draw } }
    }
}

impl Denoiser for HeldWeights<'_> {
    fn spec(&self) -> &DenoiserSpec {
        self.inner.spec()
    }

    fn evaluations_a_row(&self) -> u64 {
        self.inner.evaluations_a_row()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        self.inner.epsilon_drawn(input, self.key)
    }
}
