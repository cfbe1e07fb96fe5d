//! Moments over draws, element by element, in f64.

use ndarray::{Array4, ArrayView4};

use crate::noise::nearest_f32;

/// Mean over draws, f64. Zeros of shape `[0, 0, 0, 0]` when there is no draw.
pub fn mean_over_draws(draws: &[ArrayView4<'_, f32>]) -> Array4<f64> {
    let shape = draws.first().map_or((0, 0, 0, 0), ArrayView4::dim);
    let mut mean = Array4::<f64>::zeros(shape);
    for draw in draws {
        mean.zip_mut_with(draw, |sum, value| *sum += f64::from(*value));
    }
    mean.mapv_inplace(|sum| sum / draws.len() as f64);
    mean
}

/// Unbiased variance over draws (`ddof = 1`), rounded to f32. It needs two draws.
///
/// # Examples
/// ```
/// use dubench::uncertainty::variance_over_draws;
/// use ndarray::Array4;
///
/// let [a, b] = [1.0_f32, 4.0].map(|value| Array4::from_elem((1, 1, 1, 1), value));
/// // ((1 - 2.5)^2 + (4 - 2.5)^2) / (2 - 1)
/// assert_eq!(variance_over_draws(&[a.view(), b.view()])[[0, 0, 0, 0]], 4.5);
/// ```
pub fn variance_over_draws(draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
    let mean = mean_over_draws(draws);
    let squares = sum_of_squares_about(draws, &mean);
    squares.mapv(|sum| nearest_f32(sum / (draws.len() as f64 - 1.0)))
}

/// `sum_m (e_m - center)^2`.
pub(super) fn sum_of_squares_about(
    draws: &[ArrayView4<'_, f32>],
    center: &Array4<f64>,
) -> Array4<f64> {
    let mut squares = Array4::<f64>::zeros(center.raw_dim());
    for draw in draws {
        ndarray::Zip::from(&mut squares).and(draw).and(center).for_each(|sum, value, center| {
            *sum += (f64::from(*value) - center).powi(2);
        });
    }
    squares
}
