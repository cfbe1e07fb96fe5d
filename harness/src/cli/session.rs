//! What every command on an experiment opens: experiment, plan, run, runtime options.

use std::num::NonZeroUsize;
use std::path::Path;

use super::answer::Context;
use super::arguments::{DeviceOptions, RunOptions, StepGraph};
use super::error::CliError;
use super::load::Neighbours;
use super::memory;
use super::output;
use super::progress::TerminalProgress;
use super::signal;
use crate::config::precision_yaml::PrecisionYaml;
use crate::experiment::{Experiment, Plan};
use crate::model::onnx::cuda::{CudaOptions, UnknownCudaOption};
use crate::model::onnx::{Device, RuntimeOptions, StepGraphs};
use crate::plan::Shard;
use crate::stage::open::{inputs, models};
use crate::stage::settings::GenerateOptions;
use crate::stage::{Company, Load, Run, Stop};

/// An experiment at a scale, resolved, and how to run it.
pub(super) struct Session {
    pub(super) experiment: Experiment,
    pub(super) plan: Plan,
    pub(super) runtime: RuntimeOptions,
    /// Where networks are opened, in turn: one device, or several GPUs.
    devices: Vec<Device>,
    pub(super) generate: GenerateOptions,
    shard: Shard,
    limit: Option<usize>,
    stop: Stop,
    progress: TerminalProgress,
    /// Only where wall times are evidence.
    neighbours: Option<Neighbours>,
    company: Company,
}

impl Session {
    /// Reads the experiment, resolves its plan, and listens for signals.
    pub(super) fn open(options: &RunOptions, context: Context) -> Result<Self, CliError> {
        let stop = Stop::default();
        signal::listen(&stop).map_err(CliError::Signals)?;
        output::folder("--work-dir", &options.folders.work_dir)?;
        output::folder("--results-dir", &options.folders.results_dir)?;
        let (experiment, plan) = options.target.resolve()?;
        let sizes = inputs::scale_of(&experiment, &options.target.scale)?;
        let batch = options.device.batch.unwrap_or(sizes.batch_size as usize);
        let devices = devices(&options.device)?;
        let mut runtime = runtime_on(devices[0], &options.device, batch)?;
        runtime.step_graphs = step_graphs(options.step_graph);
        let weights = models::weight_bytes(&experiment, &options.target.scale)?;
        let wall_times = plan.protocol.needs().times_are_evidence();
        let networks = match options.device.networks {
            None if wall_times => NonZeroUsize::MIN,
            _ => networks((&options.device, devices.len()), &runtime, weights)?,
        };
        let turns = turns(&options.device, !wall_times && !runtime.device.is_host())?;
        runtime.threads = (runtime.threads / networks).max(1);
        runtime.memory = runtime.memory.map(|bytes| bytes / networks.get() as u64);
        let generate = GenerateOptions {
            batch_size: positive(batch)?,
            networks,
            turns,
            threads: runtime.threads,
            step_graphs: runtime.step_graphs,
        };
        Ok(Self {
            experiment,
            plan,
            runtime,
            devices,
            generate,
            shard: Shard::choose(options.shard.as_deref(), |name| std::env::var(name).ok())?,
            limit: options.limit,
            stop,
            progress: TerminalProgress::new(context.quiet),
            neighbours: wall_times.then(Neighbours::new),
            company: if options.beside_others { Company::Tell } else { Company::Refuse },
        })
    }

    /// The run of this session in a work folder.
    pub(super) fn run(&self, work: &Path) -> Result<Run<'_>, CliError> {
        let mut run = Run::open(&self.plan, work, self.shard, (&self.stop, &self.progress))?;
        run.limit = self.limit;
        run.load = self.neighbours.as_ref().map(|neighbours| neighbours as &dyn Load);
        run.company = self.company;
        Ok(run)
    }

    /// How to open one network after another: each on the next of the devices.
    pub(super) fn runtimes(&self) -> impl Iterator<Item = RuntimeOptions> {
        let on = |device: &Device| RuntimeOptions { device: *device, ..self.runtime.clone() };
        self.devices.iter().cycle().map(on)
    }

    /// Whether this process does a share of the blocks only.
    pub(super) fn is_shard(&self) -> bool {
        !self.shard.is_whole()
    }
}

