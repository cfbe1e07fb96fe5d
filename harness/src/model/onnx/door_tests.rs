//! Conditions, orders of axes and baked-in batches, on the tiny graphs of `scripts/golden/tiny_onnx.py`.

use ndarray::{Array4, ArrayD, Axis, array};

use super::denoiser_tests::{forward, open, parts, states, times, tiny, try_open};
use super::derive::{VjpGraph, variance_gradient_graph, vjp_graph};
use super::{ConditionTensor, DenoiserParts, NullClass, OnnxDenoiser, RuntimeOptions, self_test};
use crate::config::model_yaml::Layout;
use crate::exit::{Exit, Exits};
use crate::model::{
    ClassifierFree, Condition, Denoiser, DenoiserSpec, ModelError, Network, NetworkInput,
};
use crate::schedule::NoisePoint;
use crate::units::{ClassLabel, NfeKind, SampleId};

fn gradient(name: &str) -> VjpGraph {
    let graph = vjp_graph(forward(&tiny(name)), &RuntimeOptions::default());
    graph.unwrap_or_else(|error| panic!("{error}"))
}

/// Two samples of two tokens; their means are (1, 2, 3) and (-1, 0, 0.5), that of the null is 1/2 in each channel.
fn text_parts() -> DenoiserParts {
    let hidden =
        array![[[0.0_f32, 2.0, 3.0], [2.0, 2.0, 3.0]], [[-2.0, 1.0, 0.5], [0.0, -1.0, 0.5]],];
    let tensor = ConditionTensor {
        input: "encoder_hidden_states".to_owned(),
        values: hidden.into_dyn().into(),
        null: Some(ArrayD::from_elem(vec![1, 2, 3], 0.5)),
    };
    let spec = DenoiserSpec { has_conditions: true, ..parts().spec };
    DenoiserParts { spec, conditions: vec![tensor], ..parts() }
}

fn text() -> OnnxDenoiser {
    open("text_condition", text_parts()).with_vjp(Ok(gradient("text_condition")))
}

/// `m` of the samples above, of which 2 is the first again.
fn mean_of(id: u64, channel: usize) -> f32 {
    [[1.0, 2.0, 3.0], [-1.0, 0.0, 0.5]][(id % 2) as usize][channel]
}

#[test]
fn tensors_of_samples_reach_their_rows_through_micro_batches() {
    let (x, t) = (states(3), times(&[0, 400, 999]));
    let y = [0, 1, 2].map(|id| Condition::of_sample(SampleId(id)));
    let epsilon = text().epsilon(NetworkInput { x: x.view(), t: &t, y: Some(&y) }).unwrap();
    for ((row, c, h, w), got) in epsilon.indexed_iter() {
        let x = x[[row, c, h, w]];
        let expected = 0.5 * x + x.tanh() * mean_of(row as u64, c);
        assert!((got - expected).abs() < 1e-6, "{row} {c}: {got}, expected {expected}");
    }
    let error = text().epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap_err();
    assert!(matches!(error, ModelError::Shape { input: "y", .. }), "{error}");
}

#[test]
fn guided_predictions_and_products_are_those_of_the_combination() {
    let scale = 3.0_f32;
    let mut guided = ClassifierFree::new(Box::new(text()), f64::from(scale));
    let (x, t) = (states(2), times(&[10, 10]));
    let y = [0, 1].map(|id| Condition::of_sample(SampleId(id)));
    let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
    let v = x.mapv(|x| 0.3 - x);
    let mut network = Network::new(&mut guided);
    let (epsilon, product) = network.epsilon_vjp(NfeKind::Estimator, input, v.view()).unwrap();
    assert_eq!((network.nfe().estimator, network.nfe().gradient), (4, 4));
    assert_eq!(epsilon, guided.epsilon(input).unwrap());
    for ((row, c, h, w), x) in x.indexed_iter() {
        let m = 0.5 + scale * (mean_of(row as u64, c) - 0.5);
        let at = [row, c, h, w];
        assert!((epsilon[at] - (0.5 * x + x.tanh() * m)).abs() < 5e-6, "{at:?}");
        let slope = 0.5 + (1.0 - x.tanh().powi(2)) * m;
        assert!((product[at] - slope * v[at]).abs() < 1e-5, "{at:?}");
    }
    // And beside finite differences, which know nothing of the formula.
    let h = 1e-2_f32;
    let mut shifted = |by: f32| {
        let moved = x.mapv(|x| x + by);
        guided.epsilon(NetworkInput { x: moved.view(), ..input }).unwrap()
    };
    let differences = (shifted(h) - shifted(-h)) / (2.0 * h);
    for ((got, slope), v) in product.iter().zip(&differences).zip(&v) {
        // h^2 / 6 times the third derivative of tanh, at most 2, and m, at most 8; besides the rounding of f32.
        assert!((got - slope * v).abs() < 1e-3 * (1.0 + v.abs()));
    }
}

