//! Intervals of numbers that have no influence function here: shares and rank correlations.

use crate::error::{MetricError, Result, at_least};
use crate::normal::two_sided_quantile;

/// The interval of a share of which `hits` of `n` independent draws are a measurement, by Wilson's score.
///
/// The ends are the shares p with `|hits / n - p| = z sqrt(p (1 - p) / n)` (Wilson 1927). Unlike `p +- z se` it is not
/// empty at 0 and 1: no hit in 200 draws says that the share is below 0.019, not that it is 0. For a p-value by random
/// subsets the share is the p-value that infinitely many subsets would give.
///
/// # Errors
/// [`MetricError::OutOfRange`] for more hits than draws or a level outside (0, 1), [`MetricError::TooFewSamples`] for no
/// draw.
///
/// # Examples
/// ```
/// use dubench_metrics::share_interval;
/// let (low, high) = share_interval(0, 200, 0.95)?;
/// let z2 = 1.959_963_984_540_054_f64.powi(2);
/// assert_eq!(low, 0.0);
/// assert!((high - z2 / (200.0 + z2)).abs() < 1e-12); // the closed form without hits
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn share_interval(hits: usize, n: usize, level: f64) -> Result<(f64, f64)> {
    at_least("the draws of a share", n, 1)?;
    if hits > n {
        return Err(MetricError::out_of_range("the hits of a share", hits, format!("0 to {n}")));
    }
    let z = quantile(level)?;
    let (count, share) = (n as f64, hits as f64 / n as f64);
    let scale = 1.0 + z * z / count;
    let middle = (share + 0.5 * z * z / count) / scale;
    let spread = share * (1.0 - share) / count + 0.25 * z * z / (count * count);
    let half = z * spread.sqrt() / scale;
    let low = if hits == 0 { 0.0 } else { middle - half };
    let high = if hits == n { 1.0 } else { middle + half };
    Ok((low, high))
}

/// The interval of Spearman's rho of `n` pairs by Fisher's z with the variance of Bonett and Wright.
///
/// `tanh(atanh(rho) +- z sqrt((1 + rho^2 / 2) / (n - 3)))` (Bonett and Wright 2000, "Sample size requirements for
/// estimating Pearson, Kendall and Spearman correlations", Psychometrika 65). It is meant for `|rho| < 0.95`; rho of 1 or
/// -1 has an interval of one point.
///
/// # Errors
/// [`MetricError::TooFewSamples`] below four pairs, [`MetricError::OutOfRange`] for rho outside [-1, 1] or a level outside
/// (0, 1).
///
/// # Examples
/// ```
/// use dubench_metrics::spearman_interval;
/// let (low, high) = spearman_interval(0.0, 103, 0.95)?;
/// assert!((high - (1.959_963_984_540_054_f64 / 10.0).tanh()).abs() < 1e-12);
/// assert_eq!(low, -high);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn spearman_interval(rho: f64, n: usize, level: f64) -> Result<(f64, f64)> {
    at_least("the interval of a rank correlation", n, 4)?;
    if !(-1.0..=1.0).contains(&rho) {
        return Err(MetricError::out_of_range("a rank correlation", rho, "-1 to 1"));
    }
    let z = quantile(level)?;
    if rho.abs() >= 1.0 {
        return Ok((rho, rho));
    }
    let half = z * ((1.0 + 0.5 * rho * rho) / (n - 3) as f64).sqrt();
    let centre = libm::atanh(rho);
    Ok((libm::tanh(centre - half), libm::tanh(centre + half)))
}

fn quantile(level: f64) -> Result<f64> {
    if level > 0.0 && level < 1.0 {
        return Ok(two_sided_quantile(level));
    }
    Err(MetricError::out_of_range("the confidence level", level, "0 < level < 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")` of `SciPy` 1.17.1.
    #[test]
    fn intervals_of_shares_are_those_of_scipy() {
        for (hits, n, low, high) in [
            (0, 200, 0.0, 0.018_845_326_377_266_575),
            (8, 200, 0.020_405_632_066_152_302, 0.076_932_068_200_932_94),
            (40, 200, 0.150_452_009_260_981_15, 0.260_855_186_565_378_76),
            (200, 200, 0.981_154_673_622_733_5, 1.0),
            (3, 7, 0.158_219_855_251_469_7, 0.749_541_635_472_342_8),
        ] {
            let found = share_interval(hits, n, 0.95).unwrap();
            assert!(
                (found.0 - low).abs() < 1e-12 && (found.1 - high).abs() < 1e-12,
                "{hits} of {n}"
            );
        }
    }

    #[test]
    fn what_has_no_interval_is_refused() {
        assert!(share_interval(3, 2, 0.95).is_err());
        assert!(share_interval(0, 0, 0.95).is_err());
        assert!(share_interval(1, 2, 1.0).is_err());
        assert!(spearman_interval(0.5, 3, 0.95).is_err());
        assert!(spearman_interval(1.5, 30, 0.95).is_err());
        assert_eq!(spearman_interval(-1.0, 30, 0.95).unwrap(), (-1.0, -1.0));
    }
}
