//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures whether a diffusion model knows where it is wrong.
#[derive(Debug, Parser)]
#[command(name = "dubench", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// How the answer is printed on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// More log lines on stderr; twice for debugging (`DUBENCH_LOG` overrides)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Format of the answer on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an experiment from plan to report; run it again to resume
    Run(RunOptions),
    /// Resolve an experiment into a plan
    Plan(PlanOptions),
    /// Make the thresholds that guidance masks take from a generated set; needed before `generate` where some do
    Thresholds(RunOptions),
    /// Sample images and uncertainty maps
    Generate(RunOptions),
    /// Compute features of the generated images
    Features(RunOptions),
    /// Compute the metrics of a complete run
    Evaluate(RunOptions),
    /// Write tables and plots of an evaluated run
    Report(RunOptions),
    /// Say what is done and what is missing
    Status(RunOptions),
    /// Re-check a finished work folder: all hashes, and random blocks recomputed
    Verify(VerifyOptions),
    /// Remove what killed processes left behind
    Gc(GcOptions),
    /// Queue an experiment on a cluster: an array over its blocks, then its evaluation
    Submit(SubmitOptions),
    /// Metrics of your own arrays, folders or statistics
    #[command(subcommand)]
    Metric(MetricCommand),
    /// Reference statistics of a data set
    Stats(StatsOptions),
    /// Regression gate: is every number inside its two-sided band around the baseline?
    Check(CheckOptions),
    /// Two results side by side
    Compare(CompareOptions),
    /// Graphs made from graphs: gradients, dropout masks, features, last-layer variance
    #[command(subcommand, after_help = GRAPH_HELP)]
    Graph(GraphCommand),
    /// Look at a model bundle
    #[command(subcommand)]
    Model(ModelCommand),
    /// Check this machine: runtime, device, cache, extractor
    Doctor(DoctorOptions),
}

