//! Two-tap bilinear interpolation.

use super::check_sizes;
use super::torch::HalfPixelPlan;
use crate::error::Result;
use ndarray::{Array2, ArrayView2};

/// Where an output pixel lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grid {
    /// `source = max((i + 1/2) in / out - 1/2, 0)`: `PyTorch` with `align_corners=False`.
    HalfPixel,
    /// `source = i in / out`: `TensorFlow` 1 with `align_corners=False`.
    Corner,
}

/// Resizes one plane `[h, w]` to `to = (height, width)` by interpolating between two rows and two columns.
///
/// All arithmetic is f32, in the order of the tool that [`Grid`] names. For [`Grid::Corner`] (columns first, then rows)
/// the bits are those of torch-fidelity; for [`Grid::HalfPixel`] those of `PyTorch` 2 on images of three channels, on a
/// processor with fused multiply-add: its kernel for one channel sums in another order and may differ in the last bit.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::{Grid, bilinear};
/// use ndarray::array;
/// let plane = array![[0.0_f32, 4.0]];
/// let half_pixel = bilinear(plane.view(), (1, 4), Grid::HalfPixel)?;
/// assert_eq!(half_pixel, array![[0.0_f32, 1.0, 3.0, 4.0]]);
/// let corner = bilinear(plane.view(), (1, 4), Grid::Corner)?;
/// assert_eq!(corner, array![[0.0_f32, 2.0, 4.0, 4.0]]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn bilinear(plane: ArrayView2<'_, f32>, to: (usize, usize), grid: Grid) -> Result<Array2<f32>> {
    check_sizes(plane.dim(), to)?;
    let mut out = Array2::zeros(to);
    let input: Vec<f32> = plane.iter().copied().collect();
    if let Some(out) = out.as_slice_mut() {
        match grid {
            Grid::HalfPixel => HalfPixelPlan::new(plane.dim(), to).apply(&input, out, |v| v),
            Grid::Corner => {
                CornerPlan::new(plane.dim(), to).apply(&input, out, &mut Vec::new(), |v| v);
            }
        }
    }
    Ok(out)
}

/// Source pixels and weights along one axis.
#[derive(Debug, Clone)]
struct Axis {
    low: Vec<usize>,
    high: Vec<usize>,
    /// Weight of `high`.
    fraction: Vec<f32>,
}

impl Axis {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "truncation of a non-negative f32 coordinate is the rule of the tool"
    )]
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f32 / output as f32;
        let mut axis = Self { low: Vec::new(), high: Vec::new(), fraction: Vec::new() };
        for i in 0..output {
            let source = i as f32 * scale;
            let low = (source as usize).min(input - 1);
            axis.low.push(low);
            axis.high.push((low + 1).min(input - 1));
            axis.fraction.push(source - low as f32);
        }
        axis
    }
}

/// A resize between two fixed sizes by `TensorFlow`'s rule, prepared once.
#[derive(Debug, Clone)]
pub(super) struct CornerPlan {
    input_width: usize,
    columns: Axis,
    rows: Axis,
}

impl CornerPlan {
    pub(super) fn new(from: (usize, usize), to: (usize, usize)) -> Self {
        Self {
            input_width: from.1,
            columns: Axis::new(from.1, to.1),
            rows: Axis::new(from.0, to.0),
        }
    }

    /// Resizes a row-major plane and maps each result by `finish`. `scratch` is reused between calls.
    pub(super) fn apply(
        &self,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut Vec<f32>,
        finish: impl Fn(f32) -> f32 + Copy,
    ) {
        let width = self.columns.low.len();
        scratch.clear();
        for row in input.chunks_exact(self.input_width) {
            self.stretch_row(row, scratch);
        }
        for (y, out) in output.chunks_exact_mut(width).enumerate() {
            let low = &scratch[self.rows.low[y] * width..][..width];
            let high = &scratch[self.rows.high[y] * width..][..width];
            let fraction = self.rows.fraction[y];
            for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
                *out = finish(low + (high - low) * fraction);
            }
        }
    }

    fn stretch_row(&self, row: &[f32], out: &mut Vec<f32>) {
        let axis = &self.columns;
        let taps = axis.low.iter().zip(&axis.high).zip(&axis.fraction);
        out.extend(taps.map(|((&low, &high), &f)| row[low] + (row[high] - row[low]) * f));
    }
}
