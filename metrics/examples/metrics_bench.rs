//! Times the metrics on data that `scripts/bench/metrics_peers.py` makes again in `NumPy`, and prints one JSON line a
//! case: name, seconds, processor seconds, megabytes of memory beyond the input, megabytes at the peak, input and all, values.
//! The script asserts the values.
//!
//! `cargo run --release -p dubench-metrics --example metrics_bench -- [CASE..] [--rows N] [--dim D] [--pool N]
//! [--draws N] [--neighbours N] [--crowd N] [--images N]`; cases: `moments frechet filter overlap crowd ause resize`
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use dubench_metrics::manifold::{Convention, overlap};
use dubench_metrics::resize::{Layout, Preprocess};
use dubench_metrics::sparsification::{Pool, Preset, SparsificationOptions, sparsification};
use dubench_metrics::{FilterStudy, Moments, Reference};
use ndarray::{Array2, Array4};
use std::error::Error;
use std::fs::read_to_string;
use std::time::Instant;

/// Uniform numbers of a seed and a counter: the mixing function of `SplitMix64`, 24 bits.
fn uniform(seed: u64, i: u64) -> f32 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 24) as f32
}

/// Features with falling variances.
fn features(seed: u64, n: usize, d: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        uniform(seed, (i * d + j) as u64) / (1.0 + j as f32 / 64.0)
    })
}

/// A clock that is read at the end of a case.
struct Clock {
    wall: Instant,
    processor: Option<f64>,
    megabytes: Option<f64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), processor: processor_seconds(), megabytes: peak_megabytes() }
    }

    /// Prints the case. Memory is what the peak has grown by, so it is right for the first case of a run.
    fn report(self, name: &str, values: &[f64]) {
        let since = |now: Option<f64>, then: Option<f64>| match (now, then) {
            (Some(now), Some(then)) => format!("{:.2}", now - then),
            _ => "null".to_owned(),
        };
        let values: Vec<String> = values.iter().map(|v| format!("{v:e}")).collect();
        println!(
            "{{\"name\": \"{name}\", \"seconds\": {:.4}, \"processor_seconds\": {}, \"megabytes\": {}, \"peak_megabytes\": {}, \"values\": [{}]}}",
            self.wall.elapsed().as_secs_f64(),
            since(processor_seconds(), self.processor),
            since(peak_megabytes(), self.megabytes),
            since(peak_megabytes(), Some(0.0)),
            values.join(", ")
        );
    }
}

/// User and system time of this process, where `/proc` tells (in hundredths of a second).
fn processor_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn peak_megabytes() -> Option<f64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1000.0)
}

fn option(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    Ok(arguments.next().map(|a| a.parse()).transpose()?.unwrap_or(default))
}

/// What is timed unless cases are named.
const CASES: [&str; 7] = ["moments", "frechet", "filter", "overlap", "crowd", "ause", "resize"];

fn main() -> Result<(), Box<dyn Error>> {
    let (rows, dim) = (option("--rows", 4096)?, option("--dim", 512)?);
    let asked: Vec<String> =
        std::env::args().skip(1).take_while(|a| !a.starts_with("--")).collect();
    let cases = if asked.is_empty() { CASES.map(String::from).to_vec() } else { asked };
    for case in cases {
        match case.as_str() {
            "moments" => moments(rows, dim)?,
            "frechet" => frechet(rows, dim)?,
            "filter" => filter(option("--pool", 4096)?, dim, option("--draws", 4)?)?,
            "overlap" => neighbours("overlap", option("--neighbours", 2048)?, dim)?,
            "crowd" => neighbours("crowd", option("--crowd", 4096)?, dim)?,
            "ause" => areas(option("--images", 200)?)?,
            "resize" => preprocessing()?,
            other => return Err(format!("no case is called {other}").into()),
        }
    }
    Ok(())
}

fn moments(rows: usize, dim: usize) -> Result<(), Box<dyn Error>> {
    let fake = features(2, rows, dim);
    let clock = Clock::start();
    let gaussian = Moments::from_rows(&fake)?.gaussian()?;
    let squares: f64 = gaussian.covariance().iter().map(|v| v * v).sum();
    clock.report("moments", &[gaussian.total_variance(), squares]);
    Ok(())
}

fn frechet(rows: usize, dim: usize) -> Result<(), Box<dyn Error>> {
    let sample = Moments::from_rows(&features(2, rows, dim))?.gaussian()?;
    let real = Moments::from_rows(&features(1, rows, dim))?.gaussian()?;
    let clock = Clock::start();
    let distance = Reference::new(real.clone())?.distance(&sample)?;
    clock.report("frechet", &[distance]);
    Ok(())
}

/// Five of six rows are kept, as the paper keeps 50,000 of 60,000.
fn filter(pool: usize, dim: usize, draws: usize) -> Result<(), Box<dyn Error>> {
    let reference = Reference::from_features(&features(1, 2 * dim, dim))?;
    let fake = features(2, pool, dim);
    let clock = Clock::start();
    let study = FilterStudy::new(&reference, &fake)?;
    clock.report("filter_prepare", &[]);
    let clock = Clock::start();
    let null = study.random_null(pool * 5 / 6, draws, 0)?;
    clock.report("filter", &[null.fids[0], null.fids[1]]);
    Ok(())
}

/// As many points as a full evaluation has (`crowd`), or as its peers can hold (`overlap`).
fn neighbours(case: &str, rows: usize, dim: usize) -> Result<(), Box<dyn Error>> {
    let (real, fake) = (features(1, rows, dim), features(2, rows, dim));
    let clock = Clock::start();
    let o = overlap(&fake, &real, &Convention::Prdc.into())?;
    clock.report(case, &[o.precision, o.recall, o.density, o.coverage]);
    Ok(())
}

fn areas(images: usize) -> Result<(), Box<dyn Error>> {
    const PIXELS: usize = 3 * 64 * 64;
    let values = |seed| {
        Array2::from_shape_fn((images, PIXELS), |(i, j)| {
            uniform(seed, (i * PIXELS + j) as u64) - 0.5
        })
    };
    let (error, noise) = (values(3), values(4));
    for (name, preset) in
        [("ause_exact", Preset::Exact), ("ause_percentiles", Preset::MonoUncertainty)]
    {
        let options = SparsificationOptions { pool: Pool::All, preset, intervals: 50 };
        let clock = Clock::start();
        let result = sparsification(&error, &noise, &options)?;
        clock.report(name, &[result.ause, result.aurg]);
    }
    Ok(())
}

fn preprocessing() -> Result<(), Box<dyn Error>> {
    for side in [32, 256] {
        let images = Array4::<u8>::from_shape_fn((64, side, side, 3), |(i, y, x, c)| {
            u8::try_from((i * 31 + y * 7 + x * 13 + c * 101) % 256).unwrap_or(0)
        });
        for preprocess in [Preprocess::PytorchFid, Preprocess::TorchFidelity, Preprocess::CleanFid]
        {
            preprocess.apply(images.view(), Layout::Nhwc)?;
            let clock = Clock::start();
            let mut out = preprocess.apply(images.view(), Layout::Nhwc)?;
            for _ in 0..3 {
                out = preprocess.apply(images.view(), Layout::Nhwc)?;
            }
            let name = format!("resize_{}_{side}", preprocess.name());
            clock.report(&name, &[]);
            // Outside of the time: the peer's sum is not timed either.
            let squares = out.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
            Clock::start().report(&format!("{name}_values"), &[squares]);
        }
    }
    Ok(())
}
