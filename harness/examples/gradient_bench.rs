//! What gradients cost beside a forward pass: time and memory of a vector-Jacobian product and of the fused variance
//! gradient, on the bundled network and on the fixture networks (blocks of ADM and of U-ViT).
//!
//! `just bench-gradient` writes `results/bench-gradient/`; without `--results FOLDER` the table is printed only. Before
//! anything is timed, the derived graphs must agree with the plain one and with each other.

#![expect(clippy::print_stdout, reason = "a bench for people")]

use std::error::Error;
use std::fs::{OpenOptions, read_to_string};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dubench::graph::{ConvGradient, ElementType, Model, Names, fused, memory, vjp};
use dubench::model::onnx::{Feed, GraphSource, OnnxSession, RuntimeOptions, environment, runner};
use dubench::noise::{NoiseKey, Purpose, standard_normal};
use dubench::store::{Provenance, publish};
use dubench::units::SampleId;
use ndarray::{Array1, Array4, ArrayD, Axis, s};
use serde_json::{Value, json};

type Answer<T> = Result<T, Box<dyn Error>>;

const N_DRAWS: usize = 5;
const ROUNDS: usize = 9;
/// Forward passes that a product, and a row of the fused gradient, may cost.
const TARGETS: [f64; 2] = [2.8, 3.0];
/// float32 graphs of one network against each other, relative to the largest value.
const CLOSE: f32 = 1e-4;

/// A network and how much of it is run.
struct Case {
    name: &'static str,
    path: PathBuf,
    shape: [usize; 3],
    /// Images whose draws make the rows of a timed call.
    n_images: usize,
    /// Rows of the call whose memory is measured.
    n_memory: usize,
}

fn cases() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let fixture = |name: &str| root.join("graph/tests/data").join(format!("{name}.onnx"));
    let bundle = root.join("../experiments/models/ddpm-cifar10-small/denoiser.onnx");
    let small = [3, 8, 8];
    vec![
        Case {
            name: "ddpm-cifar10-small",
            path: bundle,
            shape: [3, 32, 32],
            n_images: 3,
            n_memory: 128,
        },
        Case {
            name: "ADM blocks, 8 px",
            path: fixture("adm_dynamo_18"),
            shape: small,
            n_images: 24,
            n_memory: 8192,
        },
        Case {
            name: "U-ViT blocks, 8 px",
            path: fixture("uvit_dynamo_20"),
            shape: small,
            n_images: 24,
            n_memory: 8192,
        },
    ]
}

/// The inputs of one call.
struct Feeds {
    x: ArrayD<f32>,
    times: Array1<i64>,
    times_f32: ArrayD<f32>,
    cotangent: Option<ArrayD<f32>>,
}

impl Feeds {
    fn new([c, h, w]: [usize; 3], n: usize) -> Self {
        let mut x = vec![0.0; n * c * h * w];
        for (sample, row) in (0..).zip(x.chunks_mut(c * h * w)) {
            let (seed, purpose) = (0, Purpose::Initial);
            let key = NoiseKey { seed, purpose, sample: SampleId(sample), step: 0, draw: 0 };
            standard_normal(key, row);
        }
        let x = ArrayD::from_shape_vec(vec![n, c, h, w], x);
        let times = Array1::from_elem(n, 400);
        let times_f32 = times.mapv(|t| t as f32).into_dyn();
        Self { x: x.unwrap_or_default(), times, times_f32, cotangent: None }
    }
}

/// One graph: plain or derived, in the order of the table.
struct Graph {
    model: Model,
    outputs: Vec<&'static str>,
}

