//! Networks that others designed, narrow, as exporters write them: described by `model init`, sampled with maps by `sample`.
//! The rows of docs/networks.md. What gradients of these are worth is held in `dubench-graph`, `public`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::io::Read as _;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::WriteNpyExt;

use crate::support::Folder;

/// What a network needs beside its graph.
#[derive(Clone, Copy)]
struct Needs {
    /// Classes, where it takes integers.
    classes: bool,
    /// Inputs that are neither state, time nor class: one row for all images.
    conditions: &'static [&'static str],
    /// Whether its state is a latent.
    latent: bool,
    /// Evaluations of four steps.
    nfe: u64,
}

const PLAIN: Needs = Needs { classes: false, conditions: &[], latent: false, nfe: 4 };

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("graph/tests/data/public")
}

/// One row of an input, as PyTorch was given it.
fn row(network: &str, input: &str) -> ArrayD<f32> {
    let text = std::fs::read(data().join(format!("{network}.json"))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let array = &json["arrays"][input];
    let mut shape: Vec<usize> = serde_json::from_value(array["shape"].clone()).unwrap();
    let values: Vec<f32> = serde_json::from_value(array["values"].clone()).unwrap();
    let row = values.len() / shape[0];
    shape[0] = 1;
    ArrayD::from_shape_vec(IxDyn(&shape), values[..row].to_vec()).unwrap()
}

/// A folder `net` with the graph and what stands beside it, and its description.
fn described(graph: &Path, network: &str, needs: Needs) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("net")).unwrap();
    let (file, mut bytes) = (std::fs::File::open(graph).unwrap(), Vec::new());
    let packed = graph.extension().is_some_and(|end| end == "gz");
    let mut content: Box<dyn std::io::Read> =
        if packed { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
    content.read_to_end(&mut bytes).unwrap();
    folder.bytes("net/denoiser.onnx", &bytes);
    for input in needs.conditions {
        let mut bytes = Vec::new();
        row(network, input).write_npy(&mut bytes).unwrap();
        folder.bytes(&format!("net/{input}.npy"), &bytes);
    }
    if needs.latent {
        let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/decoder_8.onnx");
        std::fs::copy(decoder, folder.path("net/decoder.onnx")).unwrap();
    }
    let mut call = vec!["model", "init", "net"];
    if needs.classes {
        call.extend(["--classes", "4"]);
    }
    let ended = folder.dubench(&call);
    assert_eq!(ended.code, 0, "{}: {}", graph.display(), ended.stderr);
    if needs.latent {
        let text = std::fs::read_to_string(folder.path("net/model.yaml")).unwrap();
        let latent = "kind: latent, shape: [4, 8, 8], scale: 0.18215, decoder: \"decoder.onnx\"";
        assert!(text.contains(latent), "{text}");
    }
    folder
}

/// Every export of a network is described, and makes two images with a map each.
fn sampled(network: &str, exports: &[&str], needs: Needs) {
    for export in exports {
        let graph = data().join(format!("{export}.onnx.gz"));
        let folder = described(&graph, network, needs);
        let call = ["sample", "net", "-o", "out", "-n", "2", "--steps", "4", "--format", "json"];
        let answer = folder.dubench(&call).json();
        assert_eq!(answer["nfe_trajectory"].as_u64(), Some(needs.nfe), "{export}: {answer}");
        assert_eq!(answer["methods"][0]["nfe"].as_u64(), Some(5), "{export}: {answer}");
        assert!(folder.states("out/final.npy").iter().all(|value| value.is_finite()), "{export}");
        let scores = std::fs::read_to_string(folder.path("out/scores.csv")).unwrap();
        let scores: Vec<f64> = scores
            .lines()
            .skip(1)
            .map(|line| line.rsplit_once(',').unwrap().1.parse().unwrap())
            .collect();
        // Two images that differ have maps that differ.
        assert!(scores.len() == 2 && scores[0] > 0.0 && scores[1] > 0.0, "{export}: {scores:?}");
        assert!((scores[0] - scores[1]).abs() > 0.0, "{export}: {scores:?}");
        assert!(
            folder.path("out/maps.npz").is_file() && folder.path("out/uncertainty.png").is_file()
        );
    }
}

#[test]
fn unet2d_is_sampled_with_maps() {
    sampled("unet2d", &["unet2d_traced_17", "unet2d_dynamo_18"], PLAIN);
}

#[test]
fn adm_is_sampled_with_maps() {
    let needs = Needs { classes: true, ..PLAIN };
    sampled("adm", &["adm_traced_17", "adm_dynamo_25"], needs);
}

#[test]
fn uvit_is_sampled_with_maps() {
    let needs = Needs { classes: true, ..PLAIN };
    sampled("uvit", &["uvit_traced_17", "uvit_dynamo_24"], needs);
    sampled("uvit_cfg", &["uvit_cfg_traced_17"], needs);
}

#[test]
fn uvit_in_half_precision_is_sampled_with_maps() {
    sampled("uvit", &["half/uvit_dynamo_24"], Needs { classes: true, ..PLAIN });
}

#[test]
fn dit_is_sampled_with_maps() {
    let needs = Needs { classes: true, latent: true, ..PLAIN };
    sampled("dit", &["dit_traced_17", "dit_dynamo_22"], needs);
}

#[test]
fn stable_diffusion_unet_is_sampled_with_maps() {
    let needs = Needs { conditions: &["text"], latent: true, ..PLAIN };
    sampled("sd_unet", &["sd_unet_traced_17", "sd_unet_dynamo_20"], needs);
}

#[test]
fn stable_diffusion_3_is_sampled_with_maps() {
    let needs = Needs { conditions: &["text", "pooled"], latent: true, ..PLAIN };
    sampled("sd3", &["sd3_traced_17", "sd3_dynamo_23"], needs);
}

#[test]
fn edm_is_sampled_with_maps() {
    // Four steps of Heun's rule, the last of one evaluation.
    let needs = Needs { conditions: &["label"], nfe: 7, ..PLAIN };
    sampled("edm_adm", &["edm_adm_dynamo_21"], needs);
    sampled("edm_song", &["edm_song_dynamo_18"], needs);
}

#[test]
fn edm2_is_sampled_with_maps() {
    let needs = Needs { conditions: &["label"], nfe: 7, ..PLAIN };
    sampled("edm2", &["edm2_dynamo_18"], needs);
}

#[test]
fn a_time_without_axes_is_one_for_a_call() {
    // eps = t, whatever the image: every draw sees one number, so that nothing varies.
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/time_scalar.onnx");
    let folder = described(&tiny, "", PLAIN);
    let call = ["sample", "net", "-o", "out", "-n", "3", "--steps", "4", "--format", "json"];
    let answer = folder.dubench(&call).json();
    assert_eq!(answer["nfe_trajectory"].as_u64(), Some(4), "{answer}");
    let scores = std::fs::read_to_string(folder.path("out/scores.csv")).unwrap();
    let scores: Vec<&str> =
        scores.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1).collect();
    assert_eq!(scores, ["0", "0", "0"]);
}
