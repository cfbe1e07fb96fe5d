//! Separable resampling of 8-bit images in fixed point, several rows or a whole row at a time.

use super::check_sizes;
use super::kernel::{Filter, Taps, pillow_taps};
use crate::error::{MetricError, Result};
use crate::simd::{Kernel, vectorised};
use ndarray::{Array3, ArrayView3};

/// Fraction bits of Pillow's 8-bit weights.
const PRECISION_BITS: u32 = 22;

/// One half, which is added before the fraction is cut off.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Rows that are stretched together: one lane each.
const LANES: usize = 8;

/// Resizes an 8-bit image `[h, w, c]` to `to = (height, width)` as Pillow does, to the byte.
///
/// Weights are rounded to 22 fraction bits, sums are integers, and the image between the two passes is 8-bit.
/// A side that keeps its length is not resampled. Columns are resampled first, which is what Pillow does except from
/// version 13 on for images whose height shrinks far more than their width.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::{Filter, pillow_u8};
/// use ndarray::array;
/// let image = array![[[0_u8], [3], [10], [20]]];
/// assert_eq!(pillow_u8(image.view(), (1, 2), Filter::Box)?, array![[[2_u8], [15]]]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn pillow_u8(
    image: ArrayView3<'_, u8>,
    to: (usize, usize),
    filter: Filter,
) -> Result<Array3<u8>> {
    let (height, width, channels) = image.dim();
    check_sizes((height, width), to)?;
    if channels == 0 {
        return Ok(Array3::zeros((to.0, to.1, 0)));
    }
    let mut levels: Vec<u8> = match image.as_slice() {
        Some(levels) => levels.to_vec(),
        None => image.iter().copied().collect(),
    };
    if width != to.1 {
        let taps = fixed_point(&pillow_taps(width, to.1, filter));
        let mut wide = vec![0; height * to.1 * channels];
        vectorised(Stretch { input: &levels, width, channels, taps: &taps, output: &mut wide });
        levels = wide;
    }
    if height != to.0 {
        let taps = fixed_point(&pillow_taps(height, to.0, filter));
        let mut tall = vec![0; to.0 * to.1 * channels];
        vectorised(Pile { input: &levels, row: to.1 * channels, taps: &taps, output: &mut tall });
        levels = tall;
    }
    Array3::from_shape_vec((to.0, to.1, channels), levels)
        .map_err(|e| MetricError::out_of_range("the image", e, "one value for each level"))
}

/// The weights of one output pixel in fixed point: input pixels from `first` on.
struct FixedTaps {
    first: usize,
    weights: Vec<i32>,
}

/// Why 32 bits? The absolute weights of a pixel sum to less than two, so no sum of them times 255 leaves the type: it is
/// the one that Pillow sums in.
#[expect(clippy::cast_possible_truncation, reason = "a weight of 22 bits")]
fn fixed_point(taps: &[Taps]) -> Vec<FixedTaps> {
    let one = f64::from(1_u32 << PRECISION_BITS);
    let fix = |w: &f64| (w * one + 0.5_f64.copysign(*w)) as i32;
    taps.iter()
        .map(|t| FixedTaps { first: t.first, weights: t.weights.iter().map(fix).collect() })
        .collect()
}

#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn level(sum: i32) -> u8 {
    u8::try_from((sum >> PRECISION_BITS).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// Adds `weight` times each level to the sums.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[inline(always)]
fn add(sum: &mut i32, weight: i32, level: i32) {
    // Nothing wraps; a check of it would keep the loop from being vectorised.
    *sum = sum.wrapping_add(weight.wrapping_mul(level));
}

/// Resamples along each row.
struct Stretch<'a> {
    input: &'a [u8],
    width: usize,
    channels: usize,
    taps: &'a [FixedTaps],
    output: &'a mut [u8],
}

impl Kernel for Stretch<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let channels = self.channels;
        let (row, out_row) = (self.width * channels, self.taps.len() * channels);
        let mut columns = vec![[0_i32; LANES]; row];
        let mut stretched = vec![[0_u8; LANES]; out_row];
        let inputs = self.input.chunks(LANES * row);
        for (input, out) in inputs.zip(self.output.chunks_mut(LANES * out_row)) {
            for (lane, levels) in input.chunks_exact(row).enumerate() {
                columns.iter_mut().zip(levels).for_each(|(pixel, &v)| pixel[lane] = i32::from(v));
            }
            for (pixel, taps) in stretched.chunks_exact_mut(channels).zip(self.taps) {
                let window = &columns[taps.first * channels..];
                for (c, out) in pixel.iter_mut().enumerate() {
                    let mut sums = [HALF; LANES];
                    for (tap, &weight) in taps.weights.iter().enumerate() {
                        let column = &window[tap * channels + c];
                        sums.iter_mut().zip(column).for_each(|(sum, &v)| add(sum, weight, v));
                    }
                    *out = sums.map(level);
                }
            }
            for (lane, row) in out.chunks_exact_mut(out_row).enumerate() {
                row.iter_mut().zip(&stretched).for_each(|(out, levels)| *out = levels[lane]);
            }
        }
    }
}

/// Resamples along each column: a weighted sum of whole rows.
struct Pile<'a> {
    input: &'a [u8],
    row: usize,
    taps: &'a [FixedTaps],
    output: &'a mut [u8],
}

impl Kernel for Pile<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let row = self.row;
        let mut sums = vec![HALF; row];
        for (out, taps) in self.output.chunks_exact_mut(row).zip(self.taps) {
            sums.fill(HALF);
            let rows = &self.input[taps.first * row..];
            for (levels, &weight) in rows.chunks_exact(row).zip(&taps.weights) {
                sums.iter_mut().zip(levels).for_each(|(sum, &v)| add(sum, weight, i32::from(v)));
            }
            out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = level(sum));
        }
    }
}
