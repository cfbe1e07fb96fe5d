//! Names of the metrics that tables and plots know. A row with another name is printed in the table of the rest.

/// Fréchet distance. On method `random`: the mean over the random subsets.
pub const FID: &str = "fid";
/// Fréchet distance extrapolated to infinitely many images.
pub const FID_INF: &str = "fid_inf";
/// `fid` minus the mean of the random subsets of the same size; `se` is their standard deviation.
pub const DELTA_RANDOM: &str = "delta_random";
/// Two-sided p-value within the pool: how often a random subset lies as far from the mean of random subsets.
pub const P_VALUE: &str = "p_value";
/// Estimated bias of `fid`: what `fid_inf` takes off.
pub const FID_BIAS: &str = "fid_bias";
/// Standard deviation of `fid` over the random subsets: the error bar of `delta_random`.
pub const FID_SD: &str = "fid_sd";

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
