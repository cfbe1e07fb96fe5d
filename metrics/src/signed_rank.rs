//! Wilcoxon's signed-rank test of paired differences.

use crate::error::{MetricError, Result};

/// Most differences: the distribution takes `n (n + 1)` numbers.
const MOST: usize = 4096;

/// Wilcoxon's signed-rank test: are differences as often and as far above zero as below?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Differences that are not zero.
    pub n: usize,
    /// Sum of the ranks of the positive ones, ties with their mean rank.
    pub positive: f64,
    /// Two-sided p, exact with ties too.
    pub p: f64,
}

/// Tests paired differences (Wilcoxon 1945); zeros are left out, as there. `None` where nothing is left.
///
/// Under the null each difference is as likely to be `d` as `-d`. The distribution of the sum of ranks over all `2^n` signs is
/// counted, not approximated, with the ranks at hand, so ties are no trouble. `p` is twice the smaller tail, 1 at most.
///
/// # Errors
/// [`MetricError::NonFinite`] for a difference that is not finite, [`MetricError::OutOfRange`] for more than 4,096 of them.
///
/// # Examples
/// ```
/// use dubench_metrics::signed_rank;
/// // Heights of crossed less self-fertilised plants (Darwin 1876), in eighths of an inch. SciPy 1.17.1 has 96 and 0.04125976.
/// let d = [6.0, 8.0, 14.0, 16.0, 23.0, 24.0, 28.0, 29.0, 41.0, -48.0, 49.0, 56.0, 60.0, -67.0, 75.0];
/// let found = signed_rank(&d)?.expect("not all are zero");
/// assert_eq!((found.n, found.positive), (15, 96.0));
/// assert!((found.p - 0.041_259_765_625).abs() < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn signed_rank(differences: &[f64]) -> Result<Option<SignedRank>> {
    if let Some(column) = differences.iter().position(|d| !d.is_finite()) {
        let value = differences[column].to_string();
        return Err(MetricError::NonFinite { what: "differences", row: 0, column, value });
    }
    let mut kept: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = kept.len();
    if n > MOST {
        return Err(MetricError::out_of_range("the number of differences", n, "4096 or fewer"));
    }
    if n == 0 {
        return Ok(None);
    }
    kept.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&kept);
    let signed = kept.iter().zip(&ranks).filter(|(d, _)| **d > 0.0);
    let positive: usize = signed.map(|(_, rank)| rank).sum();
    let shares = distribution(&ranks);
    let below: f64 = shares[..=positive].iter().sum();
    let above: f64 = shares[positive..].iter().sum();
    let p = (2.0 * below.min(above)).min(1.0);
    Ok(Some(SignedRank { n, positive: positive as f64 / 2.0, p }))
}

/// Twice the rank of each of ascending sizes, so that the mean rank of a tie is whole.
fn doubled_ranks(ascending: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(ascending.len());
    while ranks.len() < ascending.len() {
        let first = ranks.len();
        let size = ascending[first].abs();
        let same = |d: &&f64| d.abs().total_cmp(&size).is_eq();
        let last = first + ascending[first..].iter().take_while(same).count();
        // Ranks first + 1 ..= last have the mean (first + 1 + last) / 2.
        ranks.resize(last, first + 1 + last);
    }
    ranks
}

/// Share of all signs that give each sum of the ranks with a plus.
fn distribution(ranks: &[usize]) -> Vec<f64> {
    let mut shares = vec![0.0; ranks.iter().sum::<usize>() + 1];
    shares[0] = 1.0;
    let mut most = 0;
    for rank in ranks {
        most += rank;
        for sum in (0..=most).rev() {
            let with = if sum >= *rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = 0.5 * (shares[sum] + with);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All `2^n` signs, one by one.
    fn by_hand(d: &[f64]) -> f64 {
        let mut kept: Vec<f64> = d.iter().copied().filter(|d| *d != 0.0).collect();
        kept.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let ranks = doubled_ranks(&kept);
        let n = kept.len();
        let sum = |plus: &dyn Fn(usize) -> bool| -> usize {
            (0..n).filter(|i| plus(*i)).map(|i| ranks[i]).sum()
        };
        let found = sum(&|i| kept[i] > 0.0);
        let sums: Vec<usize> =
            (0..1_usize << n).map(|signs| sum(&|i| signs >> i & 1 == 1)).collect();
        let share = |keep: &dyn Fn(usize) -> bool| {
            sums.iter().filter(|sum| keep(**sum)).count() as f64 / sums.len() as f64
        };
        (2.0 * share(&|sum| sum <= found).min(share(&|sum| sum >= found))).min(1.0)
    }

    #[test]
    fn p_counts_all_signs_with_ties_and_zeros_too() {
        for d in [
            &[1.0, -1.0, 2.0, 2.0, -2.0, 3.0, 0.0, 5.0][..],
            &[0.5, 0.5, 0.5, 0.5, 0.5],
            &[-1.0, 2.0],
            &[4.0],
        ] {
            let found = signed_rank(d).unwrap().unwrap();
            assert!((found.p - by_hand(d)).abs() < 1e-12, "{d:?}: {found:?}");
        }
        // Five of one sign: 2 / 32.
        assert!((signed_rank(&[0.5; 5]).unwrap().unwrap().p - 0.0625).abs() < 1e-15);
    }

    #[test]
    fn signs_turn_the_sum_and_keep_p() {
        let d = [3.0, -1.0, 4.0, 1.5, -5.0, 9.0];
        let (one, other) = (d, d.map(|d: f64| -d));
        let [one, other] = [one, other].map(|d| signed_rank(&d).unwrap().unwrap());
        assert!((one.positive + other.positive - 21.0).abs() < 1e-12);
        assert!((one.p - other.p).abs() < 1e-12);
    }

    #[test]
    fn nothing_but_zeros_is_no_test_and_what_is_not_finite_is_refused() {
        assert_eq!(signed_rank(&[0.0, -0.0]).unwrap(), None);
        assert_eq!(signed_rank(&[]).unwrap(), None);
        assert!(matches!(
            signed_rank(&[1.0, f64::NAN]),
            Err(MetricError::NonFinite { column: 1, .. })
        ));
    }
}
