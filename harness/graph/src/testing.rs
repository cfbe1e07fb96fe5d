//! Small graphs and a runtime for the tests of the passes.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::dim::Dim;
use super::edit::value_info;
use super::model::Model;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use super::runner::{Feeds, Runner, Source};
use super::tensor::{ElementType, Tensor, TensorData};
use crate::ort_runner::{LIBRARY_FILE, OrtRunner, PINNED_VERSION};

/// The runtime of the tests: one thread, the library that `just setup` has put into the cache.
pub(crate) fn runner() -> OrtRunner {
    static RUNNER: LazyLock<OrtRunner> =
        LazyLock::new(|| OrtRunner::load(&library()).unwrap_or_else(|error| panic!("{error}")));
    RUNNER.clone()
}

/// `$ORT_DYLIB_PATH`, else the library in the cache folder.
fn library() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let cache = || {
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(in_home)));
        set("DUBENCH_CACHE").or_else(|| base.map(|base| base.join("dubench")))
    };
    let in_cache = || cache().map(|c| c.join("ort").join(PINNED_VERSION).join(LIBRARY_FILE));
    let path = set("ORT_DYLIB_PATH").or_else(in_cache).filter(|path| path.is_file());
    path.expect("ONNX Runtime is missing: run `just setup`, or set ORT_DYLIB_PATH to the library")
}

/// NAME.onnx or NAME.onnx.gz.
pub(crate) fn is_graph(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with(".onnx") || name.ends_with(".onnx.gz")
}

/// A fixture and its name, without what follows the first dot.
pub(crate) fn named_graph(path: &Path) -> (String, Model) {
    let name = path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
    if path.extension().is_some_and(|e| e == "onnx") {
        return (name, Model::read(path).unwrap());
    }
    let (file, mut bytes) = (std::fs::File::open(path).unwrap(), Vec::new());
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let model = Model::from_bytes(&bytes, &name).unwrap();
    (name, model)
}

/// A graph of input `x` `[batch, dims..]` and output `y`.
#[derive(Debug)]
pub(crate) struct GraphUnderTest {
    graph: GraphProto,
    opset: i64,
}

impl GraphUnderTest {
    pub(crate) fn new(dims: &[usize]) -> Self {
        let mut axes = vec![Dim::Batch(1)];
        axes.extend(dims.iter().map(|&d| Dim::Fixed(d)));
        let graph = GraphProto {
            name: "test".to_owned(),
            input: vec![value_info("x", ElementType::F32, &axes)],
            output: vec![output_info("y")],
            ..GraphProto::default()
        };
        Self { graph, opset: 17 }
    }

    pub(crate) fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub(crate) fn input(mut self, name: &str, element: ElementType, dims: &[Dim]) -> Self {
        self.graph.input.push(value_info(name, element, dims));
        self
    }

    pub(crate) fn weight(mut self, name: &str, shape: &[usize], data: TensorData) -> Self {
        let tensor = Tensor::new(shape.to_vec(), data).unwrap();
        self.graph.initializer.push(tensor.to_proto(name));
        self
    }

    pub(crate) fn floats(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.weight(name, shape, TensorData::F32(values.to_vec()))
    }

    pub(crate) fn ints(self, name: &str, values: &[i64]) -> Self {
        self.weight(name, &[values.len()], TensorData::I64(values.to_vec()))
    }

    /// Weights without pattern: `count` values in (-1, 1).
    pub(crate) fn random(self, name: &str, shape: &[usize]) -> Self {
        let values = noise(shape.iter().product(), 7 + name.len() as u64);
        self.floats(name, shape, &values)
    }

    pub(crate) fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: format!("{op}_{}", self.graph.node.len()),
            op_type: op.to_owned(),
            attribute,
            ..NodeProto::default()
        });
        self
    }

    pub(crate) fn model(self) -> Model {
        use prost::Message;
        let opset = OperatorSetIdProto { domain: String::new(), version: Some(self.opset) };
        let proto = ModelProto {
            ir_version: Some(9),
            graph: Some(self.graph),
            opset_import: vec![opset],
            ..ModelProto::default()
        };
        Model::from_bytes(&proto.encode_to_vec(), "test graph").unwrap()
    }
}

fn output_info(name: &str) -> super::proto::ValueInfoProto {
    let mut info = value_info(name, ElementType::F32, &[]);
    if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.shape = None;
    }
    info
}

/// Values in (-1, 1) from a linear congruential generator: enough for tests, equal on all machines.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// An f32 tensor of noise.
pub(crate) fn random_tensor(shape: &[usize], seed: u64) -> Tensor {
    Tensor::new(shape.to_vec(), TensorData::F32(noise(shape.iter().product(), seed))).unwrap()
}

/// Runs a model once.
pub(crate) fn run(model: &Model, feeds: Feeds, outputs: &[&str]) -> Vec<Tensor> {
    let names: Vec<String> = outputs.iter().map(|&o| o.to_owned()).collect();
    let bytes = model.to_bytes().unwrap();
    let mut runs =
        runner().run(Source::Bytes(&bytes), &[feeds], &names).unwrap_or_else(|e| panic!("{e}"));
    runs.remove(0)
}

/// Elements of an f32 tensor.
pub(crate) fn values(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().unwrap()
}

/// Largest difference, relative to the largest value of `expected`.
pub(crate) fn relative_error(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs())).max(1e-12);
    got.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}
