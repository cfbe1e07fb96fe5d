//! Denoisers on the tiny graphs of `scripts/golden/tiny_onnx.py`, whose answers are known.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array4, s};

use super::derive::{Forward, VjpGraph, dropout_graph};
use super::{DenoiserParts, GraphSource, OnnxDenoiser, RuntimeOptions, self_test};
use crate::config::Prediction;
use crate::config::model_yaml::{Layout, TimeKind, TimeYaml};
use crate::model::bundle::files::sha256_file;
use crate::model::{Condition, Denoiser, DenoiserSpec, ModelError, Network, NetworkInput};
use crate::noise::nearest_f32;
use crate::schedule::{EdmRange, NoisePoint, NoiseSchedule};
use crate::units::{ClassLabel, NfeKind, Timestep};

pub(super) fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(format!("{name}.onnx"))
}

pub(super) fn parts() -> DenoiserParts {
    DenoiserParts {
        spec: DenoiserSpec {
            name: "tiny".to_owned(),
            shape: [3, 4, 4],
            n_classes: None,
            has_conditions: false,
            clip_x0: true,
            range: [-1.0, 1.0],
            dropout_mask_len: None,
            dropout_p: None,
            dropout_reason: None,
        },
        x: "sample".to_owned(),
        t: "timestep".to_owned(),
        y: None,
        null_class: None,
        conditions: Vec::new(),
        layout: Layout::Nchw,
        output: "eps".to_owned(),
        prediction: Prediction::Epsilon,
        schedule: NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap(),
        time: TimeYaml::TRAIN_STEP,
    }
}

pub(super) fn try_open(name: &str, parts: DenoiserParts) -> Result<OnnxDenoiser, ModelError> {
    let path = tiny(name);
    let options = RuntimeOptions { micro_batch: 2, ..RuntimeOptions::default() };
    OnnxDenoiser::open(GraphSource::File(&path), parts, &options)
}

pub(super) fn open(name: &str, parts: DenoiserParts) -> OnnxDenoiser {
    try_open(name, parts).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn forward(path: &Path) -> Forward<'_> {
    Forward { path, x: "sample", output: "eps", axes: [3, 4, 4] }
}

fn refusal(name: &str) -> String {
    try_open(name, parts()).unwrap_err().to_string()
}

pub(super) fn states(n: usize) -> Array4<f32> {
    Array4::from_shape_fn((n, 3, 4, 4), |(b, c, h, w)| {
        ((b * 48 + c * 16 + h * 4 + w) as f32 * 0.37).sin()
    })
}

pub(super) fn times(values: &[u32]) -> Vec<NoisePoint> {
    let schedule = parts().schedule;
    values.iter().map(|t| schedule.at(Timestep(*t))).collect()
}