#[test]
fn values_that_do_not_fit_the_input_are_refused_with_their_key() {
    let refused = |change: &dyn Fn(&mut ConditionTensor)| {
        let mut parts = text_parts();
        change(&mut parts.conditions[0]);
        let error = try_open("text_condition", parts).unwrap_err();
        assert_eq!(error.exit(), Exit::Input);
        error.to_string()
    };
    let narrow = refused(&|tensor| tensor.values = ArrayD::zeros(vec![2, 2, 4]).into());
    let expected =
        "conditions.encoder_hidden_states: file has shape [2, 2, 4], the input takes [?, 2, 3]";
    assert!(narrow.contains(expected), "{narrow}");
    let many = refused(&|tensor| tensor.null = Some(ArrayD::zeros(vec![2, 2, 3])));
    assert!(many.contains("null has shape [2, 2, 3], expected [1, ..]"), "{many}");
    let odd = refused(&|tensor| {
        let mut values = ArrayD::zeros(vec![2, 2, 3]);
        values[[0, 0, 0]] = f32::NAN;
        tensor.values = values.into();
    });
    assert!(odd.contains("file holds NaN, expected finite numbers"), "{odd}");
    let name = refused(&|tensor| tensor.input = "text".to_owned());
    assert!(name.contains("there is no input `text`"), "{name}");
}

#[test]
fn one_hot_classes_have_a_null_of_zeros_and_whole_numbers_have_not() {
    let classes = |null| DenoiserParts {
        spec: DenoiserSpec { n_classes: Some(3), ..parts().spec },
        y: Some("label".to_owned()),
        null_class: null,
        ..parts()
    };
    let mut denoiser = open("one_hot_class", classes(Some(NullClass::Zeros)));
    let (x, t) = (states(3), times(&[1, 2, 3]));
    let mut y = Condition::of_classes(&[ClassLabel(2), ClassLabel(1), ClassLabel(2)]);
    y[2] = y[2].null();
    let epsilon = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: Some(&y) }).unwrap();
    for (row, term) in [0.2, 0.1, 0.0].into_iter().enumerate() {
        let got = epsilon[[row, 1, 2, 3]] - 0.5 * x[[row, 1, 2, 3]];
        assert!((got - term).abs() < 1e-6, "row {row}: {got}");
    }
    let error = try_open("one_hot_class", classes(Some(NullClass::Label(3)))).unwrap_err();
    assert!(error.to_string().contains("room for 3 classes, model.yaml speaks of 4"), "{error}");
    let error = try_open("epsilon_class", classes(Some(NullClass::Zeros))).unwrap_err();
    assert!(error.to_string().contains("write cfg.null as {label: CLASS}"), "{error}");
}

/// `epsilon_class` has eleven classes, the last of which stands for none: `epsilon = 0.5 x + 0.001 t + 0.1 y`.
#[test]
fn guidance_by_class_goes_from_the_null_class() {
    let with_null = DenoiserParts {
        spec: DenoiserSpec { n_classes: Some(10), ..parts().spec },
        y: Some("label".to_owned()),
        null_class: Some(NullClass::Label(10)),
        ..parts()
    };
    let mut guided = ClassifierFree::new(Box::new(open("epsilon_class", with_null)), 4.0);
    let (x, t) = (states(1), times(&[100]));
    let y = Condition::of_classes(&[ClassLabel(7)]);
    let epsilon = guided.epsilon(NetworkInput { x: x.view(), t: &t, y: Some(&y) }).unwrap();
    let expected = 0.5 * x[[0, 2, 1, 0]] + 0.1 + 0.1 * (10.0 + 4.0 * (7.0 - 10.0));
    assert!((epsilon[[0, 2, 1, 0]] - expected).abs() < 1e-5);
}

