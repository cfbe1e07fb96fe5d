//! Times the metrics on data that `scripts/bench/metrics_peers.py` makes again in `NumPy`, and prints one JSON line a
//! case: name, seconds, value. Results are asserted before they are timed.
//!
//! `cargo run --profile dev -p dubench-metrics --example metrics_bench -- [--dim D] [--rows N] [--pixels P]`
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use dubench_metrics::manifold::{Convention, overlap};
use dubench_metrics::resize::{Layout, Preprocess};
use dubench_metrics::sparsification::{Pool, SparsificationOptions, sparsification};
use dubench_metrics::{FilterStudy, Moments, Reference};
use ndarray::{Array2, Array4};
use std::error::Error;
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

fn report(name: &str, start: Instant, value: f64) {
    println!(
        "{{\"name\": \"{name}\", \"seconds\": {:.4}, \"value\": {value:e}}}",
        start.elapsed().as_secs_f64()
    );
}

fn option(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    Ok(arguments.next().map(|a| a.parse()).transpose()?.unwrap_or(default))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (n, d) = (option("--rows", 4096)?, option("--dim", 512)?);
    let (real, fake) = (features(1, n, d), features(2, n, d));
    frechet(&real, &fake)?;
    filter(&real, &fake)?;
    let start = Instant::now();
    let result = overlap(&fake, &real, &Convention::Prdc.into())?;
    report("prdc_precision", start, result.precision);
    areas(option("--pixels", 2_000_000)?)?;
    preprocessing()
}

fn frechet(real: &Array2<f32>, fake: &Array2<f32>) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let moments = Moments::from_rows(fake)?;
    report("moments", start, moments.n() as f64);
    let gaussian = moments.gaussian()?;
    let reference = Reference::from_features(real)?;
    assert!(reference.distance(reference.gaussian())? < 1e-8, "a set is at distance 0 of itself");
    let start = Instant::now();
    let distance = reference.distance(&gaussian)?;
    report("frechet", start, distance);
    Ok(())
}

fn filter(real: &Array2<f32>, fake: &Array2<f32>) -> Result<(), Box<dyn Error>> {
    let reference = Reference::from_features(real)?;
    let n = fake.ncols().min(fake.nrows());
    let pool = fake.slice(ndarray::s![..n, ..]);
    for (name, keep) in [("null_64_keep_5_of_6", n * 5 / 6), ("null_64_keep_half", n / 2)] {
        let start = Instant::now();
        let study = FilterStudy::new(&reference, pool)?;
        let null = study.random_null(keep, 64, 0)?;
        report(name, start, null.mean);
        let few = study.random_null(keep, 2, 0)?;
        let difference = (few.fids[1] - null.fids[1]).abs();
        assert!(difference < 1e-9 * few.fids[1], "subset routes differ by {difference}");
    }
    Ok(())
}

fn areas(pixels: usize) -> Result<(), Box<dyn Error>> {
    let shape = (pixels / 1000, 1000);
    let value =
        |seed| Array2::from_shape_fn(shape, |(i, j)| uniform(seed, (i * 1000 + j) as u64) - 0.5);
    let (error, noise) = (value(3), value(4));
    let options = SparsificationOptions { pool: Pool::All, ..SparsificationOptions::default() };
    let perfect = sparsification(&error, &error.mapv(f32::abs), &options)?;
    assert!(perfect.ause.abs() < 1e-12, "the error ranks itself perfectly");
    let start = Instant::now();
    let result = sparsification(&error, &noise, &options)?;
    report("ause_pooled", start, result.ause);
    Ok(())
}

fn preprocessing() -> Result<(), Box<dyn Error>> {
    for side in [32, 256] {
        let images = Array4::<u8>::from_shape_fn((64, side, side, 3), |(i, y, x, c)| {
            u8::try_from((i * 31 + y * 7 + x * 13 + c * 101) % 256).unwrap_or(0)
        });
        for preprocess in [Preprocess::PytorchFid, Preprocess::TorchFidelity, Preprocess::CleanFid]
        {
            let start = Instant::now();
            let out = preprocess.apply(images.view(), Layout::Nhwc)?;
            let mean = out.iter().map(|&v| f64::from(v)).sum::<f64>() / out.len() as f64;
            report(&format!("{}_{side}_x64", preprocess.name()), start, mean);
        }
    }
    Ok(())
}
