//! Rank correlation: does a score order images as another quantity does?

#![expect(clippy::float_cmp, reason = "ties are equal numbers")]

use crate::error::{MetricError, Result, at_least, same_length};

/// A rank correlation and the p-value of "no association".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankCorrelation {
    /// In [-1, 1].
    pub coefficient: f64,
    /// Standard error under no association.
    pub null_se: f64,
    /// Two-sided, by the normal law; use at n >= 20.
    pub p: f64,
    /// Number of pairs.
    pub n: usize,
}

/// Spearman's rho: Pearson's correlation of the ranks, ties at their mean rank.
///
/// Under no association its standard error is `1 / sqrt(n - 1)`, exactly and with ties too.
///
/// # Errors
/// [`MetricError::LengthMismatch`], [`MetricError::TooFewSamples`] below three pairs, [`MetricError::NonFinite`] for
/// NaN, [`MetricError::OutOfRange`] if one side is constant: nothing is ordered then.
///
/// # Examples
/// ```
/// use dubench_metrics::spearman;
/// let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 4.0, 9.0, 16.0])?;
/// assert!((rho.coefficient - 1.0).abs() < 1e-15);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn spearman(x: &[f64], y: &[f64]) -> Result<RankCorrelation> {
    check_pairs(x, y)?;
    let (ranks_x, ranks_y) = (mean_ranks(x), mean_ranks(y));
    let n = x.len() as f64;
    let middle = 0.5 * (n + 1.0);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in ranks_x.iter().zip(&ranks_y) {
        xy += (a - middle) * (b - middle);
        xx += (a - middle) * (a - middle);
        yy += (b - middle) * (b - middle);
    }
    let coefficient = (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0);
    let null_se = 1.0 / (n - 1.0).sqrt();
    Ok(conclude(coefficient, null_se, x.len()))
}

/// Kendall's tau-b: concordant less discordant pairs, over the pairs not tied on each side, in O(n log n).
///
/// `tau_b = (C - D) / sqrt((n_0 - n_x) (n_0 - n_y))`, with `n_0 = n (n - 1) / 2` and `n_x`, `n_y` the tied pairs
/// (Knight 1966). The standard error under no association is that of Kendall without ties,
/// `sqrt(2 (2 n + 5) / (9 n (n - 1)))`.
///
/// # Errors
/// As [`spearman`].
///
/// # Examples
/// ```
/// use dubench_metrics::kendall;
/// let tau = kendall(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0])?;
/// assert!((tau.coefficient - 4.0 / 6.0).abs() < 1e-15); // five pairs agree, one does not
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn kendall(x: &[f64], y: &[f64]) -> Result<RankCorrelation> {
    check_pairs(x, y)?;
    let n = x.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| compare(x[a], x[b]).then(compare(y[a], y[b])));
    let tied_both = tied_pairs(&order, |&a, &b| x[a] == x[b] && y[a] == y[b]);
    let tied_x = tied_pairs(&order, |&a, &b| x[a] == x[b]);
    let mut by_y: Vec<f64> = order.iter().map(|&i| y[i]).collect();
    let discordant = count_inversions(&mut by_y);
    let tied_y = tied_pairs(&by_y, |a, b| a == b);
    let all = (n * (n - 1) / 2) as f64;
    let concordant = all - tied_x - tied_y + tied_both - discordant;
    let scale = ((all - tied_x) * (all - tied_y)).sqrt();
    let coefficient = ((concordant - discordant) / scale).clamp(-1.0, 1.0);
    let count = n as f64;
    let null_se = (2.0 * (2.0 * count + 5.0) / (9.0 * count * (count - 1.0))).sqrt();
    Ok(conclude(coefficient, null_se, n))
}

fn conclude(coefficient: f64, null_se: f64, n: usize) -> RankCorrelation {
    let p = crate::normal::two_sided_p(coefficient / null_se);
    RankCorrelation { coefficient, null_se, p, n }
}

fn check_pairs(x: &[f64], y: &[f64]) -> Result<()> {
    same_length("the second side of the pairs", y.len(), x.len())?;
    at_least("a rank correlation", x.len(), 3)?;
    for (what, side) in [("the first side of the pairs", x), ("the second side of the pairs", y)] {
        if let Some(row) = side.iter().position(|v| v.is_nan()) {
            return Err(MetricError::NonFinite { what, row, column: 0, value: "NaN".into() });
        }
        if side.iter().all(|v| *v == side[0]) {
            return Err(MetricError::out_of_range(
                what,
                "constant",
                "at least two different values",
            ));
        }
    }
    Ok(())
}

/// The order of numbers in which -0 equals 0; NaN has been refused.
fn compare(a: f64, b: f64) -> std::cmp::Ordering {
    (a + 0.0).total_cmp(&(b + 0.0))
}

/// Ranks from 1, equal values at the mean of their ranks.
fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| compare(values[a], values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + 0.5 * (group.len() + 1) as f64;
        group.iter().for_each(|&i| ranks[i] = rank);
        start += group.len();
    }
    ranks
}

/// Pairs within runs of equal neighbours.
fn tied_pairs<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> f64 {
    sorted.chunk_by(|a, b| equal(a, b)).map(|run| (run.len() * (run.len() - 1) / 2) as f64).sum()
}

/// Sorts by merging and counts the pairs that were in falling order.
fn count_inversions(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let mut inversions = count_inversions(left) + count_inversions(right);
    let mut merged = Vec::with_capacity(n);
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if right[j] < left[i] {
            inversions += (left.len() - i) as f64;
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(&merged);
    inversions
}
