//! Wilcoxon's signed-rank test of paired differences.

use crate::error::{MetricError, Result};
use crate::normal::two_sided_p;

/// Most differences whose signs are counted: the time that takes grows with their cube.
const COUNTED: usize = 1024;

/// Wilcoxon's signed-rank test: are differences as often and as far above zero as below?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Differences that are not zero.
    pub n: usize,
    /// Sum of the ranks of the positive ones, ties with their mean rank.
    pub positive: f64,
    /// Two-sided p, exact with ties too up to 1,024 differences.
    pub p: f64,
}

/// Tests paired differences (Wilcoxon 1945); zeros are left out, as there. `None` where nothing is left.
///
/// Under the null each difference is as likely to be `d` as `-d`. The distribution of the sum of ranks over all `2^n` signs is
/// counted with the ranks at hand, so ties are no trouble. `p` is twice the smaller tail, 1 at most.
///
/// Of more than 1,024 differences the tail is the saddlepoint approximation of Lugannani and Rice (1980) with the correction of
/// Daniels (1987) for sums on a lattice. Unlike the normal law it keeps its relative error far out: less than 1e-4 of `p` down to
/// 1e-15, less than 5 % where differences take two values only.
///
/// # Errors
/// [`MetricError::NonFinite`] for a difference that is not finite.
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
    if n == 0 {
        return Ok(None);
    }
    kept.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&kept);
    let signed = kept.iter().zip(&ranks).filter(|(d, _)| **d > 0.0);
    let positive: usize = signed.map(|(_, rank)| rank).sum();
    let total: usize = ranks.iter().sum();
    // The law is symmetric: the smaller tail is that below the smaller sum.
    let smaller = positive.min(total - positive);
    let tail = if n <= COUNTED { counted(&ranks, smaller) } else { saddlepoint(&ranks, smaller) };
    Ok(Some(SignedRank { n, positive: positive as f64 / 2.0, p: (2.0 * tail).min(1.0) }))
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

/// Share of all signs whose ranks with a plus add up to `sum` or less.
fn counted(ranks: &[usize], sum: usize) -> f64 {
    let unit = common_divisor(ranks);
    let end = sum / unit;
    let mut shares = vec![0.0; end + 1];
    shares[0] = 1.0;
    let mut most = 0;
    for rank in ranks.iter().map(|rank| rank / unit) {
        most = (most + rank).min(end);
        for at in (0..=most).rev() {
            let with = if at >= rank { shares[at - rank] } else { 0.0 };
            shares[at] = 0.5 * (shares[at] + with);
        }
    }
    shares.iter().sum()
}

/// [`counted`], approximated: `P(S >= x + 1/2) = 1 - Phi(w) + phi(w) (1 / u - 1 / w)` with `K'(t) = x`,
/// `w = sqrt(2 (t x - K(t)))` and `u = 2 sinh(t / 2) sqrt(K''(t))`, where `K(t) = sum ln((1 + exp(t r)) / 2)` is the cumulant
/// generating function of the sum `S` of the ranks `r` with a plus.
fn saddlepoint(ranks: &[usize], sum: usize) -> f64 {
    /// Below it the two parts of the correction are equal but for rounding.
    const CENTRE: f64 = 1e-3;
    let unit = common_divisor(ranks);
    let ranks: Vec<f64> = ranks.iter().map(|rank| (rank / unit) as f64).collect();
    let total: f64 = ranks.iter().sum();
    // The upper tail from `total - sum` on, which is the lower one up to `sum`.
    let x = total - (sum / unit) as f64 - 0.5;
    if x <= total / 2.0 {
        return 0.5;
    }
    let t = saddle(&ranks, x);
    let spread: f64 = ranks.iter().map(|r| r * r * share(t * r) * share(-t * r)).sum();
    let cumulant: f64 =
        ranks.iter().map(|r| t * r + libm::log1p(libm::exp(-t * r)) - std::f64::consts::LN_2).sum();
    let w = (2.0 * (t * x - cumulant)).max(0.0).sqrt();
    let tail = 0.5 * two_sided_p(w);
    if w < CENTRE {
        return tail;
    }
    let u = 2.0 * libm::sinh(0.5 * t) * spread.sqrt();
    let density = libm::exp(-0.5 * w * w) / (2.0 * std::f64::consts::PI).sqrt();
    tail + density * (1.0 / u - 1.0 / w)
}

