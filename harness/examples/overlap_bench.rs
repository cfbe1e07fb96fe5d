//! How much of its time a device is idle while the host samples with it, and how fast the host draws noise.
//!
//! `just bench-overlap` samples by a network of known latency, a sleep that holds no core, as `dubench generate` does on a
//! GPU: noise, masks, statistics, sampler steps and files included. Before anything is timed, the images of one block at a
//! time and of several must be the same.

#![expect(clippy::print_stdout, reason = "a bench for people")]

use std::error::Error;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dubench::experiment::{Experiment, Plan};
use dubench::model::onnx::{RuntimeOptions, StepGraphs};
use dubench::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use dubench::noise::{NoiseKey, Purpose, standard_normal};
use dubench::plan::Shard;
use dubench::stage::generate::generate;
use dubench::stage::open::models::open_model;
use dubench::stage::open::{OpenModel, inputs};
use dubench::stage::settings::GenerateOptions;
use dubench::stage::{Run, Silent, Stop};
use dubench::store::layout::StageName;
use dubench::store::{StoreError, part, publish};
use dubench::units::SampleId;
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzWriter;

type Answer<T> = Result<T, Box<dyn Error>>;

/// 64 images of 3x64x64 a call, five draws at four of fifty steps: 70 calls a block.
const EXPERIMENT: &str = "
name: overlap
question: How long does a device wait for the host?
artefact: none
model:
  kind: analytic
  shape: [3, 64, 64]
  mean: 0.1
  std: 0.5
  schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
sampler: {kind: ddim, n_steps: 50}
seed: 7
estimators: [{kind: sample_var, n_draws: 5, window: {start: 45, len: 4}}]
features: {kind: pixels, grid: 2}
reference: {dataset: none, path: reference.npz}
protocol: {kind: filtering, n_random: 2, curve: {n_parts: 2, n_points: 1, n_random: 2}}
scales:
  smoke: {n_pool: 768, n_keep: 640, block_size: 64, batch_size: 64}
";

/// When calls began and ended.
type Calls = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// A device that answers after so long: with a multiple of what it is asked, so that nothing here takes a core.
struct Sleeper {
    spec: DenoiserSpec,
    latency: Duration,
    calls: Calls,
}

impl Denoiser for Sleeper {
    fn spec(&self) -> &DenoiserSpec {
        &self.spec
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let start = Instant::now();
        let answer = input.x.to_owned();
        std::thread::sleep(self.latency.saturating_sub(start.elapsed()));
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((start, Instant::now()));
        Ok(answer)
    }
}

/// What the calls of a run say: their number, milliseconds of one, the share of the time between them, and what a call costs
/// the cores of the host in milliseconds, opening and files included.
struct Busy {
    n: usize,
    milliseconds: f64,
    idle: f64,
    host: Option<f64>,
}

/// Seconds that the cores have worked for this process, where the system tells: in hundredths.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, user and system time are the 12th and 13th word.
    let words: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = words.get(11..13)?.iter().filter_map(|word| word.parse::<f64>().ok()).sum();
    Some(ticks / 100.0)
}

fn busy(calls: &Calls, host_seconds: Option<f64>) -> Answer<Busy> {
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else {
        return Err("the network was never asked".into());
    };
    let inside: Duration = calls.iter().map(|(start, end)| *end - *start).sum();
    let wall = (last.1 - first.0).as_secs_f64();
    let n = calls.len();
    let milliseconds = 1e3 * inside.as_secs_f64() / n as f64;
    let host = host_seconds.map(|seconds| 1e3 * seconds / n as f64);
    Ok(Busy { n, milliseconds, idle: 1.0 - inside.as_secs_f64() / wall, host })
}

