//! A covariance as its diagonal and its correlations in 16-bit fixed point, the smallest form in which it is kept.
//!
//! # Why correlations?
//! They lie in [-1, 1] whatever the units of a feature, so one step fits all of them, and the variances, which FID sums, stay
//! exact. High and low bytes stand apart, since the high ones are few and deflate sees that.

use ndarray::{Array1, Array2};

/// Steps from 0 to a correlation of 1.
pub const STEPS: f64 = 32767.0;

/// The diagonal of sigma `[d]`, and its correlations in steps above the diagonal, row after row, as the high and the low
/// bytes of their i16: `[2, d (d - 1) / 2]`.
///
/// # Examples
/// ```
/// use dubench::store::correlations::{correlations, covariance};
/// use ndarray::array;
///
/// // A correlation of 1/6 is 5461 steps, 0x1555.
/// let (diagonal, steps) = correlations(&array![[4.0, 1.0], [1.0, 9.0]]);
/// assert_eq!((diagonal.clone(), steps.clone()), (array![4.0, 9.0], array![[0x15], [0x55]]));
/// let back = covariance(&diagonal, &steps).unwrap();
/// assert_eq!(back[[0, 1]], 5461.0 / 32767.0 * 6.0);
/// ```
pub fn correlations(sigma: &Array2<f64>) -> (Array1<f64>, Array2<u8>) {
    let diagonal = sigma.diag().to_owned();
    let scale = diagonal.mapv(f64::sqrt);
    let dim = diagonal.len();
    let n_pairs = dim * dim.saturating_sub(1) / 2;
    let mut steps = Array2::zeros((2, n_pairs));
    for (k, (i, j)) in pairs(dim).enumerate() {
        let size = scale[i] * scale[j];
        // A feature that never changes is correlated with nothing.
        let correlation = if size > 0.0 { sigma[[i, j]] / size } else { 0.0 };
        let rounded = (correlation * STEPS).round().clamp(-STEPS, STEPS);
        #[expect(clippy::cast_possible_truncation, reason = "at most 32767 either way")]
        let [high, low] = (rounded as i16).to_be_bytes();
        steps[[0, k]] = high;
        steps[[1, k]] = low;
    }
    (diagonal, steps)
}

/// The covariance of a diagonal and correlations in steps: `q / 32767 (sqrt(sigma_ii) sqrt(sigma_jj))` beside the diagonal;
/// `None` where the shapes do not fit or a variance is negative.
pub fn covariance(diagonal: &Array1<f64>, steps: &Array2<u8>) -> Option<Array2<f64>> {
    let dim = diagonal.len();
    let fits = steps.dim() == (2, dim * dim.saturating_sub(1) / 2);
    if !fits || diagonal.iter().any(|variance| *variance < 0.0) {
        return None;
    }
    let scale = diagonal.mapv(f64::sqrt);
    let mut sigma = Array2::from_diag(diagonal);
    for (k, (i, j)) in pairs(dim).enumerate() {
        let step = f64::from(i16::from_be_bytes([steps[[0, k]], steps[[1, k]]]));
        let value = step / STEPS * (scale[i] * scale[j]);
        sigma[[i, j]] = value;
        sigma[[j, i]] = value;
    }
    Some(sigma)
}

/// Places above the diagonal, row after row.
fn pairs(dim: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..dim).flat_map(move |i| (i + 1..dim).map(move |j| (i, j)))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn variances_are_exact_and_correlations_within_half_a_step() {
        let sigma =
            array![[4.0, -1.9, 0.3, 0.0], [-1.9, 1.0, 1e-7, 0.0], [0.3, 1e-7, 0.5, 0.0], [0.0; 4]];
        let (diagonal, steps) = correlations(&sigma);
        let back = covariance(&diagonal, &steps).unwrap();
        assert_eq!(back.diag(), sigma.diag());
        for ((i, j), value) in sigma.indexed_iter() {
            let step = (sigma[[i, i]] * sigma[[j, j]]).sqrt() / STEPS;
            assert!((back[[i, j]] - value).abs() <= 0.5 * step * (1.0 + 1e-9), "{i} {j}");
            assert_eq!(back[[i, j]], back[[j, i]]);
        }
        assert_eq!(back[[1, 2]], 0.0);
    }

    #[test]
    fn the_ends_of_the_scale_are_kept() {
        let (diagonal, steps) = correlations(&array![[1.0, -1.0], [-1.0, 1.0]]);
        assert_eq!(steps, array![[0x80], [0x01]]);
        assert_eq!(covariance(&diagonal, &steps).unwrap()[[0, 1]], -1.0);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(covariance(&array![1.0, 1.0], &array![[0, 0], [0, 0]]), None);
        assert_eq!(covariance(&array![-1.0, 1.0], &array![[0], [0]]), None);
    }
}
