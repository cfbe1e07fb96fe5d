//! How uncertain weights are looked at, and what is seen.

use ndarray::Array4;

use crate::noise::{NoiseKey, Purpose};
use crate::units::SampleId;

/// How the weights of a last layer are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLook {
    /// Mean and variance over all weights, in closed form: the layer is linear in them.
    Exact,
    /// Mean and variance over so many keyed draws.
    Draws(WeightDraws),
}

/// Draws of the weights. All rows of a call see the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightDraws {
    /// Master seed.
    pub seed: u64,
    /// Loop index.
    pub step: u32,
    /// Number of the first draw, so that looks of one step have draws of their own.
    pub first: u32,
    /// How many; a variance needs two.
    pub n: u32,
}

impl WeightDraws {
    /// The key of each draw.
    pub fn keys(&self) -> impl Iterator<Item = NoiseKey> + use<> {
        let Self { seed, step, first, n } = *self;
        let key = move |draw| {
            let (purpose, sample) = (Purpose::Weights, SampleId(0));
            NoiseKey { seed, purpose, sample, step, draw }
        };
        (first..first.saturating_add(n)).map(key)
    }
}

/// Mean and variance of `epsilon_hat` over the weights of the last layer, each `[b, c, h, w]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictive {
    /// The mean.
    pub mean: Array4<f32>,
    /// The variance; over draws with divisor `n - 1`. No observation noise is in it.
    pub variance: Array4<f32>,
}
