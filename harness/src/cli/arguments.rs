//! The command line, as typed.

mod graph;
mod metric;
mod run;
mod sample;
mod setup;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::stage::statistics::file::Covariance;
pub(crate) use graph::{
    DropoutOptions, GRAPH_HELP, GraphCommand, GraphFiles, LastLayerOptions, StepOptions,
    StepUpdate, VarianceGradientOptions, VjpOptions,
};
pub(crate) use metric::{
    FidCompareOptions, FilterOptions, InceptionScoreOptions, KidOptions, MetricCommand, MmdOptions,
    PairOptions, PrOptions, SparsificationOptions, SphereOptions,
};
pub(crate) use run::{
    Engine, GcOptions, PlanOptions, Plots, RunOptions, StartsOptions, StepGraph, SubmitOptions,
    Target, VerifyOptions,
};
pub(crate) use sample::{SAMPLE_HELP, SampleOptions};
pub(crate) use setup::{SETUP_HELP, SetupDevice, SetupOptions};

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
    /// Write `x_T` and classes as the seed gives them, for other programs and for `starts:` of an experiment
    Starts(StartsOptions),
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
    /// Sample a network without an experiment: images, uncertainty maps and scores
    #[command(after_help = SAMPLE_HELP)]
    Sample(SampleOptions),
    /// Metrics of your own arrays, folders or statistics
    #[command(subcommand)]
    Metric(MetricCommand),
    /// Reference statistics of a data set
    Stats(StatsOptions),
    /// Reference statistics that somebody has published, with what is known of how they were made
    ImportStats(ImportStatsOptions),
    /// Fit the posterior of a network's last layer on real images, for `BayesDiff`
    FitLaplace(FitLaplaceOptions),
    /// Regression gate: is every number inside its two-sided band around the baseline?
    Check(CheckOptions),
    /// Two results side by side
    Compare(CompareOptions),
    /// Numbers of many results in one table
    Collect(CollectOptions),
    /// One page: every claim of the paper, its number, ours, and whether it holds
    Summary(SummaryOptions),
    /// Graphs made from graphs: gradients, whole steps, dropout masks, features, last-layer variance
    #[command(subcommand, after_help = GRAPH_HELP)]
    Graph(GraphCommand),
    /// Look at a model bundle
    #[command(subcommand)]
    Model(ModelCommand),
    /// Fetch and build what is not there yet: data sets, feature network, ONNX Runtime
    #[command(after_help = SETUP_HELP)]
    Setup(SetupOptions),
    /// Check this machine: runtime, device, cache, extractor
    Doctor(DoctorOptions),
}

/// Device and threads of the network.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeviceOptions {
    /// `cpu`, `openvino`, `cuda` or `cuda:1`; for the blocks of an experiment also several GPUs, `cuda:0,cuda:1`. A
    /// device that is asked for is used or the command fails
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Threads of all networks together; default: all cores
    #[arg(long, value_parser = workers)]
    pub(crate) threads: Option<usize>,
    /// Networks that work side by side on the CPU and share the threads; default: one a thread, as far as their
    /// weights take no more than 1 GiB
    #[arg(long, value_parser = workers)]
    pub(crate) networks: Option<usize>,
    /// Blocks at a time that take turns at each network: while one waits for a GPU, the host draws noise, takes
    /// statistics and writes files for the others. Default: 4 on a GPU, 1 on the CPU; changes no number
    #[arg(long, value_parser = workers)]
    pub(crate) turns: Option<usize>,
    /// What a GPU is told (docs/cuda.md), with commas between: search=fixed|heuristic|exhaustive, layout=nchw|nhwc,
    /// graph=off|on, other-nodes=refused|cpu, memory-mib=NUMBER; the first of each by default
    #[arg(long, value_name = "OPTIONS")]
    pub(crate) cuda: Option<String>,
    /// Images in one network call, at most; changes no number on the CPU
    #[arg(long, value_parser = many)]
    pub(crate) batch: Option<usize>,
    /// Memory for the working values of all networks together (`4GiB`): larger batches are cut, and no number changes.
    /// Default: three quarters of what is free on the CPU, no limit on a GPU
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<ByteSize>,
}

/// How `--compact` writes sigma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compact {
    /// Every digit.
    Exact,
    /// 16 significant bits.
    Rounded,
    /// Variances with every digit, correlations in 16-bit fixed point.
    Correlations,
}

