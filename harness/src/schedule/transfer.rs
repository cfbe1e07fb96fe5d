//! The move along a constant `epsilon_hat`: the exact first-order step of the probability flow.

use ndarray::{Array4, ArrayRef4, Zip};

use super::NoiseLevel;
use crate::noise::nearest_f32;

/// `x' = (a' / a) x + (s' - a' s / a) epsilon_hat`: from the level `from` to `to` with `epsilon_hat` held (Eq. 13,
/// arXiv:2010.02502, for any `a` and `s`). In f64, rounded once.
///
/// # Examples
/// ```
/// use dubench::schedule::{NoiseLevel, transfer};
/// use ndarray::Array4;
///
/// let [x, epsilon] = [3.0_f32, 0.5].map(|value| Array4::from_elem((1, 1, 1, 1), value));
/// // Where a = 1 it is an Euler step in sigma.
/// let moved = transfer(&x, &epsilon, &NoiseLevel::exploding(4.0), &NoiseLevel::exploding(2.0));
/// assert_eq!(moved[[0, 0, 0, 0]], 3.0 + (2.0 - 4.0) * 0.5);
/// ```
pub fn transfer(
    x: &ArrayRef4<f32>,
    epsilon: &ArrayRef4<f32>,
    from: &NoiseLevel,
    to: &NoiseLevel,
) -> Array4<f32> {
    let keep = to.a() / from.a();
    let gain = to.s() - keep * from.s();
    Zip::from(x)
        .and(epsilon)
        .map_collect(|x, e| nearest_f32(keep * f64::from(*x) + gain * f64::from(*e)))
}
