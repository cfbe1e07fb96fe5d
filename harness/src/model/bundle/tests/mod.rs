//! Bundles made of the tiny graphs, whole and broken in every way that a user may meet.

mod refusals;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ndarray::Array4;

use super::files::sha256_file;
use super::{Gradients, Opened, SelfTest, inspect, open_bundle, open_bundle_with, open_encoder};
use crate::exit::{Exit, Exits};
use crate::model::onnx::RuntimeOptions;
use crate::model::{Condition, Denoiser, ModelError, NetworkInput};
use crate::schedule::{NoisePoint, NoiseSchedule};
use crate::stage::fault_tests::damaged;
use crate::units::{ClassLabel, Timestep};

pub(super) const PLAIN: &str = "
task: {kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: null}
prediction: epsilon
schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
timestep: {offset: 0}
graphs:
  denoiser: {file: quarter.onnx, inputs: {x: sample, t: timestep, y: null}, outputs: {prediction: eps}}
";

pub(super) const CLASSES: &str = "
task: {kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: 10}
prediction: epsilon
schedule: {kind: cosine, n_train_steps: 1000}
graphs:
  denoiser: {file: external.onnx, inputs: {x: sample, t: timestep, y: label}, outputs: {prediction: eps}}
";

const LATENT: &str = "
task: {kind: latent, shape: [4, 2, 2], scale: 0.5, decoder: decoder.onnx, classes: null}
prediction: epsilon
schedule: {kind: scaled_linear, beta_start: 0.00085, beta_end: 0.012, n_train_steps: 1000}
graphs:
  denoiser: {file: latent_denoiser.onnx, inputs: {x: sample, t: timestep}, outputs: {prediction: eps}}
";

pub(super) fn at(t: u32) -> NoisePoint {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap().at(Timestep(t))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
}

/// A folder with the named files and a `model.yaml` that lists them.
pub(super) fn bundle(body: &str, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in files {
        fs::copy(data(name), folder.path().join(name)).unwrap();
    }
    describe(folder.path(), body, files);
    folder
}

pub(super) fn describe(folder: &Path, body: &str, files: &[&str]) {
    let mut text = format!("format: 1\nname: tiny\n{body}\nfiles:\n");
    for name in files {
        let path = folder.join(name);
        let bytes = fs::metadata(&path).unwrap().len();
        let sha256 = sha256_file(&path).unwrap();
        text += &format!("  {name}: {{sha256: '{sha256}', bytes: {bytes}}}\n");
    }
    text += "provenance: {licence: MIT, fid: null}\n";
    crate::store::publish(&folder.join("model.yaml"), text.as_bytes()).unwrap();
}

pub(super) fn open(folder: &tempfile::TempDir) -> Result<Opened, ModelError> {
    open_bundle(folder.path(), &RuntimeOptions::default(), SelfTest::Run)
}

pub(super) fn opened(folder: &tempfile::TempDir) -> Opened {
    open(folder).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn refusal(folder: &tempfile::TempDir) -> String {
    open(folder).unwrap_err().to_string()
}

#[test]
fn a_plain_bundle_opens_with_its_self_test_and_hashes() {
    let mut opened = opened(&bundle(PLAIN, &["quarter.onnx"]));
    assert!(opened.provenance.self_test.unwrap().is_invariant());
    assert_eq!(opened.provenance.files.len(), 2, "the graph and model.yaml");
    assert_eq!(opened.provenance.notes["licence"], "MIT");
    assert!(opened.spec.clip_x0 && opened.spec.dropout_mask_len.is_none());
    let x0 = Array4::from_elem((1, 3, 4, 4), 1.0);
    assert_eq!(opened.decoder.decode(x0.view()).unwrap()[[0, 0, 0, 0]], 255);
    let t = [at(0)];
    let input = NetworkInput { x: x0.view(), t: &t, y: None };
    assert_eq!(opened.denoiser.epsilon(input).unwrap()[[0, 2, 3, 3]], 0.25);
}

const EDM: &str = "
task: {kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: null}
prediction: denoised
schedule: {kind: edm}
time: {kind: sigma}
graphs:
  denoiser: {file: edm_denoised.onnx, inputs: {x: sample, t: timestep}, outputs: {prediction: eps}}
";

/// The graph is the best denoiser of `x_0 ~ N(0, 1)`: its noise has the variance `sigma^2 / (1 + sigma^2)`.
#[test]
fn an_edm_network_is_inspected_and_a_wrong_description_of_it_is_a_warning() {
    let inspected = |body: &str| {
        let folder = bundle(body, &["edm_denoised.onnx"]);
        inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None).unwrap()
    };
    let right = inspected(EDM);
    assert_eq!(right.network.warnings, Vec::<String>::new());
    assert!(right.network.noise.iter().all(|check| check.variance > 0.5 && check.variance < 1.5));
    let wrong = inspected(&EDM.replace("denoised\n", "epsilon\n"));
    assert!(wrong.network.warnings[0].contains("at t=80"), "{:?}", wrong.network.warnings);
    assert!(wrong.network.warnings[0].contains("prediction, time or schedule"));
}