fn step_graphs(asked: StepGraph) -> StepGraphs {
    match asked {
        StepGraph::Off => StepGraphs::Off,
        StepGraph::On => StepGraphs::On,
    }
}

/// Runtime options of a command with one network; `batch` rows go into one call.
pub(super) fn runtime(options: &DeviceOptions, batch: usize) -> Result<RuntimeOptions, CliError> {
    for (option, given) in [("--networks", options.networks), ("--turns", options.turns)] {
        if let Some(n) = given.filter(|n| *n != 1) {
            let expected =
                "1 or nothing: this command runs one network (--threads divides its work)";
            return Err(CliError::option(option, &n.to_string(), expected));
        }
    }
    on_one_device(options, batch)
}

/// The same without a look at how many networks there are.
pub(super) fn on_one_device(
    options: &DeviceOptions,
    batch: usize,
) -> Result<RuntimeOptions, CliError> {
    let device: Device = options.device.parse().map_err(|_| {
        CliError::option(
            "--device",
            &options.device,
            "one of cpu, cuda, cuda:<ordinal> and openvino",
        )
    })?;
    runtime_on(device, options, batch)
}

/// The devices of a command on the blocks of an experiment: one at least.
fn devices(options: &DeviceOptions) -> Result<Vec<Device>, CliError> {
    Device::list(&options.device).map_err(|_| {
        let accepted = "cpu, cuda, cuda:<ordinal> or openvino, or several GPUs as cuda:0,cuda:1";
        CliError::option("--device", &options.device, accepted)
    })
}

fn runtime_on(
    device: Device,
    options: &DeviceOptions,
    batch: usize,
) -> Result<RuntimeOptions, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = options.threads.unwrap_or(cores);
    if threads == 0 {
        return Err(CliError::option("--threads", "0", "at least 1"));
    }
    let micro_batch = positive(batch)?.get();
    let memory = memory::working_bytes(options.memory, device)?;
    // What a model computes in is said by its experiment; features are float32.
    let precision = PrecisionYaml::Float32;
    let cuda = match &options.cuda {
        Some(text) => text.parse().map_err(|error: UnknownCudaOption| {
            CliError::option("--cuda", text, &error.to_string())
        })?,
        None => CudaOptions::default(),
    };
    let step_graphs = StepGraphs::Off;
    let library = None;
    Ok(RuntimeOptions {
        device,
        threads,
        micro_batch,
        memory,
        precision,
        step_graphs,
        cuda,
        library,
    })
}

/// Weights of all networks that work side by side, at most, unless `--networks` asks for more.
const WEIGHTS_BYTES: u64 = 1 << 30;

/// How many networks work side by side.
fn networks(
    (options, n_devices): (&DeviceOptions, usize),
    runtime: &RuntimeOptions,
    weight_bytes: u64,
) -> Result<NonZeroUsize, CliError> {
    let several = runtime.device.is_host();
    match options.networks {
        Some(n) => match NonZeroUsize::new(n) {
            Some(n) if several || n.get() == n_devices => Ok(n),
            _ => {
                let on_gpus = format!("{n_devices}: a GPU has one network, see --turns");
                let accepted = if several { "at least 1" } else { &on_gpus };
                Err(CliError::option("--networks", &n.to_string(), accepted))
            }
        },
        None if several => {
            let fit = WEIGHTS_BYTES / weight_bytes.max(1);
            let n = usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, runtime.threads);
            Ok(NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN))
        }
        None => Ok(NonZeroUsize::new(n_devices).unwrap_or(NonZeroUsize::MIN)),
    }
}

/// Blocks at a time on the network of a GPU: with four, two cores leave a device of 5 ms a call idle for less than a twentieth
/// of its time (`just bench-overlap`).
const TURNS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// How many blocks take turns at each network.
fn turns(options: &DeviceOptions, elsewhere: bool) -> Result<NonZeroUsize, CliError> {
    match options.turns {
        Some(n) => NonZeroUsize::new(n)
            .ok_or_else(|| CliError::option("--turns", &n.to_string(), "at least 1")),
        None if elsewhere => Ok(TURNS),
        None => Ok(NonZeroUsize::MIN),
    }
}

pub(super) fn positive(batch: usize) -> Result<NonZeroUsize, CliError> {
    NonZeroUsize::new(batch).ok_or_else(|| CliError::option("--batch", "0", "at least 1"))
}