fn largest_difference(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    (a - b).iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[test]
fn class_and_time_reach_their_rows_through_micro_batches() {
    let with_classes = DenoiserParts {
        spec: DenoiserSpec { n_classes: Some(10), ..parts().spec },
        y: Some("label".to_owned()),
        ..parts()
    };
    let mut denoiser = open("epsilon_class", with_classes);
    let (x, t) = (states(5), times(&[0, 100, 999, 3, 4]));
    let y: Vec<ClassLabel> = [0, 9, 10, 2, 1].map(ClassLabel).to_vec();
    let conditions = Condition::of_classes(&y);
    let input = NetworkInput { x: x.view(), t: &t, y: Some(&conditions) };
    let epsilon = denoiser.epsilon(input).unwrap();
    for row in 0..5 {
        let term = 0.001 * nearest_f32(t[row].t) + 0.1 * y[row].0 as f32;
        let got = epsilon[[row, 1, 2, 3]];
        assert!((got - (0.5 * x[[row, 1, 2, 3]] + term)).abs() < 1e-6, "row {row}: {got}");
    }
}

#[test]
fn a_missing_class_is_refused() {
    let with_classes = DenoiserParts { y: Some("label".to_owned()), ..parts() };
    let mut denoiser = open("epsilon_class", with_classes);
    let (x, t) = (states(1), times(&[0]));
    let error = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap_err();
    assert!(matches!(error, ModelError::Shape { input: "y", .. }), "{error}");
}

#[test]
fn learned_variance_channels_are_cut() {
    let mut denoiser = open("learned_variance", parts());
    let (x, t) = (states(3), times(&[1, 2, 3]));
    let epsilon = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
    assert_eq!(epsilon, &x * 0.5);
}

#[test]
fn each_prediction_becomes_epsilon_by_its_formula() {
    let (x, t) = (states(3), times(&[0, 400, 999]));
    for prediction in [Prediction::Epsilon, Prediction::X0, Prediction::V, Prediction::Score] {
        let mut denoiser = open("quarter", DenoiserParts { prediction, ..parts() });
        let got = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
        for row in 0..3 {
            let (a, s) = (t[row].level.a(), t[row].level.s());
            // The network answers 0.25 x, so epsilon is this multiple of x.
            let factor = match prediction {
                Prediction::Epsilon => 0.25,
                Prediction::X0 => (1.0 - a * 0.25) / s,
                Prediction::V => a * 0.25 + s,
                Prediction::Score => -s * 0.25,
                other => panic!("{other:?} is no prediction of this test"),
            };
            let value = f64::from(x[[row, 2, 1, 0]]);
            let error = (f64::from(got[[row, 2, 1, 0]]) - factor * value).abs();
            assert!(error <= 1e-6 * factor.abs().max(1.0), "{prediction:?}, row {row}: {error}");
        }
    }
}

#[test]
fn the_time_is_fed_with_its_offset_in_the_type_of_the_graph() {
    for name in ["time_i64", "time_i32", "time_f16", "time_f32", "time_f64"] {
        let time = TimeYaml { offset: 1.0, ..TimeYaml::TRAIN_STEP };
        let mut denoiser = open(name, DenoiserParts { time, ..parts() });
        let (x, t) = (states(3), times(&[0, 17, 999]));
        let epsilon = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
        let fed: Vec<f32> = (0..3).map(|row| epsilon[[row, 0, 0, 0]]).collect();
        assert_eq!(fed, [1.0, 18.0, 1000.0], "{name}");
    }
}

/// Where all rows of a call share the time, a call ends where it changes.
#[test]
fn a_time_without_a_batch_axis_is_fed_once_a_call() {
    let wide = RuntimeOptions::default();
    for name in ["time_scalar", "time_single"] {
        let path = tiny(name);
        let mut denoiser = OnnxDenoiser::open(GraphSource::File(&path), parts(), &wide).unwrap();
        assert!(denoiser.shares_time(), "{name}");
        let (x, t) = (states(5), times(&[3, 3, 999, 999, 3]));
        let epsilon = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
        let fed: Vec<f32> = (0..5).map(|row| epsilon[[row, 0, 0, 0]]).collect();
        assert_eq!(fed, [3.0, 3.0, 999.0, 999.0, 3.0], "{name}");
        let places = self_test::places(&parts().schedule, true).unwrap();
        assert!(self_test::run(&mut denoiser, &places).unwrap().is_invariant());
    }
}

#[test]
fn a_time_between_two_steps_is_refused_where_the_graph_takes_integers() {
    let between = [parts().schedule.place(333.25)];
    let x = states(1);
    let input = NetworkInput { x: x.view(), t: &between, y: None };
    let message = open("time_i64", parts()).epsilon(input).unwrap_err().to_string();
    assert!(message.contains("is asked at 333.25: export it with a float time"), "{message}");
    let float = open("time_f32", parts()).epsilon(input).unwrap();
    assert_eq!(float[[0, 0, 0, 0]], 333.25);
}

/// The graphs answer `D = x / (1 + sigma^2)`, the best guess of `x_0 ~ N(0, 1)`, or the raw network behind it: its noise is
/// `epsilon = sigma x / (sigma^2 + 1)` whatever of EDM the graph holds.
#[test]
fn edm_networks_give_the_noise_of_the_gaussian_they_denoise() {
    let range = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
    let schedule = NoiseSchedule::edm(range).unwrap();
    let t = [80.0, 1.0, 0.002].map(|sigma| schedule.place(sigma));
    let x = states(3);
    for (name, prediction, kind) in [
        ("edm_denoised", Prediction::Denoised, TimeKind::Sigma),
        ("edm_raw", Prediction::EdmRaw, TimeKind::CNoise),
    ] {
        let time = TimeYaml { kind, ..TimeYaml::TRAIN_STEP };
        let schedule = schedule.clone();
        let mut denoiser = open(name, DenoiserParts { prediction, schedule, time, ..parts() });
        let got = denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
        for ((row, x), place) in got.outer_iter().zip(x.outer_iter()).zip(&t) {
            let factor = place.t / (place.t * place.t + 1.0);
            for (got, x) in row.iter().zip(x) {
                let expected = factor * f64::from(*x);
                // At sigma = 0.002 it is the difference of two numbers 500 times as large as x.
                assert!((f64::from(*got) - expected).abs() < 5e-5, "{name} {place:?}");
            }
        }
    }
}

#[test]
fn graphs_that_do_not_fit_are_refused_by_name_before_any_work() {
    for (name, expected) in [
        ("four_channels", "`eps` has shape [?, 4, 4, 4], expected [batch, 3, 4, 4]"),
        ("time_u8", "`timestep` has element type u8, expected i64 or i32 or f16 or f32 or f64"),
        ("epsilon_class", "input `label` is not among those of model.yaml (sample, timestep)"),
        ("epsilon_class", "write `graphs.denoiser.inputs.y: label` if it is the class"),
        ("text_condition", "`conditions: {encoder_hidden_states: {file: NAME.npy}}`"),
    ] {
        let error = refusal(name);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_name_that_the_graph_lacks_is_refused_with_those_it_has() {
    let error = try_open("quarter", DenoiserParts { output: "noise".to_owned(), ..parts() });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("there is no output `noise`, the outputs are: eps"), "{error}");
}

#[test]
fn wrong_states_and_times_are_refused() {
    let mut denoiser = open("quarter", parts());
    let (x, small, t) = (states(2), Array4::zeros((2, 3, 4, 5)), times(&[1, 2]));
    let mut ask = |x: &Array4<f32>, t: &[NoisePoint]| {
        denoiser.epsilon(NetworkInput { x: x.view(), t, y: None })
    };
    assert!(matches!(ask(&small, &t), Err(ModelError::Shape { input: "x", .. })));
    assert!(matches!(ask(&x, &t[..1]), Err(ModelError::Shape { input: "t", .. })));
    let late = ask(&x, &[t[0], NoisePoint { t: 1000.0, ..t[0] }]).unwrap_err().to_string();
    assert!(late.contains("t=1000 lies past the last training time, t=999"), "{late}");
}

#[test]
fn an_empty_batch_gives_an_empty_answer() {
    let mut denoiser = open("quarter", parts());
    let x = Array4::zeros((0, 3, 4, 4));
    let epsilon = denoiser.epsilon(NetworkInput { x: x.view(), t: &[], y: None }).unwrap();
    assert_eq!(epsilon.dim(), (0, 3, 4, 4));
}

#[test]
fn nan_of_the_model_stops_the_network_with_its_rows() {
    let mut denoiser = open("nan_at_three", parts());
    let mut network = Network::new(&mut denoiser);
    let (x, t) = (states(4), times(&[0, 3, 5, 3]));
    let error = network
        .epsilon(NfeKind::Trajectory, NetworkInput { x: x.view(), t: &t, y: None })
        .unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { ref rows, n: 96, .. } if rows == &[1, 3]));
}

