//! Both passes of a separable resampling, for several rows or columns at a time.

use super::kernel::Taps;
use crate::simd::{Kernel, vectorised};
use ndarray::{Array2, ArrayView2};

/// Rows that are stretched together: one lane each, so that a tap is one multiplication for all.
const LANES: usize = 8;

/// Both passes over a plane, f64 sums in the order of the taps, rounded to f32 after each; `None` copies.
pub(super) fn separable_f32(
    plane: ArrayView2<'_, f32>,
    to: (usize, usize),
    columns: Option<&[Taps]>,
    rows: Option<&[Taps]>,
) -> Array2<f32> {
    let input: Vec<f32> = plane.iter().copied().collect();
    let (height, width) = plane.dim();
    let wide = match columns {
        Some(taps) => vectorised(Stretch { input: &input, width, taps }),
        None => input,
    };
    let out = match rows {
        Some(taps) => vectorised(Pile { input: &wide, width: to.1, taps }),
        None => wide,
    };
    let to = (rows.map_or(height, <[Taps]>::len), to.1);
    Array2::from_shape_vec(to, out).expect("one value for each pixel")
}

/// Resamples along each row.
struct Stretch<'a> {
    input: &'a [f32],
    width: usize,
    taps: &'a [Taps],
}

impl Kernel for Stretch<'_> {
    type Output = Vec<f32>;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[expect(clippy::cast_possible_truncation, reason = "each pass is rounded to f32 by the rule")]
    #[inline(always)]
    fn run(self) -> Vec<f32> {
        let height = self.input.len() / self.width;
        let out_width = self.taps.len();
        let mut out = vec![0.0_f32; height * out_width];
        let mut lanes = vec![[0.0_f64; LANES]; self.width];
        let inputs = self.input.chunks(LANES * self.width);
        for (input, out) in inputs.zip(out.chunks_mut(LANES * out_width)) {
            for (lane, row) in input.chunks_exact(self.width).enumerate() {
                lanes.iter_mut().zip(row).for_each(|(pixel, &v)| pixel[lane] = f64::from(v));
            }
            for (x, taps) in self.taps.iter().enumerate() {
                let mut sums = [0.0_f64; LANES];
                for (pixel, &weight) in lanes[taps.first..].iter().zip(&taps.weights) {
                    for lane in 0..LANES {
                        sums[lane] += pixel[lane] * weight;
                    }
                }
                for (row, sum) in out.chunks_exact_mut(out_width).zip(sums) {
                    row[x] = sum as f32;
                }
            }
        }
        out
    }
}

/// Resamples along each column: a weighted sum of whole rows.
struct Pile<'a> {
    input: &'a [f32],
    width: usize,
    taps: &'a [Taps],
}

impl Kernel for Pile<'_> {
    type Output = Vec<f32>;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[expect(clippy::cast_possible_truncation, reason = "each pass is rounded to f32 by the rule")]
    #[inline(always)]
    fn run(self) -> Vec<f32> {
        let mut out = vec![0.0_f32; self.taps.len() * self.width];
        let mut sums = vec![0.0_f64; self.width];
        for (out, taps) in out.chunks_exact_mut(self.width).zip(self.taps) {
            sums.fill(0.0);
            let rows = self.input.chunks_exact(self.width).skip(taps.first);
            for (row, &weight) in rows.zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value) * weight;
                }
            }
            out.iter_mut().zip(&sums).for_each(|(value, &sum)| *value = sum as f32);
        }
        out
    }
}
