//! Options of the commands on an experiment.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DeviceOptions, images};
use crate::cli::error::CliError;
use crate::cli::found;
use crate::experiment::{Experiment, Plan};
use crate::stage::open::inputs;

/// An experiment at one of its scales.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Experiment file, or its name: looked for here, in `experiments/`, and among the installed ones
    pub(crate) experiment: PathBuf,
    /// Scale named in the experiment file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
}

impl Target {
    /// The file of the experiment.
    ///
    /// # Errors
    /// [`CliError::NotFound`] for a name that nothing has.
    pub(crate) fn file(&self) -> Result<PathBuf, CliError> {
        found::experiment(&self.experiment)
    }

    /// The experiment and its plan.
    ///
    /// # Errors
    /// Those of the file, of the scale and of what the plan reads.
    pub(crate) fn resolve(&self) -> Result<(Experiment, Plan), CliError> {
        let experiment = Experiment::read(&self.file()?)?;
        let plan = inputs::plan(&experiment, &self.scale)?;
        Ok((experiment, plan))
    }
}

/// Whether a step with draws is one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StepGraph {
    /// Several calls.
    Off,
    /// One.
    On,
}

/// Where its files are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Folders {
    /// Where parts are kept, and what `submit` writes (`slurm/`); on a cluster every node must see it
    #[arg(long, default_value = "work")]
    pub(crate) work_dir: PathBuf,
    /// Where tables and plots go
    #[arg(long, default_value = "results")]
    pub(crate) results_dir: PathBuf,
}

/// How a plot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plots {
    /// As SVG and as PNG.
    Both,
    /// As SVG alone: half the bytes.
    Svg,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// Work on the blocks of shard i of n only (`0/4`), then stop after the features
    #[arg(long, value_name = "i/n")]
    pub(crate) shard: Option<String>,
    /// Stop after this many new blocks
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Recompute the report even where nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Files of a plot. Pairs of an image and its map are PNG always
    #[arg(long, value_enum, default_value_t = Plots::Both)]
    pub(crate) plots: Plots,
    /// Take wall times beside other busy processes too, where a protocol asks for them: the table tells the load
    #[arg(long)]
    pub(crate) beside_others: bool,
    /// Make steps at which estimators re-noise in one call of the network, by a graph of the whole step; changes no number. Where
    /// that cannot be, the command says why and ends (docs/cuda.md)
    #[arg(long, value_enum, default_value_t = StepGraph::Off)]
    pub(crate) step_graph: StepGraph,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print every resolved value
    #[arg(long)]
    pub(crate) print: bool,
    /// Count what it costs, arm by arm: evaluations, operations, bytes, memory. The model is opened and asked nothing
    #[arg(long, conflicts_with = "print")]
    pub(crate) cost: bool,
    /// Say how long it takes where a network makes so many evaluations of one image a second (`dubench doctor --benchmark`)
    #[arg(long, value_name = "N", requires = "cost", conflicts_with = "flops_per_second")]
    pub(crate) evaluations_per_second: Option<f64>,
    /// Say how long it takes where a device computes so many operations a second (`5e12`)
    #[arg(long, value_name = "N", requires = "cost")]
    pub(crate) flops_per_second: Option<f64>,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StartsOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Output file: `.npz` with `x_T` [n, c, h, w] and, of a network with classes, `y` [n]
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Samples, from 0; default: those of the largest arm
    #[arg(short, value_parser = images)]
    pub(crate) n: Option<u64>,
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
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) folders: Folders,
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
    #[command(flatten)]
    pub(crate) target: Target,
    /// Scheduler
    #[arg(long, value_enum)]
    pub(crate) engine: Engine,
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
    #[command(flatten)]
    pub(crate) folders: Folders,
    /// Write the scripts and queue nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As of `dubench run`: steps at which estimators re-noise are one call
    #[arg(long, value_enum, default_value_t = StepGraph::Off)]
    pub(crate) step_graph: StepGraph,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}