#[test]
fn channels_may_come_last() {
    let last = || DenoiserParts { layout: Layout::Nhwc, ..parts() };
    let mut denoiser = open("channels_last", last()).with_vjp(Ok(gradient("channels_last")));
    let (x, t, v) = (states(3), times(&[1, 2, 3]), states(3).mapv(|value| value - 0.5));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let (epsilon, product) = denoiser.epsilon_vjp(input, v.view()).unwrap();
    assert_eq!(epsilon, denoiser.epsilon(input).unwrap());
    for ((row, c, h, w), x) in x.indexed_iter() {
        let (at, gain) = ([row, c, h, w], c as f32 + 1.0);
        assert_eq!((epsilon[at], product[at]), (gain * x, gain * v[at]), "{at:?}");
    }
    let error = try_open("channels_last", parts()).unwrap_err();
    assert!(error.to_string().contains("`sample` has shape [?, 4, 4, 3]"), "{error}");
}

/// The description fixes what the graph leaves open, for gradients too.
#[test]
fn height_and_width_may_be_symbolic() {
    let (x, t) = (states(3), times(&[1, 2, 3]));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let mut denoiser = open("open_size", parts()).with_vjp(Ok(gradient("open_size")));
    assert_eq!(denoiser.epsilon(input).unwrap(), &x * 0.5);
    let v = states(3).mapv(|value| value - 0.25);
    let (epsilon, product) = denoiser.epsilon_vjp(input, v.view()).unwrap();
    assert_eq!((epsilon, product), (&x * 0.5, &v * 0.5));
}

#[test]
fn a_baked_in_batch_is_served_in_pieces_and_the_last_one_filled_up() {
    let mut denoiser = open("fixed_batch", parts());
    let (x, t) = (states(5), times(&[0, 1, 2, 3, 999]));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    assert_eq!(denoiser.epsilon(input).unwrap(), &x * 0.5);
    // Its products too; the draws of an image would have to share a call, so the fused graph is refused.
    let mut denoiser = denoiser.with_vjp(Ok(gradient("fixed_batch")));
    let v = states(5).mapv(|value| value - 0.25);
    let (epsilon, product) = denoiser.epsilon_vjp(input, v.view()).unwrap();
    assert_eq!((epsilon, product), (&x * 0.5, &v * 0.5));
    let path = tiny("fixed_batch");
    let fused = variance_gradient_graph(forward(&path), 3, &RuntimeOptions::default());
    let message = fused.unwrap_err().to_string();
    assert!(message.contains("export with a dynamic first axis"), "{message}");
    let places = self_test::places(&parts().schedule, false).unwrap();
    assert!(self_test::run(&mut denoiser, &places).unwrap().is_invariant());
}

#[test]
fn a_baked_in_batch_that_the_inputs_do_not_tell_is_refused_with_its_size() {
    let path = tiny("hidden_batch");
    let source = super::GraphSource::File(&path);
    let mut denoiser = OnnxDenoiser::open(source, parts(), &RuntimeOptions::default()).unwrap();
    let places: Vec<NoisePoint> = self_test::places(&parts().schedule, false).unwrap();
    let error = self_test::run(&mut denoiser, &places).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    let expected = "a batch is baked in: calls of 2 rows run, of 5 do not";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_row_of_a_filled_up_call_is_that_of_a_full_one() {
    let mut denoiser = open("fixed_batch", parts());
    let (x, t) = (states(4), times(&[5, 6, 7, 8]));
    let all = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
    let one: Array4<f32> = x.select(Axis(0), &[2]);
    let alone = denoiser.epsilon(NetworkInput { x: one.view(), t: &t[2..3], y: None }).unwrap();
    assert_eq!(alone, all.select(Axis(0), &[2]));
}
