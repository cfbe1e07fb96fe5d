//! Options of the metrics of your own arrays.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FeatureOptions, above_zero, many, two_or_more};

/// Two sets of images: features, statistics, arrays or folders.
#[derive(Args, Clone, Debug)]
pub(crate) struct PairOptions {
    /// Real set: features [n, d] (`.npy`, or `.npz` with `feats`, `features` or `arr_0`; any type of numbers), statistics
    /// (`.npz` with `mu`, `sigma` and, for error bars, `n`), images as u8 [n, h, w, 3] or [n, 3, h, w] (`.npy`, or `.npz`
    /// with `arr_0`), a folder of images with its subfolders (PNG, JPEG, WebP, TIFF, BMP; the content decides), or features
    /// in Parquet, a file or a folder
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
    /// Squared maximum mean discrepancy, Gaussian kernel, on any features (CMMD: CLIP features, sigma 10, biased, times 1000)
    Mmd(MmdOptions),
    /// Inception Score of logits
    Is(InceptionScoreOptions),
    /// Improved precision and recall, density and coverage
    Pr(PrOptions),
    /// How like a real image each generated one is: reach of a real ball over the distance to it, at its largest
    Realism(SphereOptions),
    /// How rare each generated image is among real ones: least reach of a real ball that holds it
    Rarity(SphereOptions),
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
    #[arg(long, default_value_t = 100, value_parser = many)]
    pub(crate) subsets: usize,
    /// Images in a subset
    #[arg(long, default_value_t = 1000, value_parser = two_or_more)]
    pub(crate) subset_size: usize,
    /// Seed of the subset draw
    #[arg(long, default_value_t = 2020)]
    pub(crate) seed: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct MmdOptions {
    #[command(flatten)]
    pub(crate) pair: PairOptions,
    /// Bandwidth of the kernel exp(-|x - y|^2 / (2 sigma^2)), in units of the features
    #[arg(long, default_value_t = 10.0, value_parser = above_zero)]
    pub(crate) sigma: f64,
    /// `unbiased` (may be negative) or `biased` (never is; what CMMD reports)
    #[arg(long, default_value = "unbiased")]
    pub(crate) estimator: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InceptionScoreOptions {
    /// Logits without bias, one row an image [n, classes], `.npy` or `.npz`
    #[arg(long)]
    pub(crate) logits: PathBuf,
    /// Parts of the shuffled images (torch-fidelity)
    #[arg(long, default_value_t = 10, value_parser = many)]
    pub(crate) splits: usize,
    /// Seed of the shuffle
    #[arg(long, default_value_t = 2020)]
    pub(crate) seed: u32,
    /// Consecutive blocks of this many images instead (guided-diffusion: 5000)
    #[arg(long, conflicts_with_all = ["splits", "seed"], value_parser = many)]
    pub(crate) block_size: Option<usize>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PrOptions {
    #[command(flatten)]
    pub(crate) pair: PairOptions,
    /// Neighbours
    #[arg(long, default_value_t = 3, value_parser = many)]
    pub(crate) k: usize,
    /// Whose rules: `adm`, `torch-fidelity` or `prdc`
    #[arg(long, default_value = "adm")]
    pub(crate) convention: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SphereOptions {
    #[command(flatten)]
    pub(crate) pair: PairOptions,
    /// Neighbours: the ball of a real image reaches to the k-th nearest other one
    #[arg(long, default_value_t = 3, value_parser = many)]
    pub(crate) k: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SparsificationOptions {
    /// Errors, [n, ...], first axis = image; [n] is one pool of n pixels; for two axes see `--layout`
    #[arg(long)]
    pub(crate) error: PathBuf,
    /// Uncertainties of the same shape; axes of length one do not count
    #[arg(long)]
    pub(crate) uncertainty: PathBuf,
    /// One curve an image, or one over all pixels
    #[arg(long, default_value = "image")]
    pub(crate) pool: String,
    /// What two axes are: `rows` (one image a row, [n, pixels]) or `map` (one image, [h, w])
    #[arg(long)]
    pub(crate) layout: Option<String>,
    /// `nan`: leave out pixels whose error or uncertainty is NaN
    #[arg(long)]
    pub(crate) ignore: Option<String>,
    /// Whose rules instead of the exact curve: `mono-uncertainty`, `torch-uncertainty` or `authors-code`
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Points of the printed curve, and thresholds of presets that have some
    #[arg(long, default_value_t = 50, value_parser = many)]
    pub(crate) intervals: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FilterOptions {
    /// Reference: statistics, features or images
    #[arg(long)]
    pub(crate) real: PathBuf,
    /// The pool: features [n, d] or images, in any form that `metric fid` takes
    #[arg(long)]
    pub(crate) features: PathBuf,
    #[command(flatten)]
    pub(crate) network: FeatureOptions,
    /// One score an image, `.npy` [n]; high = to be discarded
    #[arg(long)]
    pub(crate) scores: PathBuf,
    /// Images to keep
    #[arg(long, value_parser = many)]
    pub(crate) keep: usize,
    /// Random subsets
    #[arg(long, default_value_t = 200, value_parser = two_or_more)]
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
    /// First set: features [n, d], statistics (unpaired) or images, in any form that `metric fid` takes
    #[arg(long)]
    pub(crate) a: PathBuf,
    /// Second set, in the same forms
    #[arg(long)]
    pub(crate) b: PathBuf,
    /// Row i of both sets comes from the same start noise
    #[arg(long)]
    pub(crate) paired: bool,
    #[command(flatten)]
    pub(crate) network: FeatureOptions,
}
