//! Quantiles with linear interpolation, as NumPy and PyTorch compute them by default.

/// The `q`-quantile of `values`: with the sorted values `v_0 .. v_{n-1}` and `k = q (n - 1)`, linear
/// between `v_floor(k)` and `v_ceil(k)`. `None` without values or for `q` outside [0, 1].
///
/// `values` is reordered. The result is f64, so a comparison with the f32 values is exact.
///
/// # Examples
/// ```
/// use dubench::guidance::quantile_linear;
///
/// assert_eq!(quantile_linear(&mut [4.0, 1.0, 2.0, 3.0], 0.5), Some(2.5));
/// assert_eq!(quantile_linear(&mut [], 0.5), None);
/// ```
pub fn quantile_linear(values: &mut [f32], q: f64) -> Option<f64> {
    if values.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let place = q * (values.len() - 1) as f64;
    let low = floor_index(place).min(values.len() - 1);
    let (_, below, above) = values.select_nth_unstable_by(low, f32::total_cmp);
    let below = f64::from(*below);
    let next = above.iter().copied().min_by(f32::total_cmp).map_or(below, f64::from);
    Some(below + (next - below) * (place - low as f64))
}

/// Largest index that is not above `place`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "place is a fraction of a length, so it is neither negative nor beyond usize"
)]
pub(super) fn floor_index(place: f64) -> usize {
    place.floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.quantile` 2.4.6 of [7, 1, 5, 3, 3, 9, 0.5].
    #[test]
    fn values_are_those_of_numpy() {
        let values = [7.0_f32, 1.0, 5.0, 3.0, 3.0, 9.0, 0.5];
        let expected =
            [(0.0, 0.5), (0.1, 0.8), (0.25, 2.0), (0.5, 3.0), (0.7, 5.4), (0.95, 8.4), (1.0, 9.0)];
        for (q, expected) in expected {
            let got = quantile_linear(&mut values.clone(), q).unwrap();
            assert!((got - expected).abs() < 1e-12, "q = {q}: {got}, expected {expected}");
        }
    }

    #[test]
    fn degenerate_input_has_a_defined_answer() {
        assert_eq!(quantile_linear(&mut [2.0], 0.95), Some(2.0));
        assert_eq!(quantile_linear(&mut [2.0; 9], 0.95), Some(2.0));
        assert_eq!(quantile_linear(&mut [1.0, 2.0], 1.1), None);
        assert_eq!(quantile_linear(&mut [1.0, 2.0], f64::NAN), None);
    }
}
