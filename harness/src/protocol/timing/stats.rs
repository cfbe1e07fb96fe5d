//! Mean, spread and interval of a few repeats.

use crate::protocol::rows::{Z95, mean_and_se};

/// Repeats of one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Standard error of the mean.
    pub(super) se: Option<f64>,
    /// 95 % interval of the mean, by Student's t.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) median: f64,
    /// Median absolute deviation from the median.
    pub(super) mad: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let (mean, se) = mean_and_se(values);
        let half = se.map(|se| t95(values.len() - 1) * se);
        let centre = median(values);
        let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
        Self {
            mean,
            se,
            interval: half.map(|half| (mean - half, mean + half)),
            median: centre,
            mad: median(&distances),
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = ((sorted.len().saturating_sub(1)) / 2, sorted.len() / 2);
    f64::midpoint(sorted[low], sorted[high])
}

/// 97.5 % quantile of Student's t: tabulated to ten degrees of freedom, by the expansion of Cornish and Fisher above, where
/// three terms are right to 0.001.
fn t95(degrees: usize) -> f64 {
    const TABLE: [f64; 10] =
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    if let Some(at) = degrees.checked_sub(1).and_then(|at| TABLE.get(at)) {
        return *at;
    }
    let (z, n) = (Z95, degrees as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / n + second / n.powi(2) + third / n.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.ppf(0.975, df)` of `SciPy` 1.17: 2.2010, 2.0860, 1.9840.
    #[test]
    fn quantiles_are_those_of_student() {
        for (degrees, expected) in [(11, 2.2010), (20, 2.0860), (100, 1.9840)] {
            assert!((t95(degrees) - expected).abs() < 1e-3, "{degrees}: {}", t95(degrees));
        }
        assert!((t95(10) - t95(11)).abs() < 0.03, "the expansion joins the table");
    }

    #[test]
    fn one_slow_repeat_moves_the_mean_and_hardly_the_median() {
        let spread = Spread::of(&[1.0, 1.0, 1.2, 9.0]);
        assert!((spread.median - 1.1).abs() < 1e-12 && (spread.mad - 0.1).abs() < 1e-12);
        assert!((spread.mean - 3.05).abs() < 1e-12);
        let (low, high) = spread.interval.unwrap();
        assert!((high - low - 2.0 * 3.182 * spread.se.unwrap()).abs() < 1e-12);
    }
}