/// Forward pass, vector-Jacobian product, fused variance gradient.
fn graphs(path: &Path) -> Answer<[Graph; 3]> {
    let runner = runner::open(1)?;
    let plain = Model::read(path)?;
    let (names, conv) = (Names::default(), ConvGradient::default());
    let product = vjp::vjp(&plain, vjp::Options { names, conv }, &runner)?;
    let options = fused::Options { names, conv, n_draws: N_DRAWS };
    let guide = fused::variance_gradient(&plain, options, &runner)?;
    Ok([
        Graph { model: plain, outputs: vec!["eps"] },
        Graph { model: product, outputs: vec!["eps", vjp::JTV] },
        Graph { model: guide, outputs: vec![fused::VARIANCE, fused::GRADIENT] },
    ])
}

/// A graph in the runtime, one thread.
struct Running {
    session: OnnxSession,
    time: ElementType,
    outputs: Vec<&'static str>,
    has_cotangent: bool,
}

impl Running {
    fn open(graph: &Graph) -> Answer<Self> {
        let inputs = graph.model.inputs();
        let find = |name: &str| inputs.iter().find(|port| port.name == name);
        let time = find("timestep").ok_or("the network has no input timestep")?.element;
        let has_cotangent = find(vjp::COTANGENT).is_some();
        let bytes = graph.model.to_bytes()?;
        let options = RuntimeOptions::default();
        let session = OnnxSession::open("bench", GraphSource::Bytes(&bytes), &options)?;
        Ok(Self { session, time, outputs: graph.outputs.clone(), has_cotangent })
    }

    fn run(&mut self, feeds: &Feeds) -> Answer<Vec<ArrayD<f32>>> {
        let time = match self.time {
            ElementType::I64 => Feed::I64(feeds.times.view().into_dyn()),
            _ => Feed::F32(feeds.times_f32.view()),
        };
        let mut fed = vec![("sample", Feed::F32(feeds.x.view())), ("timestep", time)];
        if self.has_cotangent {
            let cotangent = feeds.cotangent.as_ref().ok_or("no cotangent was made")?;
            fed.push((vjp::COTANGENT, Feed::F32(cotangent.view())));
        }
        Ok(self.session.run(&fed, &self.outputs)?)
    }
}

fn image(values: &ArrayD<f32>) -> Answer<Array4<f32>> {
    Ok(values.clone().into_dimensionality()?)
}

/// `2 / (M - 1) (e_m - mean e)`, image by image; zero for channels behind those of the noise.
fn deviations(epsilon: &Array4<f32>, channels: usize) -> Array4<f32> {
    let mut out = epsilon.clone();
    out.slice_mut(s![.., channels.., .., ..]).fill(0.0);
    for start in (0..out.shape()[0]).step_by(N_DRAWS) {
        let mut draws = out.slice_mut(s![start..start + N_DRAWS, ..channels, .., ..]);
        if let Some(mean) = draws.mean_axis(Axis(0)) {
            draws -= &mean;
        }
        draws *= 2.0 / (N_DRAWS as f32 - 1.0);
    }
    out
}

/// Sums over the draws of each image.
fn over_draws(rows: &Array4<f32>) -> Array4<f32> {
    let (n, c, h, w) = rows.dim();
    Array4::from_shape_fn((n / N_DRAWS, c, h, w), |(i, c, y, x)| {
        rows.slice(s![i * N_DRAWS..(i + 1) * N_DRAWS, c, y, x]).sum()
    })
}

