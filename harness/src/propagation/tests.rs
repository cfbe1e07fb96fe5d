//! Moments on the model where they are known.

use std::num::NonZeroUsize;

use ndarray::{Array3, Array4, Zip};

use super::*;
use crate::model::Network;
use crate::model::analytic::GaussianDenoiser;
use crate::sampler::{ClipX0, Sampler, SamplerConfig, Walk};
use crate::schedule::NoiseSchedule;
use crate::units::{Nfe, SampleId, StepIndex};

const TAU: f64 = 0.5;
const MEAN: f64 = 0.2;
const BIAS_VARIANCE: f64 = 0.3;

fn denoiser(elements: usize) -> GaussianDenoiser {
    GaussianDenoiser::new(Array3::from_elem((1, 1, elements), 0.2), TAU)
        .unwrap()
        .with_bias_variance(BIAS_VARIANCE)
}

fn schedule() -> NoiseSchedule {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
}

fn sampler(text: &str, samples: &[SampleId]) -> Box<dyn Sampler> {
    let config: SamplerConfig = serde_json::from_str(text).unwrap();
    assert_eq!(sampler_faults(&config), []);
    let schedule = schedule();
    config.build(&Walk { schedule: &schedule, clips: ClipX0::Unit, seed: 5, samples }).unwrap()
}

const DDIM: &str = r#"{"kind": "ddim", "n_steps": 10, "clip_x0": "off"}"#;
const DDPM: &str = r#"{"kind": "ddpm", "n_steps": 10, "clip_x0": "off", "variance": "large"}"#;
const DPM: &str = r#"{"kind": "dpm_solver_2", "n_steps": 10}"#;

/// What a walk gave.
struct Walked {
    propagation: Propagation,
    x: Array4<f32>,
    nfe: Nfe,
}

fn walk(
    text: &str,
    config: PropagationConfig,
    (elements, n): (usize, u64),
    batch: usize,
) -> Walked {
    walk_of(text, config, (elements, (0..n).map(SampleId).collect()), batch)
}

fn walk_of(
    text: &str,
    config: PropagationConfig,
    (elements, samples): (usize, Vec<SampleId>),
    batch: usize,
) -> Walked {
    let mut sampler = sampler(text, &samples);
    let mut denoiser = denoiser(elements);
    let mut network = Network::new(&mut denoiser);
    let mut x = Array4::from_elem((samples.len(), 1, 1, elements), 0.7);
    let mut propagation = Propagation::new(config, x.view());
    let max_batch = NonZeroUsize::new(batch).unwrap();
    let at = At { seed: 5, samples: &samples, conditions: None, max_batch };
    for index in (0..sampler.n_steps()).map(StepIndex) {
        x = propagation.step(&at, (index, &x), sampler.as_mut(), &mut network).unwrap();
    }
    Walked { propagation, x, nfe: network.nfe() }
}

/// `epsilon = J (x - a mu) + b`, `b` of variance `v`: the moments of a step in closed form. With the midpoint
/// `x_m = k x + g epsilon`, the prediction there is `J_m (x_m - a_m mu) + b_m`.
fn closed_form(text: &str, total: bool) -> (f64, f64) {
    let sampler = sampler(text, &[SampleId(0)]);
    let slope = |a: f64, s: f64| s / (a * a * TAU * TAU + s * s);
    let (mut mean, mut variance) = (f64::from(0.7_f32), 0.0);
    for index in (0..sampler.n_steps()).map(StepIndex) {
        let (point, step) = (sampler.point(index), sampler.linear(index).unwrap());
        let (j, is_last) = (slope(point.a(), point.s()), index.0 + 1 == sampler.n_steps());
        // Without the variance over states the carried one can fall below 0, and states are drawn from none.
        variance = if is_last { variance } else { f64::max(variance, 0.0) };
        let (e, jacobian, from_first) = match step.midpoint {
            None => (j * (mean - point.a() * MEAN), j, 0.0),
            Some(middle) => {
                let (a, s) = (middle.place.level.a(), middle.place.level.s());
                let there = middle.of_x * mean + middle.of_epsilon * j * (mean - point.a() * MEAN);
                let j_m = slope(a, s);
                let by_state = j_m * (middle.of_x + middle.of_epsilon * j);
                (
                    j_m * (there - a * MEAN),
                    by_state,
                    (j_m * middle.of_epsilon).powi(2) * BIAS_VARIANCE,
                )
            }
        };
        // Between looks, and at the last step, the variance is that of a prediction that is certain and unrelated.
        let (covariance, of_prediction) = if is_last {
            (0.0, 0.0)
        } else {
            let mut spread = if total { jacobian * jacobian * variance } else { 0.0 };
            // What the first of two predictions draws moves the second; at the first look no states are drawn.
            spread += if total && index.0 > 0 { from_first } else { 0.0 };
            (jacobian * variance, BIAS_VARIANCE + spread)
        };
        mean = step.of_x * mean + step.of_epsilon * e;
        variance = step.of_x * step.of_x * variance
            + 2.0 * step.of_x * step.of_epsilon * covariance
            + step.of_epsilon * step.of_epsilon * of_prediction
            + step.noise_variance;
    }
    (mean, variance)
}