#[test]
fn dropout_of_a_train_graph_drops_what_its_masks_say() {
    let options = RuntimeOptions { micro_batch: 2, ..RuntimeOptions::default() };
    let graph =
        dropout_graph(forward(&tiny("train_dropout")), &options).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((graph.mask_len, graph.p), (48, Some(0.25)));
    let mut denoiser = open("quarter", parts()).with_dropout(Ok(graph));
    assert_eq!(denoiser.spec().dropout_mask_len, Some(48));
    let (x, t) = (states(3), times(&[1, 2, 3]));
    let masks = Array2::from_shape_fn((3, 48), |(row, site)| u8::from((row + site) % 3 != 0));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let got = denoiser.epsilon_dropout(input, &masks, 0.5).unwrap();
    let kept = masks.mapv(|mask| f32::from(mask) * 2.0);
    let kept = kept.into_shape_with_order((3, 3, 4, 4)).unwrap();
    assert!(largest_difference(&got, &(&x * &kept * 0.5)) < 1e-6);
}

/// Two exports of one network may take the time each in its own way.
#[test]
fn a_train_graph_is_fed_the_time_as_it_takes_it_itself() {
    let options = RuntimeOptions::default();
    let graph = dropout_graph(forward(&tiny("train_dropout")), &options).unwrap();
    let x = states(3);
    let t = times(&[5, 5, 700]);
    let masks = Array2::from_shape_fn((3, 48), |(row, at)| u8::from((row + at) % 3 > 0));
    let dropped = ["quarter", "time_scalar"].map(|name| {
        let mut denoiser = open(name, parts()).with_dropout(Ok(graph.clone()));
        let input = NetworkInput { x: x.view(), t: &t, y: None };
        denoiser.epsilon_dropout(input, &masks, 0.5).unwrap()
    });
    assert_eq!(dropped[0], dropped[1]);
}

