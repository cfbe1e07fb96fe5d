//! `dubench fit-laplace`, and what reads its files.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use ndarray::Array4;
use ndarray_npy::WriteNpyExt;
use sha2::{Digest, Sha256};

use crate::support::Folder;

const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
const TINY: &str = include_str!("../../src/experiment/tiny_bayesdiff.yaml");

/// Five small images.
#[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
fn images(folder: &Folder, name: &str, side: usize) {
    let images = Array4::from_shape_fn((5, 3, side, side), |(n, c, y, x)| {
        u8::try_from((31 * n + 7 * c + 5 * y + 3 * x) % 256).unwrap()
    });
    images.write_npy(std::fs::File::create(folder.path(name)).unwrap()).unwrap();
}

/// A bundle of one tiny graph; `quarter` has no weights.
pub(crate) fn bundle(folder: &Folder, name: &str, graph: &str) {
    let path = format!("{}/tests/data/tiny/{graph}.onnx", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    std::fs::create_dir(folder.path(name)).unwrap();
    folder.bytes(&format!("{name}/denoiser.onnx"), &bytes);
    let mut sha256 = String::new();
    for byte in Sha256::digest(&bytes) {
        sha256.push_str(&format!("{byte:02x}"));
    }
    let text = format!(
        "format: 1\nname: {name}\n\
         task: {{kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: null}}\n\
         prediction: epsilon\n\
         schedule: {{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}\n\
         timestep: {{offset: 0}}\n\
         graphs:\n  denoiser: {{file: denoiser.onnx, inputs: {{x: sample, t: timestep}}, outputs: {{prediction: eps}}}}\n\
         files: {{denoiser.onnx: {{sha256: {sha256}, bytes: {}}}}}\n",
        bytes.len()
    );
    folder.text(&format!("{name}/model.yaml"), &text);
}

/// The shipped bundle, copied.
fn copy(folder: &Folder, name: &str) {
    std::fs::create_dir(folder.path(name)).unwrap();
    for file in ["model.yaml", "denoiser.onnx", "denoiser_train.onnx", "weights.safetensors"] {
        std::fs::copy(format!("{BUNDLE}/{file}"), folder.path(&format!("{name}/{file}"))).unwrap();
    }
}

fn experiment(folder: &Folder, name: &str) -> String {
    let start = TINY.find("model:").unwrap();
    let end = TINY.find("sampler:").unwrap();
    let text = format!("{}model: {{kind: bundle, path: {name}}}\n{}", &TINY[..start], &TINY[end..]);
    let file = format!("{name}.yaml");
    folder.text(&file, &text);
    file
}

/// Another model, by the name in its description, with the file that was fitted on `mine`.
fn another_with_the_posterior_of_mine(folder: &Folder, name: &str) {
    copy(folder, name);
    let text = std::fs::read_to_string(folder.path(&format!("{name}/model.yaml"))).unwrap();
    let text = text.replace("name: ddpm-cifar10-small", "name: another");
    folder.text(&format!("{name}/model.yaml"), &text);
    for end in ["", ".sha256"] {
        let file = format!("laplace.parquet{end}");
        let to = folder.path(&format!("{name}/{file}"));
        std::fs::copy(folder.path(&format!("mine/{file}")), to).unwrap();
    }
}

fn flip_a_bit(folder: &Folder, name: &str) {
    let mut bytes = std::fs::read(folder.path(name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.bytes(name, &bytes);
}

#[test]
fn a_posterior_is_fitted_once_and_belongs_to_its_model() {
    let folder = Folder::new();
    copy(&folder, "mine");
    images(&folder, "images.npy", 32);
    let file = experiment(&folder, "mine");
    // Nobody has fitted it.
    folder.dubench(&["plan", &file, "--scale", "smoke"]).fails(
        3,
        &[
            "bayesdiff is not applicable to ddpm-cifar10-small",
            "laplace.parquet is not there",
            "dubench fit-laplace mine",
        ],
    );
    let fit = |more: &[&str]| {
        let call = ["fit-laplace", "mine", "--images", "images.npy", "-o", "mine/laplace.parquet"];
        folder.dubench(&[&call[..], more, &["--format", "json"]].concat())
    };
    let first = fit(&["-n", "3"]).json();
    assert_eq!((&first["n_images"], &first["facts"]["images_of"]), (&3.into(), &"5".into()));
    assert_eq!(fit(&["-n", "3", "--batch", "2"]).json()["content_sha256"], first["content_sha256"]);
    assert_ne!(fit(&["-n", "3", "--seed", "1"]).json()["content_sha256"], first["content_sha256"]);
    let planned = folder.dubench(&["plan", &file, "--scale", "smoke", "--format", "json"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    another_with_the_posterior_of_mine(&folder, "other");
    folder.dubench(&["plan", &experiment(&folder, "other"), "--scale", "smoke"]).fails(
        3,
        &[
            "other/laplace.parquet: it was fitted on model ddpm-cifar10-small",
            "model.yaml has sha256",
            "that of another",
        ],
    );
    flip_a_bit(&folder, "mine/laplace.parquet");
    folder.dubench(&["plan", &file, "--scale", "smoke"]).fails(5, &["the file is damaged"]);
}

/// The same experiment with generative uncertainty in the place of BayesDiff.
fn generative(text: &str) -> String {
    let start = text.find("  bayesdiff:").unwrap();
    let end = text.find("scales:").unwrap();
    format!("{}  generative_uncertainty: {{n_draws: 2}}\n{}", &text[..start], &text[end..])
}

#[test]
fn generative_uncertainty_asks_for_the_posterior_of_its_model() {
    let folder = Folder::new();
    copy(&folder, "mine");
    let file = experiment(&folder, "mine");
    let text = std::fs::read_to_string(folder.path(&file)).unwrap();
    folder.text(&file, &generative(&text));
    folder.dubench(&["plan", &file, "--scale", "smoke"]).fails(
        3,
        &[
            "generative_uncertainty is not applicable to ddpm-cifar10-small",
            "dubench fit-laplace mine",
            "protocol.generative_uncertainty.posterior.file",
        ],
    );
    // One of another model, under the name of this one.
    let yaml = std::fs::read_to_string(folder.path("mine/model.yaml")).unwrap();
    folder.text("mine/model.yaml", &yaml.replace("name: ddpm-cifar10-small", "name: another"));
    for end in ["", ".sha256"] {
        let name = format!("laplace.parquet{end}");
        std::fs::copy(format!("{BUNDLE}/{name}"), folder.path(&format!("mine/{name}"))).unwrap();
    }
    folder
        .dubench(&["plan", &file, "--scale", "smoke"])
        .fails(3, &["it was fitted on model ddpm-cifar10-small", "that of another"]);
    let certain = TINY.replacen("  bias_variance: 0.02\n", "", 1);
    folder.text("edited.yaml", &generative(&certain));
    folder
        .dubench(&["generate", "edited.yaml", "--scale", "smoke"])
        .fails(3, &["a draw of last-layer weights is not applicable", "set model.bias_variance"]);
}

#[test]
fn settings_of_generative_uncertainty_that_make_none_are_refused_with_their_keys() {
    let folder = Folder::new();
    for (settings, words) in [
        ("{n_draws: 0}", "protocol.generative_uncertainty.n_draws: 0 further images"),
        (
            "{feature_variance: 0.0}",
            "protocol.generative_uncertainty.feature_variance: 0 is no positive number",
        ),
        (
            "{posterior: {noise: -1.0}}",
            "protocol.generative_uncertainty.posterior.noise: -1 is no positive number",
        ),
    ] {
        folder.text("edited.yaml", &generative(TINY).replacen("{n_draws: 2}", settings, 1));
        folder.dubench(&["plan", "edited.yaml", "--scale", "smoke"]).fails(2, &[words]);
    }
    // The name of the method is its own.
    let named = generative(TINY).replacen(
        "{kind: sample_var}",
        "{kind: sample_var, name: generative_uncertainty}",
        1,
    );
    folder.text("edited.yaml", &named);
    folder
        .dubench(&["plan", "edited.yaml", "--scale", "smoke"])
        .fails(2, &["protocol.generative_uncertainty: \"generative_uncertainty\" is taken"]);
}

#[test]
fn what_has_no_last_layer_and_images_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    bundle(&folder, "quarter", "quarter");
    images(&folder, "images.npy", 4);
    images(&folder, "large.npy", 32);
    let fit = |bundle: &str, more: &[&str]| {
        folder.dubench(&[&["fit-laplace", bundle, "-o", "out.parquet"], more].concat())
    };
    fit("quarter", &["--images", "images.npy"]).fails(
        3,
        &["bayesdiff is not applicable to quarter", "no layer with weights lies behind it"],
    );
    fit(BUNDLE, &["--images", "images.npy"])
        .fails(3, &["images are [3, 4, 4]", "takes [3, 32, 32]"]);
    fit(BUNDLE, &["--images", "large.npy", "-n", "0"]).fails(2, &["-n", "at least 1"]);
    fit(BUNDLE, &["--images", "nowhere"]).fails(3, &["nowhere", "no data set"]);
    fit("nowhere", &["--images", "large.npy"]).fails(2, &["nowhere/model.yaml"]);
    assert!(!folder.path("out.parquet").exists());
}

#[test]
fn settings_that_carry_no_moments_are_refused_with_their_keys() {
    let folder = Folder::new();
    for (from, to, words) in [
        (
            "n_states: 2",
            "n_states: 0",
            "protocol.bayesdiff.arms[1].rule.n_states: there is no expectation over 0 states",
        ),
        ("skip: 10", "skip: 0", "protocol.bayesdiff.arms[1].rule.skip"),
        (
            "{kind: exact}",
            "{kind: draws, n: 0}",
            "arms[1].rule.weights.n: a variance needs 2 draws",
        ),
        (
            ", clip_x0: off",
            "",
            "sampler.clip_x0: bayesdiff carries moments along a walk that does not clip",
        ),
        ("kind: ddim", "kind: pndm", "sampler.kind: pndm is none of"),
        ("name: bayesdiff_exact", "name: bayesdiff", "\"bayesdiff\" is taken"),
        ("name: bayesdiff_exact", "name: sample_var", "\"sample_var\" is taken"),
        (
            "    arms:",
            "    posterior: {prior_precision: 0.0}\n    arms:",
            "posterior.prior_precision: 0 is no positive number",
        ),
    ] {
        let text = TINY.replacen(from, to, 1);
        assert_ne!(text, TINY, "{from}");
        let text = if to.contains("pndm") { text.replacen(", clip_x0: off", "", 1) } else { text };
        folder.text("edited.yaml", &text);
        folder
            .dubench(&["plan", "edited.yaml", "--scale", "smoke"])
            .fails(2, &["edited.yaml: ", words]);
    }
    let certain = TINY.replacen("  bias_variance: 0.02\n", "", 1);
    folder.text("edited.yaml", &certain);
    folder
        .dubench(&["generate", "edited.yaml", "--scale", "smoke"])
        .fails(3, &["bayesdiff is not applicable", "set model.bias_variance"]);
}