/// The experiment in a folder, with a reference that nothing is held against here.
fn experiment(folder: &Path) -> Answer<(Experiment, Plan)> {
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    npz.add_array("mu", &Array1::from_elem(12, 0.5))?;
    npz.add_array("sigma", &Array2::<f64>::eye(12))?;
    npz.add_array("n", &ndarray::arr0(1000_i64))?;
    npz.finish()?;
    publish(&folder.join("reference.npz"), &bytes)?;
    let experiment = Experiment::parse(&folder.join("overlap.yaml"), EXPERIMENT)?;
    let plan = inputs::plan(&experiment, "smoke")?;
    Ok((experiment, plan))
}

/// Generates all blocks, `turns` at a time on one device; how busy it was, and the digests of the blocks.
fn generated(
    (experiment, plan): (&Experiment, &Plan),
    turns: usize,
    latency: Duration,
) -> Answer<(Busy, Vec<String>)> {
    let work = tempfile::tempdir()?;
    let stop = Stop::default();
    let run = Run::open(plan, work.path(), Shard::whole(), (&stop, &Silent))?;
    let calls = Calls::default();
    let several = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
    let (batch_size, networks, turns) = (several(64), several(1), several(turns));
    let step_graphs = StepGraphs::Off;
    let options = GenerateOptions { batch_size, networks, turns, threads: 1, step_graphs };
    let before = processor_seconds();
    generate(&run, options, &mut || {
        let model = open_model(experiment, plan, &RuntimeOptions::default())?;
        let (spec, calls) = (model.denoiser.spec().clone(), Arc::clone(&calls));
        Ok(OpenModel { denoiser: Box::new(Sleeper { spec, latency, calls }), ..model })
    })?;
    let spent = processor_seconds().zip(before).map(|(after, before)| after - before);
    let id = run.layout.stage_id(StageName::Generate);
    let claims = |block| part::claims(&run.layout.part(StageName::Generate, block), id);
    let digests = plan.blocks().map(|block| Ok(claims(block.id)?.content_sha256));
    Ok((busy(&calls, spent)?, digests.collect::<Result<_, StoreError>>()?))
}

/// Normals a second of one thread, the best of some rounds: 64 images of 3x64x64.
fn normals_a_second() -> f64 {
    let mut row = vec![0.0; 3 * 64 * 64];
    let rounds = (0..20).map(|step| {
        let start = Instant::now();
        for sample in (0..64).map(SampleId) {
            standard_normal(
                NoiseKey { seed: 7, purpose: Purpose::Perturb, sample, step, draw: 0 },
                &mut row,
            );
            std::hint::black_box(&row);
        }
        64.0 * row.len() as f64 / start.elapsed().as_secs_f64()
    });
    rounds.fold(0.0, f64::max)
}

fn main() -> Answer<()> {
    let number = |at: usize, default: u64| -> Answer<u64> {
        Ok(std::env::args().nth(at).map_or(Ok(default), |text| text.parse())?)
    };
    let latency = Duration::from_millis(number(1, 5)?);
    let folder = tempfile::tempdir()?;
    let (experiment, plan) = experiment(folder.path())?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!("noise: {:.0} million normals a second and core", normals_a_second() / 1e6);
    println!("{} images of 3x64x64 in blocks of 64, M = 5, {cores} cores", plan.n_images());
    println!("\n| blocks at a time | calls | ms a call | host core-ms a call | device idle |");
    println!("|---:|---:|---:|---:|---:|");
    let mut expected: Option<Vec<String>> = None;
    for turns in [1, 2, 3, 4] {
        let (busy, digests) = generated((&experiment, &plan), turns, latency)?;
        if *expected.get_or_insert_with(|| digests.clone()) != digests {
            return Err(format!("{turns} blocks at a time gave other images").into());
        }
        println!(
            "| {turns} | {} | {:.2} | {} | {:.1} % |",
            busy.n,
            busy.milliseconds,
            busy.host.map_or("–".to_owned(), |host| format!("{host:.2}")),
            100.0 * busy.idle
        );
    }
    Ok(())
}