#[test]
fn dropout_without_a_train_graph_is_not_applicable_and_says_why() {
    let mut denoiser = open("quarter", parts());
    let (x, t) = (states(1), times(&[0]));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let error = denoiser.epsilon_dropout(input, &Array2::zeros((1, 0)), 0.1).unwrap_err();
    assert!(matches!(error, ModelError::NotApplicable { .. }));
    assert!(error.to_string().contains("no train-mode graph"), "{error}");
}

#[test]
fn dropout_of_a_graph_that_has_none_is_refused_by_the_pass() {
    let error = dropout_graph(forward(&tiny("quarter")), &RuntimeOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no Dropout node"), "{error}");
}

#[test]
fn masks_of_another_length_and_p_of_one_are_refused() {
    let options = RuntimeOptions::default();
    let graph =
        dropout_graph(forward(&tiny("train_dropout")), &options).unwrap_or_else(|e| panic!("{e}"));
    let mut denoiser = open("quarter", parts()).with_dropout(Ok(graph));
    let (x, t) = (states(1), times(&[0]));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let error = denoiser.epsilon_dropout(input, &Array2::zeros((1, 47)), 0.1).unwrap_err();
    assert!(matches!(error, ModelError::Shape { input: "masks", .. }), "{error}");
    let error = denoiser.epsilon_dropout(input, &Array2::zeros((1, 48)), 1.0).unwrap_err();
    assert!(error.to_string().contains("expected a number in [0, 1)"), "{error}");
}

/// `eps = factor x` for each prediction, so `J^T v = factor v`.
#[test]
fn the_vector_jacobian_product_follows_each_prediction() {
    let (x, t, v) = (states(3), times(&[0, 400, 999]), states(3).mapv(|value| value - 0.5));
    for prediction in [Prediction::Epsilon, Prediction::X0, Prediction::V, Prediction::Score] {
        let graph = VjpGraph {
            path: tiny("quarter_vjp"),
            cotangent: "cotangent".to_owned(),
            jtv: "jtv".to_owned(),
        };
        let mut denoiser =
            open("quarter", DenoiserParts { prediction, ..parts() }).with_vjp(Ok(graph));
        let input = NetworkInput { x: x.view(), t: &t, y: None };
        let (epsilon, jtv) = denoiser.epsilon_vjp(input, v.view()).unwrap();
        assert_eq!(epsilon, denoiser.epsilon(input).unwrap(), "{prediction:?}");
        // The network is linear in x: both are the same multiple.
        for ((epsilon, x), (jtv, v)) in epsilon.iter().zip(&x).zip(jtv.iter().zip(&v)) {
            let (left, right) = (f64::from(epsilon * v), f64::from(jtv * x));
            assert!((left - right).abs() <= 1e-5 * left.abs().max(1e-3), "{prediction:?}");
        }
    }
}

#[test]
fn learned_variances_get_no_cotangent() {
    let graph = VjpGraph {
        path: tiny("learned_variance_vjp"),
        cotangent: "cotangent".to_owned(),
        jtv: "jtv".to_owned(),
    };
    let mut denoiser = open("learned_variance", parts()).with_vjp(Ok(graph));
    let (x, t, v) = (states(3), times(&[0, 1, 2]), states(3).mapv(|value| value + 1.0));
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let (_, jtv) = denoiser.epsilon_vjp(input, v.view()).unwrap();
    assert_eq!(jtv, &v * 0.5);
}

#[test]
fn self_test_passes_a_model_of_independent_rows_and_catches_one_that_mixes_them() {
    let wide = RuntimeOptions::default();
    let open_wide = |name: &str| {
        let path = tiny(name);
        OnnxDenoiser::open(GraphSource::File(&path), parts(), &wide)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let places = self_test::places(&parts().schedule, false).unwrap();
    let independent = self_test::run(&mut open_wide("quarter"), &places).unwrap();
    assert!(independent.is_invariant() && independent.largest > 0.1, "{independent:?}");
    let mixing = self_test::run(&mut open_wide("mixes_the_batch"), &places).unwrap();
    assert!(!mixing.is_invariant() && mixing.against_single > 0.1, "{mixing:?}");
}

#[test]
fn rows_do_not_depend_on_the_micro_batch() {
    let (x, t) = (states(7), times(&[0, 1, 2, 3, 4, 5, 6]));
    let ask = |micro_batch: usize| {
        let path = tiny("learned_variance");
        let options = RuntimeOptions { micro_batch, ..RuntimeOptions::default() };
        let mut denoiser = OnnxDenoiser::open(GraphSource::File(&path), parts(), &options).unwrap();
        denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap()
    };
    assert_eq!(ask(1), ask(7));
    assert_eq!(ask(3).slice(s![5, .., .., ..]), ask(64).slice(s![5, .., .., ..]));
}

#[test]
fn memory_picks_how_many_images_go_into_a_call_and_changes_no_bit() {
    let options = RuntimeOptions { micro_batch: 5, ..RuntimeOptions::default() };
    let (path, vjp) = (tiny("quarter"), tiny("quarter_vjp"));
    let graph = VjpGraph { path: vjp, cotangent: "cotangent".to_owned(), jtv: "jtv".to_owned() };
    let mut denoiser = OnnxDenoiser::open(GraphSource::File(&path), parts(), &options)
        .unwrap_or_else(|error| panic!("{error}"))
        .with_vjp(Ok(graph));
    let digest = sha256_file(&path).unwrap();
    let forward = (path.as_path(), digest.as_str());
    let bytes = denoiser.memory_per_image(forward, &options).unwrap();
    // A state of 48 floats, a time of four bytes and a prediction; a cotangent besides, and the state is gone when the product comes.
    assert_eq!(bytes.forward, NonZeroUsize::new(192 + 4 + 192));
    assert_eq!(bytes.vjp, NonZeroUsize::new(192 + 4 + 192 + 192));
    let (x, t) = (states(5), times(&[1, 2, 3, 4, 5]));
    let ask = |denoiser: &mut OnnxDenoiser| {
        let input = NetworkInput { x: x.view(), t: &t, y: None };
        denoiser.epsilon_vjp(input, x.view()).unwrap()
    };
    let whole = ask(&mut denoiser);
    for (memory, forward_fits, vjp_fits) in [(3 * 388, 3, 2), (1, 1, 1), (7760, 20, 13)] {
        denoiser.fit_into(memory, forward, &options).unwrap();
        let fits = denoiser.fits();
        assert_eq!(fits.forward, NonZeroUsize::new(forward_fits), "{memory}");
        assert_eq!(fits.vjp, NonZeroUsize::new(vjp_fits), "{memory}");
        assert_eq!(ask(&mut denoiser), whole, "{memory}");
    }
}
