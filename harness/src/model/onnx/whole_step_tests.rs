//! Whole steps of the tiny networks against separate calls, through layouts, forms of the time, predictions and micro-batches.

use ndarray::{Array4, Array5, Axis, Zip, s};

use super::denoiser_tests::{forward, parts, states, times, tiny};
use super::derive::step_graph;
use super::{DenoiserParts, GraphSource, OnnxDenoiser, RuntimeOptions};
use crate::config::Prediction;
use crate::config::model_yaml::Layout;
use crate::graph::step;
use crate::model::{Condition, Denoiser, DenoiserSpec, NetworkInput, StepAnswer};
use crate::model::{StepInput, StepKind, StepRule, StepUpdate};
use crate::noise::nearest_f32;
use crate::units::ClassLabel;

const KIND: StepKind = StepKind { n_draws: 3, clip: Some([-1.0, 1.0]), rule: StepRule::Ddim };
const A: f64 = 0.93;
const S: f64 = 0.36;

/// A tiny network that makes steps, four images a call.
fn open(name: &str, parts: DenoiserParts, kind: StepKind) -> OnnxDenoiser {
    let options = RuntimeOptions { micro_batch: 2 * 3, ..RuntimeOptions::default() };
    let path = tiny(name);
    let prediction = match parts.prediction {
        Prediction::Epsilon => step::Prediction::Epsilon,
        _ => step::Prediction::Line,
    };
    let axes = match parts.layout {
        Layout::Nchw => [3, 4, 4],
        Layout::Nhwc => [4, 4, 3],
    };
    let forward = super::derive::Forward { axes, ..forward(&path) };
    let graph = step_graph(forward, (prediction, kind), &options);
    let graph = graph.unwrap_or_else(|error| panic!("{name}: {error}"));
    let denoiser = OnnxDenoiser::open(GraphSource::File(&path), parts, &options).unwrap();
    denoiser.with_step(graph, &options)
}

fn noise(b: usize) -> Array5<f32> {
    Array5::from_shape_fn((3, b, 3, 4, 4), |(m, b, c, h, w)| {
        ((m * 977 + b * 48 + c * 16 + h * 4 + w) as f32 * 1.7).sin()
    })
}

/// The same by one call for the states and one for each draw.
fn separate(denoiser: &mut OnnxDenoiser, input: &StepInput<'_>) -> StepAnswer {
    let (a, s) = (input.level.a(), input.level.s());
    let x = input.at.x.to_owned();
    let epsilon = denoiser.epsilon(input.at).unwrap();
    let x0_hat = Zip::from(&x).and(&epsilon).map_collect(|x, e| {
        let x0 = nearest_f32((f64::from(*x) - s * f64::from(*e)) / a);
        match input.update {
            StepUpdate::Ddim { clip: Some([low, high]), .. } => x0.clamp(low, high),
            _ => x0,
        }
    });
    let draws: Vec<Array4<f32>> = input
        .noise
        .axis_iter(Axis(0))
        .map(|n| {
            let x = Zip::from(&x0_hat)
                .and(n)
                .map_collect(|x0, n| nearest_f32(a * f64::from(*x0) + s * f64::from(*n)));
            denoiser.epsilon(NetworkInput { x: x.view(), ..input.at }).unwrap()
        })
        .collect();
    let (variance, mean_square) = around(&epsilon, &draws);
    let next = after(&input.update, (&x, &x0_hat, &epsilon));
    StepAnswer { epsilon, x0_hat, variance, mean_square, next }
}

/// The variance of the draws, and their mean square around `epsilon`.
fn around(epsilon: &Array4<f32>, draws: &[Array4<f32>]) -> (Array4<f32>, Array4<f32>) {
    let m = draws.len() as f64;
    let over = |f: &dyn Fn(usize, &[f64]) -> f64| {
        let mut at = 0;
        epsilon.mapv(|_| {
            let values: Vec<f64> =
                draws.iter().map(|d| f64::from(d.as_slice().unwrap()[at])).collect();
            at += 1;
            nearest_f32(f(at - 1, &values))
        })
    };
    let square = |values: &[f64], center: f64| {
        values.iter().fold(0.0, |sum, v| sum + (v - center) * (v - center))
    };
    let mean = |values: &[f64]| values.iter().fold(0.0, |sum, v| sum + v) / m;
    let centers = epsilon.as_slice().unwrap();
    let variance = over(&|_, values| square(values, mean(values)) / (m - 1.0));
    (variance, over(&|at, values| square(values, f64::from(centers[at])) / m))
}