/// Open sides and a declared batch have gradients at the bundle's size; draws of an image need a call of their own.
#[test]
fn bundles_of_any_size_and_of_one_batch_have_gradients() {
    let gradients = Gradients::Derive { n_draws: vec![2] };
    for (file, is_fused) in [("open_size.onnx", true), ("fixed_batch.onnx", false)] {
        let folder = bundle(&PLAIN.replace("quarter.onnx", file), &[file]);
        let options = RuntimeOptions::default();
        let opened = open_bundle_with(folder.path(), &options, SelfTest::Run, &gradients).unwrap();
        let mut denoiser = opened.denoiser;
        assert_eq!(denoiser.gradient_unavailable(), None, "{file}");
        let x = Array4::from_shape_fn((4, 3, 4, 4), |(n, ..)| n as f32);
        let t = [at(0); 4];
        let input = NetworkInput { x: x.view(), t: &t, y: None };
        let v = x.mapv(|x| x - 1.0);
        assert_eq!(denoiser.epsilon_vjp(input, v.view()).unwrap().1, &v * 0.5, "{file}");
        let fused = denoiser.variance_gradient(input, 2).unwrap();
        assert_eq!(fused.is_some(), is_fused, "{file}");
        // Predictions 0 and 1/2, then 1 and 3/2: their variance is 1/8, which no shift of both changes.
        if let Some((variance, gradient)) = fused {
            assert!(variance.iter().all(|value| *value == 0.125), "{variance}");
            assert!(gradient.iter().all(|value| *value == 0.0), "{gradient}");
        }
    }
}

#[test]
fn a_train_graph_gives_dropout() {
    let body = format!("{PLAIN}  train: {{file: train_dropout.onnx}}\n");
    let folder = bundle(&body, &["quarter.onnx", "train_dropout.onnx"]);
    let opened = opened(&folder);
    assert_eq!((opened.spec.dropout_mask_len, opened.spec.dropout_p), (Some(48), Some(0.25)));
}

/// The sites are told one by one, with their probability.
#[test]
fn inspection_lists_dropout_sites() {
    let body = format!("{PLAIN}  train: {{file: train_dropout.onnx}}\n");
    let folder = bundle(&body, &["quarter.onnx", "train_dropout.onnx"]);
    let summary = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None).unwrap();
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["dropout_sites"], serde_json::json!([{"node": "dropped", "p": 0.25}]));
}

#[test]
fn a_train_graph_without_dropout_is_a_reason_and_no_error() {
    let body = format!("{PLAIN}  train: {{file: quarter.onnx}}\n");
    let folder = bundle(&body, &["quarter.onnx"]);
    let summary = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None).unwrap();
    let reason = summary.dropout_reason.unwrap();
    assert!(reason.contains("no Dropout node"), "{reason}");
}

#[test]
fn memory_picks_the_batch_only_where_rows_do_not_depend_on_it() {
    let options = RuntimeOptions { memory: Some(800), ..RuntimeOptions::default() };
    let fits = |name: &str| {
        let folder = bundle(&PLAIN.replace("quarter.onnx", name), &[name]);
        let opened = open_bundle(folder.path(), &options, SelfTest::Run);
        opened.unwrap_or_else(|error| panic!("{error}")).denoiser.fits().forward
    };
    // 388 bytes an image.
    assert_eq!(fits("quarter.onnx"), NonZeroUsize::new(2));
    assert_eq!(fits("mixes_the_batch.onnx"), None);
}

#[test]
fn classes_and_external_weights_open() {
    let mut opened = opened(&bundle(CLASSES, &["external.onnx", "external.bin"]));
    assert_eq!(opened.spec.n_classes, Some(10));
    let x = Array4::zeros((1, 3, 4, 4));
    let (t, y) = ([at(100)], [Condition::of_class(ClassLabel(7))]);
    let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
    let epsilon = opened.denoiser.epsilon(input).unwrap();
    assert!((epsilon[[0, 0, 0, 0]] - 0.8).abs() < 1e-6);
}

#[test]
fn latents_are_scaled_decoded_and_not_clipped() {
    let mut opened = opened(&bundle(LATENT, &["latent_denoiser.onnx", "decoder.onnx"]));
    assert!(!opened.spec.clip_x0);
    let mut latent = Array4::zeros((2, 4, 2, 2));
    latent[[1, 0, 0, 1]] = 0.25;
    latent[[1, 3, 0, 1]] = -0.5;
    let image = opened.decoder.decode(latent.view()).unwrap();
    assert_eq!(image.dim(), (2, 3, 4, 4));
    // Divided by the scale 0.5: channel 0 is 0.5 - 1.0 = -0.5, channels 1 and 2 are -1.0.
    assert_eq!([0, 1, 2].map(|c| image[[1, c, 1, 3]]), [64, 0, 0]);
    assert_eq!(image[[0, 0, 0, 0]], 128);
    let broken = latent.mapv(|value: f32| if value < 0.0 { f32::NAN } else { value });
    let error = opened.decoder.decode(broken.view()).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { rows, .. } if rows == [1]));
}

#[test]
fn inspection_serialises() {
    let folder = bundle(PLAIN, &["quarter.onnx"]);
    let summary = inspect(folder.path(), &RuntimeOptions::default(), &Gradients::None).unwrap();
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["inputs"][0]["name"], "sample");
    assert_eq!(json["inputs"][0]["dims"], serde_json::json!([null, 3, 4, 4]));
    assert_eq!(json["prediction"], "epsilon");
}
