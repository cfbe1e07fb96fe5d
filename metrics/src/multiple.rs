//! Several tests at once.

use crate::error::{MetricError, Result};

/// The p-values of a family of tests, adjusted by Holm's method, in the order given.
///
/// `p_(i)` of m ascending ones becomes `max_(j <= i) min(1, (m - j + 1) p_(j))` (Holm 1979, "A simple sequentially
/// rejective multiple test procedure"). Rejecting where the result is below alpha makes one wrong rejection or more with
/// probability alpha at most, whatever the tests have in common.
///
/// # Errors
/// [`MetricError::OutOfRange`] for a p-value outside [0, 1].
///
/// # Examples
/// ```
/// use dubench_metrics::holm;
/// // By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which may not be below the one before it.
/// let adjusted = holm(&[0.01, 0.04, 0.03, 0.005])?;
/// let expected = [0.03, 0.06, 0.06, 0.02];
/// assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    if let Some(p) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(MetricError::out_of_range("a p-value", p, "0 to 1"));
    }
    let mut ascending: Vec<usize> = (0..p_values.len()).collect();
    ascending.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, &at) in ascending.iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        least = least.max((left * p_values[at]).min(1.0));
        adjusted[at] = least;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_test_needs_no_adjustment_and_none_is_none() {
        assert_eq!(holm(&[0.2]).unwrap(), [0.2]);
        assert!(holm(&[]).unwrap().is_empty());
    }

    #[test]
    fn adjusted_values_end_at_one_and_keep_their_order() {
        assert_eq!(holm(&[0.5, 1.0, 0.4]).unwrap(), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_is_no_p_value_is_refused() {
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(holm(&[0.1, bad]), Err(MetricError::OutOfRange { .. })));
        }
    }
}
