//! The passes against PyTorch: fixtures of `scripts/golden/graph_fixtures.py`.

use std::path::PathBuf;

use super::dropout::{KeepScale, to_mask_input};
use super::reverse::ConvGradient;
use super::testing::{relative_error, run, runner, values};
use super::vjp::{Options, vjp};
use super::{Feeds, Model, Tensor, TensorData};

const NETWORKS: [&str; 6] = [
    "ddpm_traced_17",
    "ddpm_dynamo_20",
    "adm_traced_13",
    "adm_dynamo_18",
    "uvit_traced_17",
    "uvit_dynamo_20",
];
/// float32 graphs against float64 autograd, relative to the largest value.
const CLOSE: f32 = 1e-5;

/// One fixture: the forward graph and the arrays of its JSON.
pub(crate) struct Golden {
    pub(crate) model: Model,
    arrays: serde_json::Value,
}

impl Golden {
    pub(crate) fn read(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let model = Model::read(&folder.join(format!("{name}.onnx"))).unwrap();
        Self { model, arrays: json["arrays"].take() }
    }

    /// An array as f32, or as u8 for masks.
    pub(crate) fn array(&self, name: &str) -> Tensor {
        let array = &self.arrays[name];
        let shape: Vec<usize> = serde_json::from_value(array["shape"].clone()).unwrap();
        let data = if name == "masks" {
            TensorData::U8(serde_json::from_value(array["values"].clone()).unwrap())
        } else {
            TensorData::F32(serde_json::from_value(array["values"].clone()).unwrap())
        };
        Tensor::new(shape, data).unwrap()
    }

    pub(crate) fn feeds(&self, names: &[&str]) -> Feeds {
        names.iter().map(|&name| (name.to_owned(), self.array(name))).collect()
    }
}

/// The first `n` rows.
pub(crate) fn rows(tensor: &Tensor, n: usize) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    let per_row: usize = shape[1..].iter().product();
    shape[0] = n;
    Tensor::new(shape, TensorData::F32(values(tensor)[..n * per_row].to_vec())).unwrap()
}

#[test]
fn gradients_agree_with_autograd() {
    for name in NETWORKS {
        let golden = Golden::read(name);
        for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
            let options = Options { conv, ..Options::default() };
            let derived = vjp(&golden.model, options, &runner()).unwrap_or_else(|e| panic!("{e}"));
            let out =
                run(&derived, golden.feeds(&["sample", "timestep", "cotangent"]), &["eps", "jtv"]);
            let eps = relative_error(values(&out[0]), values(&golden.array("eps")));
            let jtv = relative_error(values(&out[1]), values(&golden.array("jtv")));
            println!("{name}, {conv:?}: eps {eps:.1e}, jtv {jtv:.1e}, {} nodes", derived.n_nodes());
            assert!(eps <= CLOSE && jtv <= CLOSE, "{name}: eps {eps}, jtv {jtv}");
        }
    }
}

#[test]
fn a_row_of_the_gradient_does_not_depend_on_the_batch() {
    for name in NETWORKS {
        let golden = Golden::read(name);
        let derived = vjp(&golden.model, Options::default(), &runner()).unwrap();
        let feeds = golden.feeds(&["sample", "timestep", "cotangent"]);
        let alone = feeds.iter().map(|(name, t)| (name.clone(), rows(t, 1))).collect();
        let (all, first) = (run(&derived, feeds, &["jtv"]), run(&derived, alone, &["jtv"]));
        let error = relative_error(values(&first[0]), values(&rows(&all[0], 1)));
        assert!(error <= 2e-6, "{name}: {error}");
    }
}

#[test]
fn shared_weights_do_not_grow_the_file() {
    let golden = Golden::read("ddpm_dynamo_20");
    let weights = |model: &Model| -> usize {
        let bytes =
            |t: &super::proto::TensorProto| t.raw_data.as_ref().map_or(0, prost::bytes::Bytes::len);
        model.graph().initializer.iter().map(bytes).sum()
    };
    let sizes = [ConvGradient::ConvTranspose, ConvGradient::FlippedConv].map(|conv| {
        let options = Options { conv, ..Options::default() };
        weights(&vjp(&golden.model, options, &runner()).unwrap())
    });
    let plain = weights(&golden.model);
    assert!(sizes[0] < plain + plain / 20, "{} and {plain}", sizes[0]);
    assert!(sizes[1] > sizes[0] + plain / 3);
}

#[test]
fn masked_dropout_agrees_with_torch_under_the_same_masks() {
    let golden = Golden::read("ddpm_train_17");
    let (masked, layout) = to_mask_input(&golden.model, KeepScale::OfNode, &runner()).unwrap();
    assert_eq!(layout.total, golden.array("masks").shape()[1]);
    assert!(layout.sites.iter().all(|site| (site.p - 0.25).abs() < 1e-7));
    let out = run(&masked, golden.feeds(&["sample", "timestep", "masks"]), &["eps"]);
    let error = relative_error(values(&out[0]), values(&golden.array("eps")));
    println!("{} sites, {} elements, relative error {error:.1e}", layout.sites.len(), layout.total);
    assert!(error <= CLOSE, "{error}");
}

#[test]
fn every_weight_of_a_derived_graph_is_read() {
    let unread = |model: &Model| -> usize {
        let read = model.graph().node.iter().flat_map(|node| &node.input);
        let read: std::collections::BTreeSet<&String> = read.collect();
        model.graph().initializer.iter().filter(|t| !read.contains(&t.name)).count()
    };
    let train = Golden::read("ddpm_train_17");
    let (masked, _) = to_mask_input(&train.model, KeepScale::Input, &runner()).unwrap();
    assert_eq!(unread(&masked), 0);
    for name in NETWORKS {
        let plain = Golden::read(name).model;
        for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
            let options = Options { conv, ..Options::default() };
            assert_eq!(unread(&vjp(&plain, options, &runner()).unwrap()), 0, "{name}, {conv:?}");
        }
    }
}

#[test]
fn masks_of_ones_give_the_plain_network() {
    let golden = Golden::read("ddpm_train_17");
    let plain = Golden::read("ddpm_traced_17");
    let (masked, layout) = to_mask_input(&golden.model, KeepScale::Input, &runner()).unwrap();
    let mut feeds = golden.feeds(&["sample", "timestep"]);
    let ones = TensorData::U8(vec![1; 3 * layout.total]);
    feeds.push(("masks".to_owned(), Tensor::new(vec![3, layout.total], ones).unwrap()));
    feeds.push(("keep_scale".to_owned(), Tensor::scalar_f32(1.0)));
    let out = run(&masked, feeds, &["eps"]);
    let expected = run(&plain.model, plain.feeds(&["sample", "timestep"]), &["eps"]);
    let error = relative_error(values(&out[0]), values(&expected[0]));
    assert!(error <= 1e-6, "{error}");
}

#[test]
fn the_gradient_of_a_masked_network_exists() {
    let golden = Golden::read("ddpm_train_17");
    let (masked, _) = to_mask_input(&golden.model, KeepScale::OfNode, &runner()).unwrap();
    let names = super::Names { x: Some("sample"), output: None };
    let derived = vjp(&masked, Options { names, ..Options::default() }, &runner()).unwrap();
    assert!(derived.outputs().iter().any(|port| port.name == "jtv"));
}
