//! Moments over draws, element by element, in f64.

use std::ops::Range;

use ndarray::{Array4, ArrayRef4, ArrayView4, CowArray, Ix4};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::noise::nearest_f32;

/// Elements that are worked on at a time: their sums stay in the fastest cache.
const FEW: usize = 512;
/// Elements below which a second core is not worth the asking.
const MANY: usize = 1 << 15;

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
    let n = draws.len() as f64;
    scatter(draws, n - 1.0, |parts, _, center| {
        for part in parts {
            center.iter_mut().zip(*part).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        for sum in center {
            *sum /= n;
        }
    })
}

/// `1 / M sum_m (e_m - center)^2` with an f32 center.
pub(crate) fn mean_square_about(
    draws: &[ArrayView4<'_, f32>],
    center: &ArrayRef4<f32>,
) -> Array4<f32> {
    let view = center.view();
    let standard = view.as_standard_layout();
    let centers = standard.as_slice().unwrap_or_default();
    scatter(draws, draws.len() as f64, |_, range, center| {
        let own = centers.get(range).unwrap_or_default();
        center.iter_mut().zip(own).for_each(|(center, value)| *center = f64::from(*value));
    })
}

/// `1 / over sum_m (e_m - center)^2`, rounded once. `center` writes those of a range of elements over zeros, given the draws
/// there.
///
/// # Why some elements at a time?
/// Every draw is read twice, and sums go through f64: over whole tensors that is a dozen passes through memory. The order in
/// which an element's draws are summed is the same.
fn scatter(
    draws: &[ArrayView4<'_, f32>],
    over: f64,
    center: impl Fn(&[&[f32]], Range<usize>, &mut [f64]) + Sync,
) -> Array4<f32> {
    let standard: Vec<CowArray<'_, f32, Ix4>> =
        draws.iter().map(|draw| draw.as_standard_layout()).collect();
    let flat: Vec<&[f32]> =
        standard.iter().map(|draw| draw.as_slice().unwrap_or_default()).collect();
    let mut out = Array4::zeros(draws.first().map_or((0, 0, 0, 0), ArrayView4::dim));
    let elements = out.as_slice_mut().unwrap_or_default();
    elements.par_chunks_mut(FEW).with_min_len(MANY / FEW).enumerate().for_each(|(chunk, out)| {
        let range = chunk * FEW..chunk * FEW + out.len();
        let parts: Vec<&[f32]> = flat.iter().map(|draw| &draw[range.clone()]).collect();
        let (mut centers, mut squares) = ([0.0; FEW], [0.0; FEW]);
        let (centers, squares) = (&mut centers[..out.len()], &mut squares[..out.len()]);
        center(&parts, range, centers);
        for part in parts {
            for ((sum, value), center) in squares.iter_mut().zip(part).zip(&*centers) {
                *sum += (f64::from(*value) - center).powi(2);
            }
        }
        for (value, sum) in out.iter_mut().zip(squares) {
            *value = nearest_f32(*sum / over);
        }
    });
    out
}
