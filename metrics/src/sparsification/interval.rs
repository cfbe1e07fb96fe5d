//! The conventions of other tools: thresholds at percentiles, and normalised curves.

use super::exact::ExactCurve;

/// A curve on a grid of fractions removed.
pub(super) struct GridCurve {
    pub(super) values: Vec<f64>,
    pub(super) area: f64,
}

/// mono-uncertainty: `intervals` thresholds at percentiles of `-u`, RMSE of what is at or above, a zero appended.
///
/// `uncertainty(rank)` ascends, `squared` is the squared error of each rank.
pub(super) fn percentile_curve(
    uncertainty: impl Fn(usize) -> f64,
    squared: &[f64],
    intervals: usize,
) -> GridCurve {
    let n = squared.len();
    let key = |i: usize| -uncertainty(n - 1 - i);
    let kept: Vec<usize> = (0..intervals)
        .map(|k| {
            let percent = 100.0 * (k as f64 / intervals as f64);
            let threshold = percentile(&key, n, percent);
            n - partition_point(n, |i| key(i) < threshold).min(n - 1)
        })
        .collect();
    let mut values = vec![0.0; intervals + 1];
    let (mut sum, mut summed) = (0.0, 0);
    for (value, kept) in values.iter_mut().zip(kept).rev() {
        sum += squared[summed..kept.max(summed)].iter().sum::<f64>();
        summed = kept.max(summed);
        *value = (sum / kept as f64).sqrt();
    }
    let area = trapezoid(&values, 1.0 / intervals as f64);
    GridCurve { values, area }
}

/// The first index of `0..n` that is not `below`; those that are come first.
fn partition_point(n: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// `NumPy`'s default percentile of `n` ascending values: linear between the two nearest ranks.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank within the array"
)]
fn percentile(ascending: &impl Fn(usize) -> f64, n: usize, percent: f64) -> f64 {
    let rank = percent / 100.0 * (n - 1) as f64;
    let low = rank as usize;
    let (below, above) = (ascending(low), ascending((low + 1).min(n - 1)));
    let (fraction, step) = (rank - low as f64, above - below);
    if fraction < 0.5 { below + step * fraction } else { above - step * (1.0 - fraction) }
}

/// torch-uncertainty: mean absolute error of the kept pixels over that of all, at `x = i / n`, by the trapezoid rule.
///
/// `error` ascends by uncertainty.
pub(super) fn normalised_curve(error: impl Iterator<Item = f64>) -> GridCurve {
    let mut sum = 0.0;
    let mut means: Vec<f64> = error
        .enumerate()
        .map(|(i, e)| {
            sum += e;
            sum / (i + 1) as f64
        })
        .collect();
    let all = means.last().copied().unwrap_or(0.0);
    means.iter_mut().for_each(|m| *m = if all == 0.0 { 0.0 } else { *m / all });
    means.reverse();
    let area = trapezoid(&means, 1.0 / means.len() as f64);
    GridCurve { values: means, area }
}

pub(super) fn trapezoid(values: &[f64], step: f64) -> f64 {
    values.windows(2).map(|pair| 0.5 * step * (pair[0] + pair[1])).sum()
}

/// The values of a curve at `x = k / intervals`, where the curve has one value for each number of pixels kept.
pub(super) fn at_grid(curve: &ExactCurve, intervals: usize) -> Vec<f64> {
    let n = curve.rmse_of_kept.len();
    (0..=intervals)
        .map(|k| {
            let removed = k * n / intervals;
            curve.rmse_of_kept[(n - removed).max(1) - 1]
        })
        .collect()
}

/// The values of a curve given at `x = i / n`, at `x = k / intervals`.
pub(super) fn resampled(values: &[f64], intervals: usize) -> Vec<f64> {
    let n = values.len();
    (0..=intervals).map(|k| values[(k * n / intervals).min(n - 1)]).collect()
}