/// Device and threads of the network.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeviceOptions {
    /// `cpu`, `cuda` or `cuda:1`. A device that is asked for is used or the command fails
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Threads of all networks together; default: all cores
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Networks that work side by side on the CPU and share the threads; default: one a thread, as far as their
    /// weights take no more than 1 GiB
    #[arg(long)]
    pub(crate) networks: Option<usize>,
    /// Images in one network call; changes no number on the CPU
    #[arg(long)]
    pub(crate) batch: Option<usize>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunOptions {
    /// Experiment file
    pub(crate) experiment: PathBuf,
    /// Scale named in the experiment file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Where parts are kept
    #[arg(long, default_value = "work")]
    pub(crate) work_dir: PathBuf,
    /// Where tables and plots go
    #[arg(long, default_value = "results")]
    pub(crate) results_dir: PathBuf,
    /// Work on the blocks of shard i of n only (`0/4`), then stop after the features
    #[arg(long, value_name = "i/n")]
    pub(crate) shard: Option<String>,
    /// Stop after this many new blocks
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Recompute the report even where nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanOptions {
    /// Experiment file
    pub(crate) experiment: PathBuf,
    /// Scale named in the experiment file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Print every resolved value
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct VerifyOptions {
    #[command(flatten)]
    pub(crate) run: RunOptions,
    /// Random blocks to recompute from their seeds
    #[arg(long, default_value_t = 1)]
    pub(crate) blocks: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct GcOptions {
    /// Experiment file
    pub(crate) experiment: PathBuf,
    /// Scale named in the experiment file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Where parts are kept
    #[arg(long, default_value = "work")]
    pub(crate) work_dir: PathBuf,
    /// Where tables and plots go
    #[arg(long, default_value = "results")]
    pub(crate) results_dir: PathBuf,
    /// Name what would go, and keep it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep files that were written to less than this long ago: their process may be at work
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub(crate) min_age: u64,
}

/// Who queues and starts the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// An array of `sbatch`.
    Slurm,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SubmitOptions {
    /// Experiment file
    pub(crate) experiment: PathBuf,
    /// Scheduler
    #[arg(long, value_enum)]
    pub(crate) engine: Engine,
    /// Scale named in the experiment file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Tasks of the array, at most one a block; default: 16, or one a block where there are fewer
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<u32>,
    /// Most tasks that run at the same time
    #[arg(long, value_name = "K")]
    pub(crate) throttle: Option<u32>,
    /// Partition of the cluster
    #[arg(long)]
    pub(crate) partition: Option<String>,
    /// Generic resources of a task (`gpu:1`)
    #[arg(long)]
    pub(crate) gres: Option<String>,
    /// Time limit of a job, as Slurm writes it (`4:00:00`); a task that needs longer is queued again
    #[arg(long)]
    pub(crate) time: Option<String>,
    /// Where parts are kept; every node must see it. Scripts and logs go to `slurm/` in it
    #[arg(long, default_value = "work")]
    pub(crate) work_dir: PathBuf,
    /// Where tables and plots go
    #[arg(long, default_value = "results")]
    pub(crate) results_dir: PathBuf,
    /// Write the scripts and queue nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StatsOptions {
    /// `cifar10-train`, `cifar10-test`, a folder of images, or an npz with `arr_0`
    pub(crate) dataset: String,
    #[command(flatten)]
    pub(crate) features: FeatureOptions,
    /// Output file (npz: mu, sigma, n, provenance)
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Where feature blocks are kept, so that a killed run goes on
    #[arg(long, default_value = "work/stats")]
    pub(crate) work_dir: PathBuf,
}

/// Which features stand for an image.
#[derive(Args, Clone, Debug)]
pub(crate) struct FeatureOptions {
    /// Feature extractor under `experiments/extractors/`, or a path to its YAML file
    #[arg(long, default_value = "fid-inception")]
    pub(crate) extractor: String,
    /// Resize and scaling convention
    #[arg(long, default_value = "pytorch-fid")]
    pub(crate) preprocess: String,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

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

#[derive(Args, Clone, Debug)]
pub(crate) struct CheckOptions {
    /// Committed results folder
    pub(crate) baseline: PathBuf,
    /// New results folder
    pub(crate) result: PathBuf,
    /// Half width of the band, in standard errors of the baseline
    #[arg(long, default_value_t = 3.0)]
    pub(crate) sigmas: f64,
    /// Half width of the band as a fraction of the baseline, where that is wider
    #[arg(long, default_value_t = 0.001)]
    pub(crate) relative: f64,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CompareOptions {
    /// First results folder
    pub(crate) a: PathBuf,
    /// Second results folder
    pub(crate) b: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// What a bundle holds, what it can serve, and whether its answers depend on the batch
    Inspect(InspectOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InspectOptions {
    /// Bundle folder
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

/// What all passes have in common. Lines are short enough for a terminal of 80 columns.
const GRAPH_HELP: &str = "\
Each pass reads a plain forward graph (ONNX, operator set 13 to 21, float32,
dynamic batch) and writes a new one: the inputs and outputs of the old one, and
some more. What a pass cannot rewrite it refuses by the name of the node.

Examples, and what is fed to the result:
  dubench graph vjp denoiser.onnx -o vjp.onnx
      sample, timestep, cotangent
  dubench graph variance-gradient denoiser.onnx -o guide.onnx --draws 5
      sample, timestep: 5 rows an image, one after the other
  dubench graph dropout denoiser_train.onnx -o mc.onnx
      sample, timestep, masks [batch, total]
  dubench graph tap denoiser.onnx -o features.onnx
      sample, timestep";

/// Input graph and output graph.
#[derive(Args, Clone, Debug)]
pub(crate) struct GraphFiles {
    /// Forward graph
    pub(crate) input: PathBuf,
    /// Where the derived graph goes; replaces what is there
    #[arg(short, long)]
    pub(crate) output_file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GraphCommand {
    /// Vector-Jacobian product: one more input `cotangent` (shape of the output) and output `jtv` (shape of x)
    Vjp(VjpOptions),
    /// Variance over M rows an image, and its gradient: two more outputs `variance` and `gradient`, one row an image
    VarianceGradient(VarianceGradientOptions),
    /// Dropout under masks that you feed: one more input `masks` (u8 `[batch, total]`, 1 = keep)
    Dropout(DropoutOptions),
    /// Input of the last layer: one more output `features`
    Tap(TapOptions),
    /// Variance of the output under a Gaussian over the last layer's weights: one more output `variance`
    LastLayerVariance(LastLayerOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct VjpOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Input to differentiate with respect to; found where only one float image-like input exists
    #[arg(long, value_name = "NAME")]
    pub(crate) x: Option<String>,
    /// Output to differentiate; found where there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct VarianceGradientOptions {
    #[command(flatten)]
    pub(crate) vjp: VjpOptions,
    /// Noise draws M an image, 2 or more: rows i M to (i + 1) M of every input belong to image i
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1024))]
    pub(crate) draws: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DropoutOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Kept values are scaled by a further input `keep_scale` (f32 scalar, 1 / (1 - p)), so that p is chosen at run time;
    /// without it, by each node's own p
    #[arg(long)]
    pub(crate) keep_scale_input: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TapOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Output behind the last layer; found where there is only one float output
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LastLayerOptions {
    #[command(flatten)]
    pub(crate) tap: TapOptions,
    /// npz with `weight_variance` (f32, flat, in the order of the layer's weights) and, where the layer has a bias that is
    /// uncertain, `bias_variance`
    #[arg(long, value_name = "NPZ")]
    pub(crate) variances: PathBuf,
}
