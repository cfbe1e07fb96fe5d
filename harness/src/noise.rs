//! Noise keyed by (seed, purpose, sample, step, draw): a draw depends on its key alone.
//!
//! There is no global generator and no hidden state, so batch size, thread count, shard, order and
//! resume cannot change a single bit. Consumption is fixed: one Philox4x32-10 block is four words,
//! which are four normals, eight mask elements or one integer.
//!
//! # How is the key laid out?
//!
//! | word | bits 31..24 | bits 23..16 | bits 15..0 |
//! |---|---|---|---|
//! | counter 0 | purpose | block 23..16 | block 15..0 |
//! | counter 1 | draw 31..24 | draw 23..16 | draw 15..0 |
//! | counter 2 | sample 31..24 | sample 23..16 | sample 15..0 |
//! | counter 3 | step 15..8 | step 7..0 | sample 47..32 |
//! | key 0 | seed 31..24, xor step 31..24 | seed 23..16, xor step 23..16 | seed 15..0, xor sample 63..48 |
//! | key 1 | seed 63..56, xor block 55..48 | seed 55..48, xor block 47..40 | seed 47..32, xor block 39..24 |
//!
//! The map is one to one for a given seed, so no two (purpose, sample, step, draw, block) share a
//! block. The xor parts are zero below 2^48 samples, 2^16 steps and 2^26 normals a tensor; within
//! those bounds two seeds never share a block either.
//!
//! # Why `libm` instead of the standard library?
//!
//! `f64::ln` and `f64::sin_cos` call the platform's C library, whose last bit differs between
//! machines. The `libm` package is compiled from Rust source and is the same everywhere.

mod box_muller;
mod philox;

use crate::units::SampleId;
use box_muller::{BLOCKS, NORMALS, box_muller};
use philox::philox4x32_10;

/// What a draw is for. Draws of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// The initial state `x_T`.
    Initial = 1,
    /// The class label `y`.
    Label = 2,
    /// Perturbations `n_m` of an uncertainty estimator.
    Perturb = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Noise `z` that a stochastic sampler adds (`eta > 0`).
    Ancestral = 5,
    /// Random subsets of an evaluation.
    Subset = 6,
    /// Random choices of a guidance rule.
    Guidance = 7,
    /// In which order things are timed.
    Order = 9,
    /// Signs that probe a Jacobian.
    Probe = 10,
    /// Training times and noise of the images that a last-layer posterior is fitted on.
    Fit = 8,
    /// Weights of a last layer, the same for all samples.
    Weights = 11,
    /// Predictions and states that `BayesDiff` draws.
    Propagate = 12,
    /// Weights of a last layer that a whole walk goes by, the same for all samples.
    HeldWeights = 13,
}

/// Full name of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoiseKey {
    /// Master seed of the experiment.
    pub seed: u64,
    /// What the draw is for.
    pub purpose: Purpose,
    /// Which sample it belongs to.
    pub sample: SampleId,
    /// Loop index, 0 where there is none.
    pub step: u32,
    /// Number of the draw (the paper's m), 0 where there is one only.
    pub draw: u32,
}

/// Nearest f32 of an f64: the one rounding at the end of a computation in double precision.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what this function is for")]
pub fn nearest_f32(value: f64) -> f32 {
    value as f32
}

impl NoiseKey {
    /// Four random words of block number `block`. See the module's table for the layout.
    fn block(&self, block: u64) -> [u32; 4] {
        let (counter, key) = self.place(block);
        philox4x32_10(counter, key)
    }

    /// Counter and key of block number `block`.
    fn place(&self, block: u64) -> ([u32; 4], [u32; 2]) {
        let sample = self.sample.0;
        let sample_low = (sample & 0xFFFF_FFFF) as u32;
        let sample_middle = ((sample >> 32) & 0xFFFF) as u32;
        let sample_high = (sample >> 48) as u32;
        let seed_low = (self.seed & 0xFFFF_FFFF) as u32;
        let seed_high = (self.seed >> 32) as u32;
        let counter = [
            (u32::from(self.purpose as u8) << 24) | ((block & 0x00FF_FFFF) as u32),
            self.draw,
            sample_low,
            (self.step << 16) | sample_middle,
        ];
        let key = [
            seed_low ^ (self.step & 0xFFFF_0000) ^ sample_high,
            seed_high ^ (((block >> 24) & 0xFFFF_FFFF) as u32),
        ];
        (counter, key)
    }

    /// As [`NoiseKey::place`], where the blocks from `block` on differ in the first word of the counter alone.
    fn run_of_blocks(&self, block: u64) -> Option<([u32; 4], [u32; 2])> {
        let last = block.checked_add(BLOCKS as u64 - 1)?;
        (block >> 24 == last >> 24).then(|| self.place(block))
    }
}

