//! Separable resampling with any number of taps, columns first.

use super::check_sizes;
use super::kernel::{Filter, antialias_taps, pillow_taps};
use super::separable::SeparablePlan;
use crate::error::Result;
use ndarray::{Array2, ArrayView2};

/// Resizes one f32 plane `[h, w]` to `to = (height, width)` as Pillow does images of mode `F`.
///
/// Weights and sums are f64, each pass is rounded to f32, nothing is clipped. clean-fid resizes each channel of
/// 0..255 this way by [`Filter::Bicubic`]. Columns are resampled first, which is what Pillow does except from
/// version 13 on for images whose height shrinks far more than their width.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::{Filter, pillow_f32};
/// use ndarray::array;
/// let plane = array![[0.0_f32, 2.0, 4.0, 6.0]];
/// assert_eq!(pillow_f32(plane.view(), (1, 2), Filter::Box)?, array![[1.0_f32, 5.0]]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn pillow_f32(
    plane: ArrayView2<'_, f32>,
    to: (usize, usize),
    filter: Filter,
) -> Result<Array2<f32>> {
    check_sizes(plane.dim(), to)?;
    let (height, width) = plane.dim();
    let columns = (width != to.1).then(|| pillow_taps(width, to.1, filter));
    let rows = (height != to.0).then(|| pillow_taps(height, to.0, filter));
    Ok(resample(plane, to, &SeparablePlan::new(width, columns, rows)))
}

/// Applies a plan to a plane of any layout.
fn resample(plane: ArrayView2<'_, f32>, to: (usize, usize), plan: &SeparablePlan) -> Array2<f32> {
    let input: Vec<f32> = plane.iter().copied().collect();
    let mut out = vec![0.0; to.0 * to.1];
    plan.apply(&input, &mut out, &mut Vec::new(), |v| v);
    Array2::from_shape_vec(to, out).expect("one value for each pixel")
}

/// Resizes one plane as `PyTorch`'s `interpolate(mode="bilinear", antialias=True)`.
///
/// The same as [`bilinear`](super::bilinear) with half-pixel centres when enlarging; when shrinking the triangle is
/// stretched by `in / out`.
///
/// # Errors
/// [`MetricError::OutOfRange`](crate::MetricError::OutOfRange) if a side is zero.
///
/// # Examples
/// ```
/// use dubench_metrics::resize::bilinear_antialias;
/// use ndarray::Array2;
/// let flat = Array2::from_elem((8, 8), 3.0_f32);
/// assert!(bilinear_antialias(flat.view(), (3, 3))?.iter().all(|v| (v - 3.0).abs() < 1e-6));
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn bilinear_antialias(plane: ArrayView2<'_, f32>, to: (usize, usize)) -> Result<Array2<f32>> {
    check_sizes(plane.dim(), to)?;
    let (height, width) = plane.dim();
    let columns = antialias_taps(width, to.1);
    let rows = antialias_taps(height, to.0);
    Ok(resample(plane, to, &SeparablePlan::new(width, Some(columns), Some(rows))))
}