/// The state that follows `x`.
fn after(
    update: &StepUpdate<'_>,
    (x, x0_hat, epsilon): (&Array4<f32>, &Array4<f32>, &Array4<f32>),
) -> Array4<f32> {
    match *update {
        StepUpdate::Ddim { a, s, .. } => Zip::from(x0_hat)
            .and(epsilon)
            .map_collect(|x0, e| nearest_f32(a * f64::from(*x0) + s * f64::from(*e))),
        StepUpdate::DpmSolverPp2m { keep, gain, weight, earlier } => {
            Zip::from(x).and(x0_hat).and(earlier).map_collect(|x, m, earlier| {
                let (m, earlier) = (f64::from(*m), f64::from(*earlier));
                nearest_f32(keep * f64::from(*x) + gain * (m + weight * (m - earlier)))
            })
        }
    }
}

/// One call against separate ones, five rows at the time `t`.
fn check(name: &str, parts: DenoiserParts, kind: StepKind) {
    let what = format!("{name}, {:?}, {kind:?}", parts.prediction);
    let labelled = parts.y.is_some();
    let mut denoiser = open(name, parts, kind);
    assert_eq!(denoiser.step_kinds(), [kind]);
    let (x, t, noise, earlier) = (states(5), times(&[400; 5]), noise(5), states(5) * 0.5);
    let y = Condition::of_classes(&[0, 9, 10, 2, 1].map(ClassLabel));
    let at = NetworkInput { x: x.view(), t: &t, y: labelled.then_some(y.as_slice()) };
    let update = match kind.rule {
        StepRule::Ddim => StepUpdate::Ddim { clip: kind.clip, a: A, s: S },
        StepRule::DpmSolverPp2m => {
            StepUpdate::DpmSolverPp2m { keep: A, gain: S, weight: 0.6, earlier: earlier.view() }
        }
    };
    let input = StepInput { at, level: t[0].level, noise: noise.view(), update };
    let expected = separate(&mut denoiser, &input);
    let got = denoiser.step(input).unwrap_or_else(|error| panic!("{what}: {error}"));
    let bits = |a: &Array4<f32>| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for (field, (got, expected)) in got.arrays().into_iter().zip(expected.arrays()).enumerate() {
        // Some of these networks say the time and nothing of the state, so their draws agree.
        let says = expected.iter().any(|v| *v != 0.0) || name.starts_with("time_");
        assert!(says, "{what}: field {field} says nothing");
        assert!(bits(got) == bits(expected), "{what}: field {field} has other bits");
    }
}

#[test]
fn every_form_of_the_time_and_of_the_class_reaches_the_draws() {
    for name in ["quarter", "time_single", "time_scalar", "time_f32", "time_f64", "time_f16"] {
        check(name, parts(), KIND);
    }
    let with_classes = DenoiserParts {
        spec: DenoiserSpec { n_classes: Some(11), ..parts().spec },
        y: Some("label".to_owned()),
        ..parts()
    };
    check("epsilon_class", with_classes, KIND);
}

#[test]
fn layouts_learned_variances_predictions_and_the_other_rule_do_too() {
    check("channels_last", DenoiserParts { layout: Layout::Nhwc, ..parts() }, KIND);
    check("learned_variance", parts(), KIND);
    for prediction in [Prediction::X0, Prediction::V, Prediction::Score] {
        check("quarter", DenoiserParts { prediction, ..parts() }, KIND);
    }
    let solver = StepKind { clip: None, rule: StepRule::DpmSolverPp2m, ..KIND };
    check("quarter", parts(), solver);
    check("channels_last", DenoiserParts { layout: Layout::Nhwc, ..parts() }, solver);
}

#[test]
fn a_step_that_no_graph_was_made_for_and_wrong_shapes_are_refused() {
    let mut denoiser = open("quarter", parts(), KIND);
    let (x, t, noise) = (states(2), times(&[400; 2]), noise(2));
    let at = NetworkInput { x: x.view(), t: &t, y: None };
    let update = StepUpdate::Ddim { clip: None, a: A, s: S };
    let input = StepInput { at, level: t[0].level, noise: noise.view(), update };
    let text = denoiser.step(input).unwrap_err().to_string();
    assert!(text.contains("no graph was made of it"), "{text}");
    let update = StepUpdate::Ddim { clip: KIND.clip, a: A, s: S };
    let few = noise.slice(s![.., ..1, .., .., ..]);
    let input = StepInput { at, level: t[0].level, noise: few, update };
    let text = denoiser.step(input).unwrap_err().to_string();
    assert!(text.contains("noise of the draws has shape"), "{text}");
    let several = times(&[400, 300]);
    let at = NetworkInput { t: &several, ..at };
    let input = StepInput { at, level: t[0].level, noise: noise.view(), update };
    let text = denoiser.step(input).unwrap_err().to_string();
    assert!(text.contains("at several places"), "{text}");
}

#[test]
fn a_batch_that_is_baked_in_has_no_step() {
    let path = tiny("baked_batch");
    let options = RuntimeOptions::default();
    let asked = (step::Prediction::Epsilon, KIND);
    let text = step_graph(forward(&path), asked, &options).unwrap_err().to_string();
    assert!(text.contains("batch"), "{text}");
}
