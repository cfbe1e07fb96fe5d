//! Bundles of conditional networks, of grey ones, and of those whose pixels lie in [0, 1].

use std::path::Path;

use ndarray::{Array3, Array4, array};

use super::tests::{CLASSES, PLAIN, at, bundle, describe, opened, refusal};
use super::{Gradients, Opened, SelfTest, inspect, open_bundle_as};
use crate::config::{CfgYaml, NullYaml};
use crate::model::onnx::RuntimeOptions;
use crate::model::{Condition, ModelError, NetworkInput};
use crate::units::{ClassLabel, SampleId};

const TEXT: &str = "
task: {kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: null}
prediction: epsilon
schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
conditions: {encoder_hidden_states: {file: c.npy, null: {zeros: true}}}
cfg: {scale: 2}
graphs:
  denoiser: {file: text_condition.onnx, inputs: {x: sample, t: timestep}, outputs: {prediction: eps}}
";

fn save(folder: &Path, name: &str, values: &Array3<f32>) {
    let mut bytes = Vec::new();
    ndarray_npy::WriteNpyExt::write_npy(values, &mut bytes).unwrap();
    crate::store::publish(&folder.join(name), &bytes).unwrap();
}

/// A bundle of the text-conditioned graph, whose hidden states are 1 for even samples and 3 for odd ones.
fn text(body: &str) -> tempfile::TempDir {
    let folder = bundle(body, &["text_condition.onnx"]);
    let values = Array3::from_shape_fn((2, 2, 3), |(row, ..)| [1.0, 3.0][row]);
    save(folder.path(), "c.npy", &values);
    describe(folder.path(), body, &["text_condition.onnx", "c.npy"]);
    folder
}

fn under(folder: &tempfile::TempDir, cfg: Option<&CfgYaml>) -> Result<Opened, ModelError> {
    let asked = (&Gradients::None, cfg);
    open_bundle_as(folder.path(), &RuntimeOptions::default(), SelfTest::Run, asked)
}

/// `epsilon / x - 0.5` at small `x`, where `tanh x = x`: the mean that the network was told.
fn told(opened: Opened, condition: Condition) -> f32 {
    let mut network = Opened::guided(opened.denoiser, opened.guidance);
    let x = Array4::from_elem((1, 3, 4, 4), 1e-3);
    let input = NetworkInput { x: x.view(), t: &[at(0)], y: Some(&[condition]) };
    network.epsilon(input).unwrap()[[0, 0, 0, 0]] / 1e-3 - 0.5
}

#[test]
fn tensors_of_a_bundle_are_fed_by_sample_under_its_own_guidance_or_that_of_an_experiment() {
    let folder = text(TEXT);
    let opened = under(&folder, None).unwrap();
    assert!(opened.spec.has_conditions && opened.provenance.files.contains_key("c.npy"));
    // From the null, 0, twice the way to the sample's 3.
    assert!((told(opened, Condition::of_sample(SampleId(1))) - 6.0).abs() < 1e-3);
    let asked = CfgYaml { scale: Some(1.0), null: None };
    let plain = under(&folder, Some(&asked)).unwrap();
    assert_eq!(plain.guidance, None);
    assert!((told(plain, Condition::of_sample(SampleId(4))) - 1.0).abs() < 1e-3);
    let summary = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None).unwrap();
    assert!(summary.network.self_test.is_invariant());
}

#[test]
fn descriptions_of_conditions_that_cannot_be_are_refused_with_their_key() {
    for (from, to, expected) in [
        (
            "{file: c.npy, null",
            "{file: d.npy, null",
            "conditions.encoder_hidden_states.file: `d.npy` has no entry under files",
        ),
        ("{zeros: true}", "{label: 3}", "conditions.encoder_hidden_states.null: is no class"),
        ("{zeros: true}", "{zeros: true, label: 3}", "expected one of {label: CLASS}"),
        (", null: {zeros: true}", "", "cfg.scale: is 2, and nothing stands for no condition"),
        ("{scale: 2}", "{scale: .nan}", "cfg.scale: is NaN"),
        ("{scale: 2}", "{scales: 2}", "unknown field `scales`"),
        ("{encoder_hidden_states:", "{text:", "there is no input `text`"),
        (
            "{encoder_hidden_states:",
            "{sample:",
            "conditions.sample: is an input that graphs.denoiser.inputs names",
        ),
    ] {
        assert!(TEXT.contains(from), "{from}");
        let error = refusal(&text(&TEXT.replace(from, to)));
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
    let folder = text(TEXT);
    save(folder.path(), "c.npy", &array![[[1.0_f32, 2.0]]]);
    describe(folder.path(), TEXT, &["text_condition.onnx", "c.npy"]);
    let error = refusal(&folder);
    assert!(error.contains("file has shape [1, 1, 2], the input takes [?, 2, 3]"), "{error}");
}

#[test]
fn an_input_that_nothing_is_said_of_is_refused_with_the_key_to_write() {
    let body = TEXT.replace("conditions: {encoder_hidden_states: {file: c.npy, null: {zeros: true}}}\ncfg: {scale: 2}\n", "");
    let error = refusal(&bundle(&body, &["text_condition.onnx"]));
    let expected = "`conditions: {encoder_hidden_states: {file: NAME.npy}}`";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_null_class_comes_from_the_experiment_where_the_bundle_has_none() {
    let folder = bundle(CLASSES, &["external.onnx", "external.bin"]);
    let asked = |null| CfgYaml { scale: Some(4.0), null };
    let error = under(&folder, Some(&asked(None))).unwrap_err().to_string();
    assert!(error.contains("nothing stands for no condition"), "{error}");
    let null = NullYaml { label: Some(10), ..NullYaml::default() };
    let opened = under(&folder, Some(&asked(Some(null)))).unwrap();
    let mut network = Opened::guided(opened.denoiser, opened.guidance);
    let x = Array4::zeros((1, 3, 4, 4));
    let y = [Condition::of_class(ClassLabel(7))];
    let epsilon = network.epsilon(NetworkInput { x: x.view(), t: &[at(100)], y: Some(&y) });
    // 0.001 t + 0.1 y from the null class 10, four times the way to 7.
    let expected = 0.1 + 0.1 * (10.0 + 4.0 * (7.0 - 10.0));
    assert!((epsilon.unwrap()[[0, 0, 0, 0]] - expected).abs() < 1e-5);
    let unconditional = bundle(PLAIN, &["quarter.onnx"]);
    let null = NullYaml { zeros: Some(true), ..NullYaml::default() };
    let error = under(&unconditional, Some(&asked(Some(null)))).unwrap_err().to_string();
    assert!(error.contains("for a network with classes or conditions"), "{error}");
}

#[test]
fn grey_networks_of_zero_to_one_give_images_of_three_equal_channels() {
    let body = PLAIN
        .replace("[3, 4, 4], range: [-1, 1]", "[1, 4, 4], range: [0, 1]")
        .replace("quarter.onnx", "grey.onnx");
    let mut opened = opened(&bundle(&body, &["grey.onnx"]));
    assert_eq!((opened.spec.shape, opened.spec.range), ([1, 4, 4], [0.0, 1.0]));
    let clip = crate::sampler::ClipX0::of_model(&opened.spec);
    assert_eq!(clip, crate::sampler::ClipX0::ZeroOne);
    let x0 = Array4::from_elem((2, 1, 4, 4), 0.2);
    let images = opened.decoder.decode(x0.view()).unwrap();
    assert_eq!(images, Array4::from_elem((2, 3, 4, 4), 51));
}
