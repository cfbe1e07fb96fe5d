//! The conventions of other tools: thresholds at percentiles, and normalised curves.

use super::exact::ExactCurve;

/// A curve on a grid of fractions removed.
pub(super) struct GridCurve {
    pub(super) values: Vec<f64>,
    pub(super) area: f64,
}

/// mono-uncertainty: `intervals` thresholds at percentiles of `-u`, RMSE of what is at or above, a zero appended.
///
/// `keys` ascend: `-u` of the pixels, most uncertain first; `suffix_mean[i]` is the mean squared error of the pixels
/// from i on.
pub(super) fn percentile_curve(keys: &[f64], suffix_mean: &[f64], intervals: usize) -> GridCurve {
    let mut values: Vec<f64> = (0..intervals)
        .map(|k| {
            let percent = 100.0 * (k as f64 / intervals as f64);
            let threshold = percentile(keys, percent);
            let first = keys.partition_point(|&key| key < threshold).min(keys.len() - 1);
            suffix_mean[first].sqrt()
        })
        .collect();
    values.push(0.0);
    let area = trapezoid(&values, 1.0 / intervals as f64);
    GridCurve { values, area }
}

/// `NumPy`'s default percentile of ascending values: linear between the two nearest ranks.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank within the array"
)]
fn percentile(ascending: &[f64], percent: f64) -> f64 {
    let rank = percent / 100.0 * (ascending.len() - 1) as f64;
    let low = rank as usize;
    let high = (low + 1).min(ascending.len() - 1);
    let (fraction, step) = (rank - low as f64, ascending[high] - ascending[low]);
    if fraction < 0.5 {
        ascending[low] + step * fraction
    } else {
        ascending[high] - step * (1.0 - fraction)
    }
}

/// The mean squared error of the values from each position to the end.
pub(super) fn suffix_means(squared_error: impl DoubleEndedIterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    let mut means: Vec<f64> = squared_error
        .rev()
        .enumerate()
        .map(|(i, e)| {
            sum += e;
            sum / (i + 1) as f64
        })
        .collect();
    means.reverse();
    means
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
