//! Normals of many Philox blocks at once, by plain loops that compile to vector instructions.
//!
//! # How can this have the bits of `libm`?
//! The arguments are few: `u_1 = (word + 1) / 2^32` and `2 pi word / 2^32`, positive, normal numbers up to 2 pi. There the
//! logarithm of `libm` has no branch, and its sine and cosine only those of the quadrant, so the same additions and products
//! in the same order, with the quadrant chosen by comparison, round to the same bits. No operation is fused. Arguments that
//! lie within 1e-5 of an axis, three words in a hundred thousand, are reduced there with more digits; they go to `libm`.
//! `tests::every_argument_*` holds functions and words against `libm`, all of them where there is time.
//!
//! The polynomials are those of Sun's fdlibm (1993), which `libm` follows: `log` by `s = f / (2 + f)` (Remez, degree 14),
//! kernels of sine and cosine on `[-pi / 4, pi / 4]` with the tail of the reduced argument.

use std::f64::consts::TAU;

use pulp::{Arch, Simd, WithSimd};

use super::nearest_f32;
use super::philox::philox4x32_10;

/// Philox blocks that are computed together.
pub(super) const BLOCKS: usize = 64;
/// Normals of as many blocks.
pub(super) const NORMALS: usize = 4 * BLOCKS;

const SCALE: f64 = 1.0 / 4_294_967_296.0;

/// Two independent standard normals of two words: Box and Muller (1958), in f64.
///
/// `u_1 = (word_0 + 1) / 2^32` lies in (0, 1], so the logarithm is finite and |z| < 6.67.
pub(super) fn box_muller(word_0: u32, word_1: u32) -> [f32; 2] {
    let u_1 = (f64::from(word_0) + 1.0) * SCALE;
    let u_2 = f64::from(word_1) * SCALE;
    let radius = (-2.0 * libm::log(u_1)).sqrt();
    let (sin, cos) = libm::sincos(TAU * u_2);
    [nearest_f32(radius * cos), nearest_f32(radius * sin)]
}

/// Normals of the blocks `counter`, `counter + 1`, ... (first word), by the widest instructions of the processor at hand.
pub(super) fn normals(counter: [u32; 4], key: [u32; 2], out: &mut [f32; NORMALS]) {
    Arch::new().dispatch(Blocks { counter, key, out });
}

struct Blocks<'a> {
    counter: [u32; 4],
    key: [u32; 2],
    out: &'a mut [f32; NORMALS],
}

impl WithSimd for Blocks<'_> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined is compiled for the wider instructions"
    )]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let words = words(self.counter, self.key);
        for (pair, [first, second]) in
            [[&words[0], &words[1]], [&words[2], &words[3]]].into_iter().enumerate()
        {
            let [cos, sin] = pairs(first, second);
            for (lane, (cos, sin)) in cos.iter().zip(&sin).enumerate() {
                self.out[4 * lane + 2 * pair] = *cos;
                self.out[4 * lane + 2 * pair + 1] = *sin;
            }
        }
    }
}

/// The four words of each block.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the wider instructions"
)]
#[inline(always)]
fn words(counter: [u32; 4], key: [u32; 2]) -> [[u32; BLOCKS]; 4] {
    let [mut a, mut b, mut c, mut d] = [[0; BLOCKS]; 4];
    let lanes = a.iter_mut().zip(&mut b).zip(&mut c).zip(&mut d).zip(0_u32..);
    for ((((a, b), c), d), lane) in lanes {
        let first = counter[0].wrapping_add(lane);
        [*a, *b, *c, *d] = philox4x32_10([first, counter[1], counter[2], counter[3]], key);
    }
    [a, b, c, d]
}

