//! Options of the metrics of your own arrays.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FeatureOptions;

/// Two sets of images: features, statistics, arrays or folders.
#[derive(Args, Clone, Debug)]
pub(crate) struct PairOptions {
    /// Real set: `.npy` features, `.npz` (`mu`, `sigma` or `arr_0`), or a folder of images
    #[arg(long)]
    pub(crate) real: PathBuf,
    /// Generated set, in the same forms
    #[arg(long)]
    pub(crate) fake: PathBuf,
    #[command(flatten)]
    pub(crate) features: FeatureOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MetricCommand {
    /// Fréchet distance with standard error, bias and its value at infinitely many images
    Fid(PairOptions),
    /// Kernel distance, torch-fidelity's subsets and seed
    Kid(KidOptions),
    /// Improved precision and recall, density and coverage
    Pr(PrOptions),
    /// AUSE, AURG and the sparsification curve
    Sparsification(SparsificationOptions),
    /// FID of the images that a score keeps, against random subsets
    Filter(FilterOptions),
    /// Difference of two FIDs, with its standard error
    Compare(FidCompareOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct KidOptions {
    #[command(flatten)]
    pub(crate) pair: PairOptions,
    /// Number of subsets
    #[arg(long, default_value_t = 100)]
    pub(crate) subsets: usize,
    /// Images in a subset
    #[arg(long, default_value_t = 1000)]
    pub(crate) subset_size: usize,
    /// Seed of the subset draw
    #[arg(long, default_value_t = 2020)]
    pub(crate) seed: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PrOptions {
    #[command(flatten)]
    pub(crate) pair: PairOptions,
    /// Neighbours
    #[arg(long, default_value_t = 3)]
    pub(crate) k: usize,
    /// Whose rules: `adm`, `torch-fidelity` or `prdc`
    #[arg(long, default_value = "adm")]
    pub(crate) convention: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SparsificationOptions {
    /// Errors, `.npy` [n, ...], first axis = image
    #[arg(long)]
    pub(crate) error: PathBuf,
    /// Uncertainties of the same shape
    #[arg(long)]
    pub(crate) uncertainty: PathBuf,
    /// One curve an image, or one over all pixels
    #[arg(long, default_value = "image")]
    pub(crate) pool: String,
    /// Whose rules instead of the exact curve: `mono-uncertainty`, `torch-uncertainty` or `authors-code`
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Points of the printed curve, and thresholds of presets that have some
    #[arg(long, default_value_t = 50)]
    pub(crate) intervals: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FilterOptions {
    /// Reference: statistics, features or images
    #[arg(long)]
    pub(crate) real: PathBuf,
    /// Features of the pool, `.npy` [n, d]
    #[arg(long)]
    pub(crate) features: PathBuf,
    /// One score an image, `.npy` [n]; high = to be discarded
    #[arg(long)]
    pub(crate) scores: PathBuf,
    /// Images to keep
    #[arg(long)]
    pub(crate) keep: usize,
    /// Random subsets
    #[arg(long, default_value_t = 200)]
    pub(crate) permutations: usize,
    /// Seed of the subset draw
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FidCompareOptions {
    /// Reference: statistics, features or images
    #[arg(long)]
    pub(crate) real: PathBuf,
    /// First set of features, `.npy` [n, d]
    #[arg(long)]
    pub(crate) a: PathBuf,
    /// Second set of features, `.npy` [n, d]
    #[arg(long)]
    pub(crate) b: PathBuf,
    /// Row i of both sets comes from the same start noise
    #[arg(long)]
    pub(crate) paired: bool,
}