/// Largest difference, relative to the largest value.
fn difference(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    assert!(a.iter().chain(b).all(|v| v.is_finite()), "a value is not finite");
    assert!(a.iter().any(|v| *v != 0.0), "all values are zero: nothing is compared");
    let largest = a.iter().fold(1e-12_f32, |m, v| m.max(v.abs()));
    a.iter().zip(b).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

/// Holds the three graphs against each other; the largest difference. Leaves the cotangent in `feeds`.
fn agree(running: &mut [Running; 3], feeds: &mut Feeds) -> Answer<f32> {
    let channels = feeds.x.shape()[1];
    let epsilon = image(&running[0].run(feeds)?[0])?;
    let cotangent = deviations(&epsilon, channels);
    feeds.cotangent = Some(cotangent.clone().into_dyn());
    let product = running[1].run(feeds)?;
    let guide = running[2].run(feeds)?;
    let squares = cotangent.slice(s![.., ..channels, .., ..]).mapv(|d| d * d);
    let variance = over_draws(&squares) * ((N_DRAWS as f32 - 1.0) / 4.0);
    let worst = [
        difference(&epsilon, &image(&product[0])?),
        difference(&over_draws(&image(&product[1])?), &image(&guide[1])?),
        difference(&variance, &image(&guide[0])?),
    ];
    let worst = worst.into_iter().fold(0.0, f32::max);
    assert!(worst < CLOSE, "the graphs disagree by {worst}: nothing is timed");
    Ok(worst)
}

/// Milliseconds a row, best of the rounds. The graphs take turns, so that a slow moment of the machine meets all.
fn times(running: &mut [Running; 3], feeds: &Feeds) -> Answer<[f64; 3]> {
    let n = feeds.x.shape()[0] as f64;
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (best, graph) in best.iter_mut().zip(running.iter_mut()) {
            let start = Instant::now();
            graph.run(feeds)?;
            *best = best.min(start.elapsed().as_secs_f64() * 1e3 / n);
        }
    }
    Ok(best)
}

/// Bytes a row of a large call needs beyond a call of one image's draws, by the peak of this process.
fn measured_memory(graph: &Graph, case: &Case) -> Answer<Option<f64>> {
    let mut running = Running::open(graph)?;
    let feeds = |n| {
        let mut feeds = Feeds::new(case.shape, n);
        let outputs = graph.model.inputs().into_iter().find(|p| p.name == vjp::COTANGENT);
        let channels = outputs.and_then(|port| match port.dims?.get(1)? {
            dubench::graph::DeclaredDim::Fixed(n) => Some(*n),
            dubench::graph::DeclaredDim::Named(_) => None,
        });
        let [c, h, w] = case.shape;
        feeds.cotangent = Some(ArrayD::zeros(vec![n, channels.unwrap_or(c), h, w]));
        feeds
    };
    let large = case.n_memory.next_multiple_of(N_DRAWS);
    let (few, many) = (feeds(N_DRAWS), feeds(large));
    running.run(&few)?;
    let Some(before) = reset_peak() else { return Ok(None) };
    running.run(&many)?;
    let Some(after) = peak_bytes() else { return Ok(None) };
    Ok(Some((after - before) / (large - N_DRAWS) as f64))
}

/// Peak resident bytes of this process, where `/proc` tells.
fn peak_bytes() -> Option<f64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0)
}

/// Makes what is resident now the peak, and says how much that is.
fn reset_peak() -> Option<f64> {
    let mut file = OpenOptions::new().write(true).open("/proc/self/clear_refs").ok()?;
    file.write_all(b"5").ok()?;
    peak_bytes()
}

/// One row of the table for each derived graph, beside the forward pass.
fn measure(case: &Case) -> Answer<Vec<Value>> {
    let graphs = graphs(&case.path)?;
    let runner = runner::open(1)?;
    let mut memory = Vec::new();
    for graph in &graphs {
        let names = Names { x: Some("sample"), output: Some(graph.outputs[0]) };
        let is_fused = graph.outputs.contains(&fused::GRADIENT);
        let rows = if is_fused { N_DRAWS } else { 1 };
        let image = NonZeroUsize::new(rows).ok_or("an image has no rows")?;
        let estimated = memory::bytes_per_image(&graph.model, names, image, &runner)? / rows;
        memory.push((estimated, measured_memory(graph, case)?));
    }
    let [plain, product, guide] = &graphs;
    let mut running = [Running::open(plain)?, Running::open(product)?, Running::open(guide)?];
    let mut feeds = Feeds::new(case.shape, case.n_images * N_DRAWS);
    let error = agree(&mut running, &mut feeds)?;
    let best = times(&mut running, &feeds)?;
    let kinds = ["forward", "vector-Jacobian product", "fused variance gradient, a draw"];
    Ok((0..3)
        .map(|k| {
            let ratio = best[k] / best[0];
            let target = (k > 0).then(|| TARGETS[k - 1]);
            json!({
                "network": case.name, "graph": kinds[k], "rows": feeds.x.shape()[0],
                "milliseconds_a_row": best[k], "forwards": ratio, "target": target,
                "hit": target.map(|target| ratio <= target), "largest_difference": error,
                "memory_estimated_bytes": memory[k].0, "memory_measured_bytes": memory[k].1,
            })
        })
        .collect())
}