/// The `t > 0` at which `sum r exp(t r) / (1 + exp(t r))` is `x`: Newton's steps, halved where they leave the bracket.
fn saddle(ranks: &[f64], x: f64) -> f64 {
    let slope = |t: f64| -> (f64, f64) {
        ranks.iter().fold((0.0, 0.0), |(mean, spread), r| {
            let plus = share(t * r);
            (mean + r * plus, spread + r * r * plus * share(-t * r))
        })
    };
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut t = 0.0;
    for _ in 0..200 {
        let (mean, spread) = slope(t);
        if mean < x {
            low = t;
        } else {
            high = t;
        }
        let newton = t + (x - mean) / spread;
        let inside = newton > low && newton < high;
        let next = match (inside, high.is_finite()) {
            (true, _) => newton,
            (false, true) => f64::midpoint(low, high),
            (false, false) => 2.0 * low,
        };
        if (next - t).abs() <= 1e-15 * next {
            return next;
        }
        t = next;
    }
    t
}

/// `exp(v) / (1 + exp(v))`.
fn share(v: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-v))
}

/// The largest number that divides every rank: 2 without ties, of doubled ranks.
fn common_divisor(ranks: &[usize]) -> usize {
    let of_two = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    ranks.iter().fold(0, |all, rank| of_two(all, *rank)).max(1)
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

    /// At the last number that is counted, with and without ties, from the centre to 8 standard deviations.
    #[test]
    fn the_approximation_goes_on_where_counting_stops() {
        let plain: Vec<usize> = (1..=COUNTED).map(|rank| 2 * rank).collect();
        let runs = |of: usize| -> Vec<f64> { (0..COUNTED).map(|i| (1 + i / of) as f64).collect() };
        let (sevens, halves) = (doubled_ranks(&runs(7)), doubled_ranks(&runs(500)));
        for (ranks, within) in [(plain, 1e-5), (sevens, 1e-4), (halves, 5e-2)] {
            let total: usize = ranks.iter().sum();
            let sd = 0.5 * ranks.iter().map(|r| (r * r) as f64).sum::<f64>().sqrt();
            for deviations in [0.01, 0.5, 1.96, 4.0, 8.0] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a sum of ranks"
                )]
                let sum = (total as f64 / 2.0 - deviations * sd) as usize;
                let (right, got) = (counted(&ranks, sum), saddlepoint(&ranks, sum));
                assert!((got / right - 1.0).abs() < within, "{deviations}: {got}, not {right}");
            }
        }
    }

    /// Counted by the same recursion in NumPy 2: 1.873268347e-4 and 1.602417470e-19.
    #[test]
    fn thousands_of_pairs_are_tested() {
        for (shift, positive, right) in [
            (0.02, 2_427_889.0, 0.000_187_326_834_743_787_98),
            (-0.05, 1_823_646.0, 1.602_417_469_528_991_7e-19),
        ] {
            let d: Vec<f64> = (1..=3000)
                .map(|i| (f64::from(i) * std::f64::consts::SQRT_2).fract() - 0.5 + shift)
                .collect();
            let found = signed_rank(&d).unwrap().unwrap();
            assert_eq!((found.n, found.positive), (3000, positive));
            assert!((found.p / right - 1.0).abs() < 1e-5, "{}, not {right}", found.p);
        }
        // As many of either sign: no evidence.
        let even: Vec<f64> = (1..=50_000).flat_map(|i| [f64::from(i), -f64::from(i)]).collect();
        assert_eq!(signed_rank(&even).unwrap().unwrap().p, 1.0);
        let one_sided = signed_rank(&vec![1.0; 5000]).unwrap().unwrap();
        assert!(one_sided.p < 1e-300, "{}", one_sided.p);
    }
}