/// Fills `out` with independent standard normals, f32, in the order of the tensor's elements.
///
/// # Examples
/// ```
/// use dubench::noise::{NoiseKey, Purpose, standard_normal};
/// use dubench::units::SampleId;
///
/// let key = NoiseKey { seed: 0, purpose: Purpose::Initial, sample: SampleId(7), step: 0, draw: 0 };
/// let (mut once, mut again) = ([0.0; 12], [0.0; 12]);
/// standard_normal(key, &mut once);
/// standard_normal(key, &mut again);
/// assert_eq!(once, again);
/// ```
pub fn standard_normal(key: NoiseKey, out: &mut [f32]) {
    standard_normal_from(key, 0, out);
}

/// Elements `offset .. offset + out.len()` of the tensor that [`standard_normal`] would fill.
pub fn standard_normal_from(key: NoiseKey, offset: u64, out: &mut [f32]) {
    let (mut at, mut rest) = (offset, out);
    while !rest.is_empty() {
        let skip = (at % 4) as usize;
        let wide = (skip == 0 && rest.len() >= FEW).then(|| key.run_of_blocks(at / 4)).flatten();
        let n = if let Some((counter, words)) = wide {
            let n = rest.len().min(NORMALS);
            let mut normals = [0.0; NORMALS];
            box_muller::normals(counter, words, &mut normals);
            rest[..n].copy_from_slice(&normals[..n]);
            n
        } else {
            let words = key.block(at / 4);
            let [a, b] = box_muller(words[0], words[1]);
            let [c, d] = box_muller(words[2], words[3]);
            let n = rest.len().min(4 - skip);
            rest[..n].copy_from_slice(&[a, b, c, d][skip..skip + n]);
            n
        };
        at += n as u64;
        rest = &mut rest[n..];
    }
}

/// Normals below which one block at a time is faster than many.
const FEW: usize = 48;

/// One integer, uniform on `0 .. n`; 0 where `n` is 0.
///
/// Multiplies a 64-bit word by `n` and keeps the high half: the probability of a value is off by
/// less than `n / 2^64`, which no experiment can see, and one block is consumed whatever happens.
///
/// # Examples
/// ```
/// use dubench::noise::{NoiseKey, Purpose, uniform_below};
/// use dubench::units::SampleId;
///
/// let key = NoiseKey { seed: 0, purpose: Purpose::Label, sample: SampleId(3), step: 0, draw: 0 };
/// assert!(uniform_below(key, 10) < 10);
/// assert_eq!(uniform_below(key, 1), 0);
/// ```
pub fn uniform_below(key: NoiseKey, n: u32) -> u32 {
    let words = key.block(0);
    let wide = (u128::from(words[1]) << 32) | u128::from(words[0]);
    (((wide * u128::from(n)) >> 64) & 0xFFFF_FFFF) as u32
}

/// Fills `out` with a dropout mask: 1 (keep) with `keep_probability`, else 0.
///
/// One mask element takes 16 random bits, so the probability is rounded to a multiple of `2^-16`
/// (0.9 becomes 0.899994). Values outside [0, 1] act as the nearer end, NaN as 0.
///
/// # Examples
/// ```
/// use dubench::noise::{NoiseKey, Purpose, dropout_mask};
/// use dubench::units::SampleId;
///
/// let key = NoiseKey { seed: 0, purpose: Purpose::Dropout, sample: SampleId(0), step: 45, draw: 2 };
/// let mut mask = [0; 9];
/// dropout_mask(key, 1.0, &mut mask);
/// assert_eq!(mask, [1; 9]);
/// ```
pub fn dropout_mask(key: NoiseKey, keep_probability: f32, out: &mut [u8]) {
    let threshold = keep_threshold(keep_probability);
    for (block, elements) in (0_u64..).zip(out.chunks_mut(8)) {
        let [a, b, c, d] = key.block(block);
        let low = 0xFFFF;
        let halves = [a & low, a >> 16, b & low, b >> 16, c & low, c >> 16, d & low, d >> 16];
        for (element, half) in elements.iter_mut().zip(halves) {
            *element = u8::from(half < threshold);
        }
    }
}

/// `round(65536 p)` of a probability.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was clamped to 0..=65536 just before; NaN becomes 0"
)]
fn keep_threshold(keep_probability: f32) -> u32 {
    (f64::from(keep_probability).clamp(0.0, 1.0) * 65536.0).round() as u32
}

#[cfg(test)]
mod tests;
