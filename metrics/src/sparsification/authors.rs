//! What the script released with arXiv:2412.00205 computes.

use crate::error::{MetricError, Result, same_length};
use crate::features::Features;
use ndarray::{Array2, ArrayView2};

/// The error that the released script scores: a reconstruction in 0..255 less a ground truth in [0, 1].
///
/// Both `[n_images, pixels]` u8; both are rounded to half precision on the way, as stored there. The error is
/// therefore about the pixel value itself, whatever the reconstruction is worth, and AUSE and AURG measure how the
/// uncertainty follows brightness. DIFFERENCE: the default is the error on one scale.
///
/// # Errors
/// [`MetricError::LengthMismatch`] if the shapes differ.
///
/// # Examples
/// ```
/// use dubench_metrics::sparsification::authors_code_error;
/// use ndarray::array;
/// let image = array![[0_u8, 255]];
/// // A perfect reconstruction has an error of almost its brightness.
/// assert_eq!(authors_code_error(image.view(), image.view())?, array![[0.0_f32, 254.0]]);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn authors_code_error(
    ground_truth: ArrayView2<'_, u8>,
    reconstruction: ArrayView2<'_, u8>,
) -> Result<Array2<f32>> {
    same_length("the images of the reconstruction", reconstruction.nrows(), ground_truth.nrows())?;
    same_length("the pixels of the reconstruction", reconstruction.ncols(), ground_truth.ncols())?;
    let mut error = reconstruction.mapv(f32::from);
    error.zip_mut_with(&ground_truth, |e, &truth| *e -= to_half(f32::from(truth) / 255.0));
    Ok(error)
}

/// Half precision and zero rows up to `n_rows` images.
pub(super) fn as_released(
    error: Features<'_>,
    uncertainty: Features<'_>,
    n_rows: usize,
) -> Result<(Array2<f32>, Array2<f32>)> {
    if n_rows < error.n() {
        return Err(MetricError::out_of_range(
            "the rows of the padded arrays",
            n_rows,
            format!("at least the {} images given", error.n()),
        ));
    }
    let pixels = error.dim();
    let (mut errors, mut uncertainties) = (Vec::new(), Vec::new());
    for i in 0..error.n() {
        error.append_row_f32(i, &mut errors);
        uncertainty.append_row_f32(i, &mut uncertainties);
    }
    uncertainties.iter_mut().for_each(|u| *u = to_half(*u));
    Ok((padded(errors, pixels, n_rows)?, padded(uncertainties, pixels, n_rows)?))
}

/// Rows of zeros below `rows`, up to `n_rows`.
fn padded(rows: Vec<f32>, pixels: usize, n_rows: usize) -> Result<Array2<f32>> {
    let mut rows = rows;
    rows.resize(n_rows * pixels, 0.0);
    Array2::from_shape_vec((n_rows, pixels), rows)
        .map_err(|e| MetricError::out_of_range("the padded arrays", e, "[n_rows, pixels]"))
}

/// Rounds to the nearest number of half precision (binary16), ties to even; overflow to infinity is clamped to the
/// largest half, 65504.
#[expect(clippy::cast_possible_truncation, reason = "the quotient fits an f32 again")]
fn to_half(value: f32) -> f32 {
    const SMALLEST_NORMAL: f32 = 6.103_515_6e-5;
    const LARGEST: f32 = 65504.0;
    let magnitude = value.abs();
    if magnitude >= LARGEST {
        return LARGEST.copysign(value);
    }
    // The spacing of halves around the value: 2^(exponent - 10), constant below the smallest normal.
    let exponent = libm::ilogb(f64::from(magnitude.max(SMALLEST_NORMAL)));
    let spacing = libm::ldexp(1.0, exponent - 10);
    ((f64::from(magnitude) / spacing).round_ties_even() * spacing).copysign(f64::from(value)) as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "rounding has one right answer")]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_ieee_754() {
        for (value, half) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 2048.0, 1.0),
            (1.0 + 3.0 / 2048.0, 1.0 + 2.0 / 1024.0),
            (0.1, 0.099_975_586),
            (6e-8, 5.960_464_5e-8),
            (2.9e-8, 0.0),
            (-254.99, -255.0),
        ] {
            assert_eq!(to_half(value), half, "{value}");
        }
    }
}
