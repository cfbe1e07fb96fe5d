//! Separable resampling with any number of taps, columns first.

use super::check_sizes;
use super::kernel::{Filter, Taps, antialias_taps, pillow_taps};
use super::separable::SeparablePlan;
use crate::error::Result;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

/// Fraction bits of Pillow's 8-bit weights.
const PRECISION_BITS: u32 = 22;

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

/// Resizes an 8-bit image `[h, w, c]` to `to = (height, width)` as Pillow does, to the byte.
///
/// Weights are rounded to 22 fraction bits, sums are integers, and the image between the two passes is 8-bit.
/// A side that keeps its length is not resampled.
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
    let mut wide = image.to_owned();
    if width != to.1 {
        let taps = fixed_point(&pillow_taps(width, to.1, filter));
        wide = Array3::from_shape_fn((height, to.1, channels), |(y, x, c)| {
            taps[x].apply(|i| wide[[y, i, c]])
        });
    }
    if height != to.0 {
        let taps = fixed_point(&pillow_taps(height, to.0, filter));
        wide = Array3::from_shape_fn((to.0, to.1, channels), |(y, x, c)| {
            taps[y].apply(|i| wide[[i, x, c]])
        });
    }
    Ok(wide)
}

struct FixedTaps {
    first: usize,
    weights: Vec<i64>,
}

impl FixedTaps {
    fn apply(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        let half = 1_i64 << (PRECISION_BITS - 1);
        let sum = self
            .weights
            .iter()
            .enumerate()
            .fold(half, |sum, (offset, w)| sum + w * i64::from(pixel(self.first + offset)));
        u8::try_from((sum >> PRECISION_BITS).clamp(0, 255)).unwrap_or(u8::MAX)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a weight of 22 bits")]
fn fixed_point(taps: &[Taps]) -> Vec<FixedTaps> {
    let one = f64::from(1_u32 << PRECISION_BITS);
    let fix = |w: &f64| (w * one + 0.5_f64.copysign(*w)) as i64;
    taps.iter()
        .map(|t| FixedTaps { first: t.first, weights: t.weights.iter().map(fix).collect() })
        .collect()
}
