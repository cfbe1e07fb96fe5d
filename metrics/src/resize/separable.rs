//! Both passes of a separable resampling, for several rows or columns at a time.

use super::kernel::Taps;
use crate::simd::{Kernel, vectorised};

/// Rows that are stretched together: one lane each, so that a tap is one multiplication for all.
const LANES: usize = 8;

/// A resampling between two fixed sizes, prepared once: f64 sums in the order of the taps, rounded to f32 after each pass.
#[derive(Debug, Clone)]
pub(super) struct SeparablePlan {
    input_width: usize,
    output_width: usize,
    /// Weights of each output column; `None` copies.
    columns: Option<Vec<Taps>>,
    /// Weights of each output row; `None` copies.
    rows: Option<Vec<Taps>>,
}

impl SeparablePlan {
    /// `columns` and `rows`: the weights along each axis of an input of width `input_width`, `None` to leave it alone.
    pub(super) fn new(
        input_width: usize,
        columns: Option<Vec<Taps>>,
        rows: Option<Vec<Taps>>,
    ) -> Self {
        let output_width = columns.as_ref().map_or(input_width, Vec::len);
        Self { input_width, output_width, columns, rows }
    }

    /// Resamples a row-major plane and maps each result by `finish`. `wide` is reused between calls.
    pub(super) fn apply(
        &self,
        input: &[f32],
        output: &mut [f32],
        wide: &mut Vec<f32>,
        finish: impl Fn(f32) -> f32 + Copy,
    ) {
        let width = self.output_width;
        let stretched = match &self.columns {
            None => input,
            Some(taps) => {
                wide.resize(input.len() / self.input_width * width, 0.0);
                vectorised(Stretch { input, width: self.input_width, taps, output: wide });
                wide.as_slice()
            }
        };
        match &self.rows {
            None => output.iter_mut().zip(stretched).for_each(|(out, &v)| *out = finish(v)),
            Some(taps) => vectorised(Pile { input: stretched, width, taps, output, finish }),
        }
    }
}

/// Resamples along each row.
struct Stretch<'a> {
    input: &'a [f32],
    width: usize,
    taps: &'a [Taps],
    output: &'a mut [f32],
}

/// The pixels of one column of the rows under way.
type Column = [f64; LANES];

impl Kernel for Stretch<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) {
        let out_width = self.taps.len();
        let mut columns: Vec<Column> = vec![[0.0; LANES]; self.width];
        let mut stretched = vec![[0.0_f32; LANES]; out_width];
        let inputs = self.input.chunks(LANES * self.width);
        for (input, out) in inputs.zip(self.output.chunks_mut(LANES * out_width)) {
            for (lane, row) in input.chunks_exact(self.width).enumerate() {
                columns.iter_mut().zip(row).for_each(|(pixel, &v)| pixel[lane] = f64::from(v));
            }
            for (sums, taps) in stretched.iter_mut().zip(self.taps) {
                let columns = &columns[taps.first..][..taps.weights.len()];
                *sums = match (columns, taps.weights.as_slice()) {
                    // Bicubic enlargement away from the border.
                    (&[a, b, c, d], &[p, q, r, s]) => weighted([(a, p), (b, q), (c, r), (d, s)]),
                    (columns, weights) => {
                        weighted(columns.iter().copied().zip(weights.iter().copied()))
                    }
                };
            }
            for (lane, row) in out.chunks_exact_mut(out_width).enumerate() {
                row.iter_mut().zip(&stretched).for_each(|(out, sums)| *out = sums[lane]);
            }
        }
    }
}

/// The weighted sum of some columns, rounded to f32.
#[expect(clippy::inline_always, reason = "see `Kernel`")]
#[expect(clippy::cast_possible_truncation, reason = "each pass is rounded to f32 by the rule")]
#[inline(always)]
fn weighted(taps: impl IntoIterator<Item = (Column, f64)>) -> [f32; LANES] {
    let mut sums = [0.0_f64; LANES];
    for (column, weight) in taps {
        for lane in 0..LANES {
            sums[lane] += column[lane] * weight;
        }
    }
    sums.map(|sum| sum as f32)
}

/// Resamples along each column: a weighted sum of whole rows.
struct Pile<'a, F> {
    input: &'a [f32],
    width: usize,
    taps: &'a [Taps],
    output: &'a mut [f32],
    finish: F,
}

impl<F: Fn(f32) -> f32 + Copy> Kernel for Pile<'_, F> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[expect(clippy::cast_possible_truncation, reason = "each pass is rounded to f32 by the rule")]
    #[inline(always)]
    fn run(self) {
        let (width, finish) = (self.width, self.finish);
        let mut sums = vec![0.0_f64; width];
        for (out, taps) in self.output.chunks_exact_mut(width).zip(self.taps) {
            let rows = &self.input[taps.first * width..][..taps.weights.len() * width];
            if let &[p, q, r, s] = taps.weights.as_slice() {
                // Bicubic enlargement away from the border: sums stay in registers.
                let row = |tap: usize| &rows[tap * width..][..width];
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                for x in 0..width {
                    let mut sum = 0.0;
                    for (row, weight) in [(a, p), (b, q), (c, r), (d, s)] {
                        sum += f64::from(row[x]) * weight;
                    }
                    out[x] = finish(sum as f32);
                }
                continue;
            }
            sums.fill(0.0);
            for (row, &weight) in rows.chunks_exact(width).zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value) * weight;
                }
            }
            out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = finish(sum as f32));
        }
    }
}