fn config(text: &str) -> PropagationConfig {
    let config: PropagationConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.faults(), []);
    config
}

/// Mean over elements, and its standard error: elements have draws of their own.
fn mean_and_se(values: ndarray::ArrayView4<'_, f64>) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.sum() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// Expectation and variance of all three samplers, and through the latter the covariance. The closed form is that of infinitely
/// many states; over 800 elements, each with 400 states of its own, means lie within five of their standard errors.
#[test]
fn moments_of_a_linear_gaussian_walk_are_those_of_the_closed_form() {
    for (text, released) in
        [(DDIM, true), (DDPM, true), (DPM, true), (DDIM, false), (DDPM, false), (DPM, false)]
    {
        let variance = if released { "weights" } else { "total" };
        let config = config(&format!(
            r#"{{"n_states": 400, "skip": 1, "weights": {{"kind": "exact"}}, "epsilon_variance": "{variance}"}}"#
        ));
        let walked = walk(text, config, (200, 4), 3);
        let (mean, variance) = closed_form(text, !released);
        let carried = &walked.propagation;
        for (values, expected, scale) in
            [(carried.expectation(), mean, 1.0), (carried.variance(), variance, variance)]
        {
            let (got, se) = mean_and_se(values);
            assert!(
                (got - expected).abs() < 5.0 * se,
                "{text} {released}: {got} ± {se}, expected {expected}"
            );
            // Images have unit scale; each term of the variance is more than a tenth of the whole.
            assert!(se < 0.02 * scale, "{text}: {got} ± {se}");
        }
        assert_eq!(carried.looks(), 9);
    }
}

/// With the law of total variance at every step the carried variance is that of the walks themselves; without it, it is not.
#[test]
fn carried_variance_is_the_spread_of_the_walks_when_total() {
    for text in [DDIM, DDPM, DPM] {
        let of = |variance: &str| {
            let config = config(&format!(
                r#"{{"n_states": 50, "skip": 1, "weights": {{"kind": "exact"}}, "epsilon_variance": "{variance}"}}"#
            ));
            walk(text, config, (40, 500), 64)
        };
        let total = of("total");
        let n = total.x.len() as f64;
        let mean = total.x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let spread =
            total.x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / (n - 1.0);
        // The last step is taken as certain and unrelated, which adds to the carried variance; undo it.
        let (_, variance) = closed_form(text, true);
        let carried = total.propagation.variance().mean().unwrap();
        assert!((carried / variance - 1.0).abs() < 0.03, "{text}: {carried} and {variance}");
        let before = before_the_last_step(text, carried);
        let se = spread * f64::sqrt(2.0 / n);
        assert!(
            (before - spread).abs() < 5.0 * se + 0.03 * spread,
            "{text}: {before} and {spread}"
        );
        let released = of("weights").propagation.variance().mean().unwrap();
        assert!(released < 0.97 * carried, "{text}: {released} and {carried}");
    }
}

/// Variance of the final state, where the last step is linear with a known slope: from that which was carried through it as
/// if the prediction were certain.
fn before_the_last_step(text: &str, carried: f64) -> f64 {
    let sampler = sampler(text, &[SampleId(0)]);
    let last = StepIndex(sampler.n_steps() - 1);
    let (point, step) = (sampler.point(last), sampler.linear(last).unwrap());
    let j = point.s() / (point.a().powi(2) * TAU * TAU + point.s().powi(2));
    carried * ((step.of_x + step.of_epsilon * j) / step.of_x).powi(2)
}

/// 50 steps, 10 states, every fifth step: ten looks, nine of them over states.
#[test]
fn evaluations_are_those_of_the_paper() {
    let ddim = DDIM.replace("10", "50");
    let walked = walk(&ddim, PropagationConfig::default(), (2, 1), 4);
    let Nfe { trajectory, estimator, gradient } = walked.nfe;
    assert_eq!((trajectory, estimator, gradient), (50, 90, 0));
    assert_eq!(walked.propagation.looks(), 10);
    // 25 intervals of two evaluations and the last step to the clean image; five looks, four of them over states at two
    // evaluations each. The released loop counts 132: its last pair is read by nothing, ours is one evaluation.
    let dpm = DPM.replace("10", "26");
    let walked = walk(&dpm, PropagationConfig::default(), (2, 1), 4);
    let Nfe { trajectory, estimator, gradient } = walked.nfe;
    assert_eq!((trajectory, estimator, gradient), (2 * 25 + 1, 4 * 10 * 2, 0));
    assert_eq!(walked.propagation.looks(), 5);
}

#[test]
fn a_row_depends_on_its_sample_alone() {
    for text in [DDIM, DDPM, DPM] {
        let config = PropagationConfig { skip: 2, ..PropagationConfig::default() };
        let whole = walk(text, config, (3, 7), 2);
        let alone = walk_of(text, config, (3, vec![SampleId(5)]), 9);
        let row = |array: &Array4<f32>, row: usize| -> Vec<u32> {
            array.index_axis(ndarray::Axis(0), row).iter().map(|v| v.to_bits()).collect()
        };
        assert_eq!(row(&whole.x, 5), row(&alone.x, 0), "{text}");
        let carried = |walked: &Walked, row: usize| -> Vec<u64> {
            let variance = walked.propagation.variance();
            variance.index_axis(ndarray::Axis(0), row).iter().map(|v| v.to_bits()).collect()
        };
        assert_eq!(carried(&whole, 5), carried(&alone, 0), "{text}");
        assert_ne!(carried(&whole, 4), carried(&whole, 5), "{text}");
    }
}

/// Without uncertain weights DDIM is itself, and nothing varies.
#[test]
fn certain_weights_carry_no_variance_and_few_states_make_some_of_it_negative() {
    let samples: Vec<SampleId> = (0..2).map(SampleId).collect();
    let mut sampler = sampler(DDIM, &samples);
    let mut denoiser = denoiser(3).with_bias_variance(0.0);
    let mut network = Network::new(&mut denoiser);
    let mut x = Array4::from_elem((2, 1, 1, 3), 0.7);
    let mut propagation = Propagation::new(config(r#"{"weights": {"kind": "exact"}}"#), x.view());
    let max_batch = NonZeroUsize::MIN;
    let at = At { seed: 5, samples: &samples, conditions: None, max_batch };
    for index in (0..10).map(StepIndex) {
        x = propagation.step(&at, (index, &x), sampler.as_mut(), &mut network).unwrap();
    }
    assert!(propagation.variance().iter().all(|variance| variance.abs() < 1e-6));
    let difference = Zip::from(&x)
        .and(propagation.expectation())
        .fold(0.0_f64, |most, x, e| most.max((f64::from(*x) - e).abs()));
    assert!(difference < 1e-5, "{difference}");
    let two = walk(DDIM, PropagationConfig { n_states: 2, skip: 1, ..config("{}") }, (50, 2), 9);
    assert!(
        two.propagation.n_negative().iter().all(|n| *n > 0),
        "{:?}",
        two.propagation.n_negative()
    );
}

#[test]
fn walks_that_clip_or_remember_are_refused() {
    for (text, words) in [
        (r#"{"kind": "ddim", "n_steps": 10}"#, "clip_x0: off"),
        (r#"{"kind": "ddpm", "n_steps": 10}"#, "clip_x0: off"),
        (r#"{"kind": "dpm_solver_pp_2m", "n_steps": 10}"#, "dpm_solver_pp_2m is none of"),
    ] {
        let config: SamplerConfig = serde_json::from_str(text).unwrap();
        let faults = sampler_faults(&config);
        assert!(faults[0].message.contains(words), "{faults:?}");
    }
    for (text, words) in [
        (r#"{"n_states": 0}"#, "expectation over 0 states"),
        (r#"{"n_states": 1, "epsilon_variance": "total"}"#, "2 or more"),
        (r#"{"skip": 0}"#, "every `skip`-th step"),
        (r#"{"weights": {"kind": "draws", "n": 0}}"#, "2 draws or more"),
    ] {
        let config: PropagationConfig = serde_json::from_str(text).unwrap();
        let faults = config.faults();
        assert!(faults.len() == 1 && faults[0].message.contains(words), "{faults:?}");
    }
}