fn context() -> Answer<Value> {
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
    let runtime = &environment::runtime(None)?.version;
    let provenance = Provenance::new(format!("onnxruntime {runtime}"), "cpu");
    Ok(json!({
        "processor": name.map(str::trim), "cores": std::thread::available_parallelism()?.get(),
        "threads": 1, "load_before": load, "runtime": provenance.runtime,
        "dubench": provenance.version, "revision": provenance.revision,
        "n_draws": N_DRAWS, "rounds": ROUNDS,
    }))
}

fn markdown(about: &Value, rows: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    };
    let number = |value: &Value, digits: usize, scale: f64| {
        value.as_f64().map_or("–".to_owned(), |v| format!("{:.digits$}", v * scale))
    };
    let mut lines = vec![
        "# Gradients beside forward passes".to_owned(),
        String::new(),
        format!(
            "{}, {} cores, 1 thread, load {} before the run; {}, dubench {}, revision {}; M = {N_DRAWS}, best of {ROUNDS}, the graphs in turns.",
            text(&about["processor"]), about["cores"], text(&about["load_before"]),
            text(&about["runtime"]), text(&about["dubench"]), text(&about["revision"]),
        ),
        "Before anything was timed, the derived graphs were held against the plain one and against each other (`harness/examples/gradient_bench.rs`, `just bench-gradient`). Memory is for each row of a batch, without weights: what `graph::memory` estimates, and what the process grew by.".to_owned(),
        String::new(),
        "| network | graph | ms a row | forwards | target | | largest difference | memory, estimated, KB | measured, KB |".to_owned(),
        "|---|---|---:|---:|---|---|---:|---:|---:|".to_owned(),
    ];
    for row in rows {
        let verdict = match row["hit"].as_bool() {
            Some(true) => "hit",
            Some(false) => "**miss**",
            None => "",
        };
        let target = row["target"].as_f64().map_or(String::new(), |t| format!("<= {t:.1}"));
        let difference = row["largest_difference"].as_f64().unwrap_or(f64::NAN);
        lines.push(format!(
            "| {} | {} | {} | {} | {target} | {verdict} | {difference:.1e} | {} | {} |",
            text(&row["network"]),
            text(&row["graph"]),
            number(&row["milliseconds_a_row"], 3, 1.0),
            number(&row["forwards"], 2, 1.0),
            number(&row["memory_estimated_bytes"], 0, 1e-3),
            number(&row["memory_measured_bytes"], 0, 1e-3),
        ));
    }
    lines.join("\n") + "\n"
}

fn main() -> Answer<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = match arguments.as_slice() {
        [] => None,
        [flag, folder] if flag == "--results" => Some(PathBuf::from(folder)),
        _ => return Err("usage: gradient_bench [--results FOLDER]".into()),
    };
    let about = context()?;
    let mut rows = Vec::new();
    for case in cases() {
        rows.extend(measure(&case)?);
    }
    let table = markdown(&about, &rows);
    print!("{table}");
    let Some(folder) = folder else { return Ok(()) };
    std::fs::create_dir_all(&folder)?;
    let json = serde_json::to_string_pretty(&json!({ "context": about, "rows": rows }))?;
    publish(&folder.join("table.json"), format!("{json}\n").as_bytes())?;
    publish(&folder.join("table.md"), table.as_bytes())?;
    Ok(())
}