impl Compact {
    /// The form that is asked for; all of sigma where nothing is.
    pub(crate) fn covariance(form: Option<Self>) -> Covariance {
        match form {
            None => Covariance::Full,
            Some(Self::Exact) => Covariance::Upper,
            Some(Self::Rounded) => Covariance::Rounded,
            Some(Self::Correlations) => Covariance::Correlations,
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StatsOptions {
    /// `cifar10-train`, `cifar10-test`, `fashion-mnist-train`, `fashion-mnist-test`; a folder of images with its
    /// subfolders, a zip of images, Parquet with a column of images: `PATH@RECIPE:SIZE` brings them to a size (recipes:
    /// adm-crop, edm-crop, box-squash, lanczos-squash); or arrays of images (`.npy`, or `.npz` with `arr_0`, `images` or
    /// `data`), one file or a folder of them
    pub(crate) dataset: String,
    #[command(flatten)]
    pub(crate) features: FeatureOptions,
    /// Output file (npz: mu, sigma, n, provenance)
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Write the upper triangle of sigma alone, for this program only: `exact` in half the size with the same digits,
    /// `rounded` to 16 significant bits in a fifth, `correlations` in 16-bit fixed point beside exact variances in a ninth
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "exact")]
    pub(crate) compact: Option<Compact>,
    /// List of the classes of a folder of images: a line a class in their order, or a line a file with its number. Classes
    /// without an image are an error. Default: `classes.txt` in the folder, where there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Leave out up to this many images that cannot be read; they are counted and named
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip_unreadable: usize,
    /// Threads that decode images beside the network; default: one for eight of the network's on the CPU, all cores else
    #[arg(long, value_name = "N")]
    pub(crate) decode_threads: Option<NonZeroUsize>,
    /// Where feature blocks are kept, so that a killed run goes on
    #[arg(long, default_value = "work/stats")]
    pub(crate) work_dir: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ImportStatsOptions {
    /// Statistics that somebody has published (npz: mu, sigma)
    pub(crate) file: PathBuf,
    /// Who made them, and so by which resize: adm, u-vit, edm or pytorch-fid; dubench writes a file of `dubench stats` in
    /// another form
    #[arg(long, value_name = "MAKER")]
    pub(crate) from: String,
    /// Output file (npz: mu, sigma, n, provenance)
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Data set and split; known of published files by their name
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// Height and width of the images; known of published files by their name, and of files that hold some images
    #[arg(long)]
    pub(crate) size: Option<u64>,
    /// Number of images behind the statistics; known of published files by their name
    #[arg(short)]
    pub(crate) n: Option<u64>,
    /// Feature network here that has the same weights, under `experiments/extractors/`, or a path to its YAML file
    #[arg(long, default_value = "fid-inception")]
    pub(crate) extractor: String,
    /// Write less of sigma, for this program only: `exact`, `rounded` or `correlations`, as `dubench stats` does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "exact")]
    pub(crate) compact: Option<Compact>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FitLaplaceOptions {
    /// Bundle folder
    pub(crate) bundle: PathBuf,
    /// Images it was trained on: a data set as `dubench stats` takes it
    #[arg(long, default_value = "cifar10-train")]
    pub(crate) images: String,
    /// Images, spread over the whole set; all of them where there are fewer
    #[arg(short, default_value_t = 6405)]
    pub(crate) n: u64,
    /// Seed of the times and the noise of the images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Output file; experiments look for `laplace.parquet` in the bundle's folder
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

/// Which features stand for an image.
#[derive(Args, Clone, Debug)]
pub(crate) struct FeatureOptions {
    /// Feature extractor under `experiments/extractors/`, here or as installed, or a path to its YAML file
    #[arg(long, default_value = "fid-inception")]
    pub(crate) extractor: String,
    /// Resize and scaling convention
    #[arg(long, default_value = "pytorch-fid")]
    pub(crate) preprocess: String,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CheckOptions {
    /// Committed results folder
    pub(crate) baseline: PathBuf,
    /// New results folder
    pub(crate) result: PathBuf,
    /// Half width of the band, in standard errors of the baseline
    #[arg(long, default_value_t = 3.0, value_parser = not_negative)]
    pub(crate) sigmas: f64,
    /// Half width of the band as a fraction of the baseline, where that is wider
    #[arg(long, default_value_t = 0.001, value_parser = not_negative)]
    pub(crate) relative: f64,
    /// Half width of the band of one metric, in its own units, in the place of the two above (`--band p_value=0.05`)
    #[arg(long = "band", value_name = "METRIC=WIDTH", value_parser = band)]
    pub(crate) bands: Vec<(String, f64)>,
    /// Hold this metric alone; give it again for more (`--metric fid --metric ause`). Default: all of the baseline
    #[arg(long = "metric", value_name = "METRIC")]
    pub(crate) metrics: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CompareOptions {
    /// First results folder
    pub(crate) a: PathBuf,
    /// Second results folder
    pub(crate) b: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CollectOptions {
    /// Folders that are searched for `metrics.parquet`
    #[arg(default_value = "results")]
    pub(crate) folders: Vec<PathBuf>,
    /// Rows whose COLUMN is TEXT, or empty without TEXT (`--where metric=fid --where side=lowest`); all must hold
    #[arg(long = "where", value_name = "COLUMN=TEXT", value_parser = condition)]
    pub(crate) conditions: Vec<(String, String)>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SummaryOptions {
    /// Folder of results: every EXPERIMENT/SCALE/metrics.parquet in it is read
    #[arg(default_value = "results")]
    pub(crate) results: PathBuf,
    /// Scale whose results are read
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// What the paper claims, and which number answers it
    #[arg(long, default_value = "experiments/published/claims.yaml")]
    pub(crate) claims: PathBuf,
    /// Folder that `summary.md` and `summary.html` go to (`summary-SCALE` for another scale than mini); default: that of
    /// the results
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    /// Folder of other results, as of an earlier network: its verdicts stand beside these in a table of their own
    #[arg(long)]
    pub(crate) before: Option<PathBuf>,
    /// Write nothing, and fail where the files there are not what the results say
    #[arg(long)]
    pub(crate) check: bool,
}

/// A number of bytes.
fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "expected a size, such as 512MiB or 4GiB".to_owned())
}

/// A number of workers. More of them would take all processes of a machine.
fn workers(text: &str) -> Result<usize, String> {
    at_most(text, 4096)
}

/// A number that things are counted by. More would take all memory.
pub(crate) fn many(text: &str) -> Result<usize, String> {
    at_most(text, 10_000_000)
}

/// The same for images, whose ids have 64 bits.
pub(crate) fn images(text: &str) -> Result<u64, String> {
    at_most(text, 100_000_000).map(|n| n as u64)
}

/// The same where one alone has no spread.
pub(crate) fn two_or_more(text: &str) -> Result<usize, String> {
    between(text, 2, 10_000_000)
}

fn at_most(text: &str, most: usize) -> Result<usize, String> {
    between(text, 1, most)
}

fn between(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(format!("expected a whole number, at least {least} and at most {most}")),
    }
}

/// A number above 0, as a bandwidth.
pub(crate) fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// A number that is not negative, as a width.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a number of 0 or more".to_owned()),
    }
}

fn band(text: &str) -> Result<(String, f64), String> {
    let expected = "expected METRIC=WIDTH, as p_value=0.05";
    let (metric, width) = text.split_once('=').ok_or(expected)?;
    let width = not_negative(width).map_err(|_| format!("{expected}, and a width of 0 or more"))?;
    Ok((metric.to_owned(), width))
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (column, value) = text.split_once('=').ok_or("expected COLUMN=TEXT, as metric=fid")?;
    Ok((column.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Write a first model.yaml of the graphs in a folder: what can be found out, and marks where only you know
    Init(InitOptions),
    /// After graphs were exported again: write their sha256 and bytes into model.yaml, and keep everything else of it
    Renew(RenewOptions),
    /// What a bundle holds, what it can serve, and whether its answers depend on the batch
    Inspect(InspectOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InitOptions {
    /// Folder of the exported graphs
    pub(crate) folder: PathBuf,
    /// File of the forward graph, where several could be it
    #[arg(long)]
    pub(crate) graph: Option<String>,
    /// Channels, height and width, where the graph leaves them open: `3,32,32`
    #[arg(long, value_delimiter = ',', num_args = 1)]
    pub(crate) image: Option<Vec<usize>>,
    /// Number of classes, where the network takes one
    #[arg(long)]
    pub(crate) classes: Option<u32>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RenewOptions {
    /// Bundle folder
    pub(crate) bundle: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InspectOptions {
    /// Bundle folder
    pub(crate) bundle: PathBuf,
    /// Also say whether it has gradients, and what they need: the gradient graph is made, which takes seconds to minutes
    #[arg(long)]
    pub(crate) gradients: bool,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorOptions {
    /// Measure how many evaluations a second the network of this bundle makes; the shipped one without a folder
    #[arg(long, value_name = "BUNDLE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "as typed: left out, without a folder, with one")]
    pub(crate) benchmark: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}