/// [`box_muller`] of each pair of words: all first normals, all second ones.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the wider instructions"
)]
#[inline(always)]
fn pairs(words_0: &[u32; BLOCKS], words_1: &[u32; BLOCKS]) -> [[f32; BLOCKS]; 2] {
    let [mut first, mut second] = [[0.0; BLOCKS]; 2];
    let mut near_axis = 0_u32;
    let lanes = first.iter_mut().zip(&mut second).zip(words_0).zip(words_1);
    for (((first, second), word_0), word_1) in lanes {
        let radius = (-2.0 * log((f64::from(*word_0) + 1.0) * SCALE)).sqrt();
        let (sin, cos, near) = sin_cos(TAU * (f64::from(*word_1) * SCALE));
        *first = nearest_f32(radius * cos);
        *second = nearest_f32(radius * sin);
        near_axis |= u32::from(near);
    }
    if near_axis != 0 {
        let lanes = first.iter_mut().zip(&mut second).zip(words_0).zip(words_1);
        for (((first, second), word_0), word_1) in lanes {
            [*first, *second] = box_muller(*word_0, *word_1);
        }
    }
    [first, second]
}

/// `ln x` for `x` in (0, 1], as `libm` has it.
// Only what is inlined is compiled for the wider instructions.
#[inline(always)]
fn log(x: f64) -> f64 {
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    const ODD: [f64; 4] = [
        6.666_666_666_666_735e-1,
        2.857_142_874_366_239e-1,
        1.818_357_216_161_805e-1,
        1.479_819_860_511_658_6e-1,
    ];
    const EVEN: [f64; 3] =
        [3.999_999_999_940_942e-1, 2.222_219_843_214_978_4e-1, 1.531_383_769_920_937_3e-1];
    /// High words of 1 and of the root of 1/2, shifted to their place.
    const ONE: u64 = 0x3FF0_0000 << 32;
    const ROOT: u64 = 0x3FE6_A09E << 32;
    // x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)].
    let shifted = x.to_bits() + (ONE - ROOT);
    let f = f64::from_bits((shifted & 0x000F_FFFF_FFFF_FFFF) + ROOT) - 1.0;
    // A whole number below 2^52 in the mantissa of 2^52: vector units convert no 64-bit integers.
    let k = f64::from_bits(0x4330_0000_0000_0000 | (shifted >> 52))
        - (4_503_599_627_370_496.0 + 1023.0);
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let (z, w) = (s * s, (s * s) * (s * s));
    let even = w * (EVEN[0] + w * (EVEN[1] + w * EVEN[2]));
    let odd = z * (ODD[0] + w * (ODD[1] + w * (ODD[2] + w * ODD[3])));
    let r = odd + even;
    s * (half_square + r) + k * LN_2[1] - half_square + f + k * LN_2[0]
}

/// `(sin x, cos x)` for `x` in [0, 2 pi), as `libm` has them, and whether `x` is so near an axis that it has them not.
// Only what is inlined is compiled for the wider instructions.
#[inline(always)]
fn sin_cos(x: f64) -> (f64, f64, bool) {
    /// Where the next multiple of pi / 2 is taken off: the first number of each high word behind pi / 4, 3 pi / 4, ...
    const BOUNDS: [f64; 4] = [
        f64::from_bits(0x3FE9_21FC << 32),
        f64::from_bits(0x4002_D97D << 32),
        f64::from_bits(0x400F_6A7B << 32),
        f64::from_bits(0x4015_FDBD << 32),
    ];
    /// The first 33 bits of pi / 2, and the rest.
    const HALF_PI: [f64; 2] = [1.570_796_326_734_125_6, 6.077_100_506_506_192e-11];
    let [first, second, third, fourth] = BOUNDS.map(|bound| if x >= bound { 1.0 } else { 0.0 });
    let quadrant = first + second + third + fourth;
    let z = x - quadrant * HALF_PI[0];
    let rest = quadrant * HALF_PI[1];
    let y = z - rest;
    let tail = (z - y) - rest;
    let sin = sin_kernel(y, tail, quadrant == 0.0);
    let cos = cos_kernel(y, tail);
    // In the odd quadrants the two change places; the second and third turn the sine, the first and second the cosine.
    let odd = first - second + third - fourth;
    let (to_sin, to_cos) = if odd == 1.0 { (cos, sin) } else { (sin, cos) };
    let sin = if second - fourth == 1.0 { -to_sin } else { to_sin };
    let cos = if first - third == 1.0 { -to_cos } else { to_cos };
    // Before the first bound nothing was taken off: there `y` is `x`, however small.
    (sin, cos, y.abs() + (1.0 - first) < 1e-5)
}

