//! Names of the metrics that tables and plots know. A row with another name is printed in the table of the rest.

/// Fréchet distance. On method `random`: the mean over the random subsets.
pub const FID: &str = "fid";
/// Fréchet distance extrapolated to infinitely many images.
pub const FID_INF: &str = "fid_inf";
/// `fid` minus the mean of the random subsets of the same size; `se` is their standard deviation.
pub const DELTA_RANDOM: &str = "delta_random";
/// One-sided p-value within the pool, `(1 + #{random <= kept}) / (1 + #random)`: how often a random subset is at least as
/// near to the reference. Near 0 the score helps, near 1 it harms.
pub const P_VALUE: &str = "p_value";

/// Smallest upper tail that is believed: 200 random subsets cannot resolve a smaller one.
const UNRESOLVED: f64 = 1.0 / 201.0;

/// `2 min(p, 1 - p)` for a one-sided p, in [0, 1].
///
/// # Examples
/// ```
/// use dubench::report::metric::two_sided;
/// assert_eq!(two_sided(0.02), 0.04);
/// assert!((two_sided(0.98) - 0.04).abs() < 1e-12);
/// assert_eq!(two_sided(1.0), 2.0 / 201.0); // 200 subsets cannot say more
/// ```
pub fn two_sided(p: f64) -> f64 {
    (2.0 * p.min((1.0 - p).max(UNRESOLVED))).min(1.0)
}

/// Name of the rank correlation with another method: `spearman(mc_dropout)`.
pub fn spearman(other: &str) -> String {
    format!("spearman({other})")
}

/// The other method of a rank correlation; `None` for any other metric.
///
/// # Examples
/// ```
/// use dubench::report::metric;
/// assert_eq!(metric::spearman_partner(&metric::spearman("centered")), Some("centered"));
/// assert_eq!(metric::spearman_partner("fid"), None);
/// ```
pub fn spearman_partner(metric: &str) -> Option<&str> {
    metric.strip_prefix("spearman(")?.strip_suffix(')')
}
