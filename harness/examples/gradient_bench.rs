//! What a forward pass, a vector-Jacobian product and the fused variance gradient cost on a bundle.
//!
//! `cargo run --profile release --package dubench --example gradient_bench -- experiments/models/ddpm-cifar10-small`
//! prints milliseconds a row, the ratios to a forward pass, and how far the fused gradient is from the one by products.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench for people")]

use std::path::PathBuf;
use std::time::Instant;

use dubench::model::bundle::{Gradients, SelfTest, open_bundle_with};
use dubench::model::onnx::RuntimeOptions;
use dubench::model::{Denoiser, NetworkInput};
use dubench::stage::trajectory::initial_states;
use dubench::units::{SampleId, Timestep};
use ndarray::{Array4, s};

const N_DRAWS: u32 = 5;
const N_SAMPLES: usize = 3;
const ROUNDS: usize = 7;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or("experiments/models/ddpm-cifar10-small".into());
    let gradients = Gradients::Derive { n_draws: vec![N_DRAWS] };
    let options = RuntimeOptions { micro_batch: 15, ..RuntimeOptions::default() };
    let opened = open_bundle_with(&PathBuf::from(folder), &options, SelfTest::Skip, &gradients);
    let mut denoiser = opened.unwrap().denoiser;
    let n = N_SAMPLES * N_DRAWS as usize;
    let ids: Vec<SampleId> = (0..n as u64).map(SampleId).collect();
    let x = initial_states(0, &ids, denoiser.spec().shape);
    let t = vec![Timestep(400); n];
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let forward = best(n, || drop(denoiser.epsilon(input).unwrap()));
    let epsilon = denoiser.epsilon(input).unwrap();
    let cotangent = deviations(&epsilon);
    let vjp = best(n, || drop(denoiser.epsilon_vjp(input, cotangent.view()).unwrap()));
    let fused = best(n, || drop(denoiser.variance_gradient(input, N_DRAWS).unwrap()));
    let (_, products) = denoiser.epsilon_vjp(input, cotangent.view()).unwrap();
    let (_, gradient) = denoiser.variance_gradient(input, N_DRAWS).unwrap().unwrap();
    let error = difference(&products, &gradient);
    assert!(error < 1e-4, "the two gradients differ by {error}");
    println!("forward                  {forward:.2} ms a row");
    println!("vector-Jacobian product  {vjp:.2} ms, {:.2} forwards", vjp / forward);
    println!("forward, then product    {:.2} forwards", 1.0 + vjp / forward);
    println!("fused variance gradient  {fused:.2} ms, {:.2} forwards", fused / forward);
    println!("largest difference of the gradients, relative to the largest element: {error:.1e}");
}

/// Best of some rounds, milliseconds a row.
fn best(n: usize, mut call: impl FnMut()) -> f64 {
    call();
    let time = |_| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64() * 1e3 / n as f64
    };
    (0..ROUNDS).map(time).fold(f64::INFINITY, f64::min)
}

/// `2 / (M - 1) (e_m - mean e)`, sample by sample.
fn deviations(epsilon: &Array4<f32>) -> Array4<f32> {
    let mut out = epsilon.clone();
    let m = N_DRAWS as usize;
    for start in (0..out.shape()[0]).step_by(m) {
        let mut draws = out.slice_mut(s![start..start + m, .., .., ..]);
        let mean = draws.mean_axis(ndarray::Axis(0)).unwrap();
        draws -= &mean;
        draws *= 2.0 / (m as f32 - 1.0);
    }
    out
}

fn difference(products: &Array4<f32>, gradient: &Array4<f32>) -> f32 {
    let m = N_DRAWS as usize;
    let (mut worst, mut largest) = (0.0_f32, 0.0_f32);
    for (i, row) in gradient.outer_iter().enumerate() {
        let sum = products.slice(s![i * m..(i + 1) * m, .., .., ..]).sum_axis(ndarray::Axis(0));
        for (a, b) in sum.iter().zip(&row) {
            worst = worst.max((a - b).abs());
            largest = largest.max(a.abs());
        }
    }
    worst / largest
}