// Only what is inlined is compiled for the wider instructions.
#[inline(always)]
fn sin_kernel(x: f64, tail: f64, is_exact: bool) -> f64 {
    const S: [f64; 6] = [
        -1.666_666_666_666_663_2e-1,
        8.333_333_333_322_49e-3,
        -1.984_126_982_985_795e-4,
        2.755_731_370_707_006_8e-6,
        -2.505_076_025_340_686_3e-8,
        1.589_690_995_211_55e-10,
    ];
    let z = x * x;
    let w = z * z;
    let r = S[1] + z * (S[2] + z * S[3]) + z * w * (S[4] + z * S[5]);
    let v = z * x;
    let exact = x + v * (S[0] + z * r);
    let reduced = x - ((z * (0.5 * tail - v * r) - tail) - v * S[0]);
    if is_exact { exact } else { reduced }
}

// Only what is inlined is compiled for the wider instructions.
#[inline(always)]
fn cos_kernel(x: f64, tail: f64) -> f64 {
    const C: [f64; 6] = [
        4.166_666_666_666_66e-2,
        -1.388_888_888_887_411e-3,
        2.480_158_728_947_673e-5,
        -2.755_731_435_139_066_3e-7,
        2.087_572_321_298_175e-9,
        -1.135_964_755_778_819_5e-11,
    ];
    let z = x * x;
    let w = z * z;
    let r = z * (C[0] + z * (C[1] + z * C[2])) + w * w * (C[3] + z * (C[4] + z * C[5]));
    let half = 0.5 * z;
    let near_one = 1.0 - half;
    near_one + (((1.0 - near_one) - half) + (z * r - x * tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 2^k-th word, and all words near the ends, near the axes, and near the bounds of the quadrants.
    fn words(stride: u32) -> impl Iterator<Item = u32> {
        let eighths = (0..=8_u64).map(|k| k << 29);
        let near =
            eighths.flat_map(|at| (0..4000).map(move |d| at + d).map(|w| w.saturating_sub(2000)));
        let near = near.filter_map(|word| u32::try_from(word).ok());
        (0..=u32::MAX).step_by(stride as usize).chain(near)
    }

    #[test]
    fn every_argument_has_the_logarithm_and_the_sine_and_cosine_of_libm() {
        // All 2^32 words, stride 1, were compared once: no bit differs.
        for word in words(10_007) {
            let u_1 = (f64::from(word) + 1.0) * SCALE;
            assert_eq!(log(u_1).to_bits(), libm::log(u_1).to_bits(), "word {word}");
            let x = TAU * (f64::from(word) * SCALE);
            let (sin, cos, near_axis) = sin_cos(x);
            let (expected_sin, expected_cos) = libm::sincos(x);
            let same =
                sin.to_bits() == expected_sin.to_bits() && cos.to_bits() == expected_cos.to_bits();
            assert!(
                same || near_axis,
                "word {word}: ({sin}, {cos}), expected ({expected_sin}, {expected_cos})"
            );
        }
    }

    #[test]
    fn few_words_are_near_an_axis() {
        let near = words(10_007).take(429_000).filter(|w| sin_cos(TAU * (f64::from(*w) * SCALE)).2);
        assert!(near.count() < 30);
    }

    #[test]
    fn many_blocks_are_what_each_is_alone() {
        for (counter, key) in
            [([0, 0, 0, 0], [0, 0]), ([0x0300_0100, 4, 59_999, 45 << 16], [42, 7])]
        {
            let mut many = [0.0; NORMALS];
            normals(counter, key, &mut many);
            for (lane, four) in (0..).zip(many.chunks(4)) {
                let [_, y, z, w] = counter;
                let words = philox4x32_10([counter[0] + lane, y, z, w], key);
                let [a, b] = box_muller(words[0], words[1]);
                let [c, d] = box_muller(words[2], words[3]);
                let alone = [a, b, c, d].map(f32::to_bits);
                assert_eq!([0, 1, 2, 3].map(|k| four[k].to_bits()), alone, "block {lane}");
            }
        }
    }
}
