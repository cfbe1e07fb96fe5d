//! Names of the metrics that tables and plots know. A row with another name is printed in the table of the rest.

/// Fréchet distance. On method `random`: the mean over the random subsets.
pub const FID: &str = "fid";
/// Fréchet distance extrapolated to infinitely many images.
pub const FID_INF: &str = "fid_inf";
/// Estimated bias of `fid`: what `fid_inf` takes off.
pub const FID_BIAS: &str = "fid_bias";
/// Standard deviation of `fid` over the random subsets: the error bar of its `delta`.
pub const FID_SD: &str = "fid_sd";
/// `fid` minus that of what the row's argument names: `random` subsets of the same size, the `unguided` images of the same
/// starts.
pub const DELTA: &str = "delta";
/// Two-sided p-value of a `delta` of the same argument.
pub const P_VALUE: &str = "p_value";
/// Rank correlation with the scores of the method that the row's argument names.
pub const SPEARMAN: &str = "spearman";
