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
/// As `delta`, of `fid_inf`: each of the two sets rid of its own bias.
pub const DELTA_INF: &str = "delta_inf";
/// Standard error that `delta` has over new pools: that of the FID of what is kept less that of the pool.
pub const DELTA_SE_POOLS: &str = "delta_se_pools";
/// Two-sided p-value of a `delta` of the same argument.
pub const P_VALUE: &str = "p_value";
/// The same, adjusted by Holm's method over the rows of its table: verdicts go by it.
pub const P_HOLM: &str = "p_holm";
/// Kernel distance: unbiased whatever the number of images, to features of real images.
pub const KID: &str = "kid";
/// Standard deviation of `kid` over the random subsets.
pub const KID_SD: &str = "kid_sd";
/// `kid` minus that of what the row's argument names, as `delta`.
pub const DELTA_KID: &str = "delta_kid";
/// Two-sided p-value of a `delta_kid`: against random subsets, or by exchanging the images of pairs.
pub const P_KID: &str = "p_kid";
/// The same, adjusted by Holm's method over the rows of its table.
pub const P_KID_HOLM: &str = "p_kid_holm";
/// Rank correlation with the scores of the method that the row's argument names.
pub const SPEARMAN: &str = "spearman";
