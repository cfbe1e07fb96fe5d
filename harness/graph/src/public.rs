//! Networks that others designed, narrow, against PyTorch: fixtures of `scripts/golden/graph_public.py`.

use std::path::PathBuf;

use super::shapes::tests::NeverAsked;
use super::testing::{relative_error, run, values};
use super::{ConvGradient, ElementType, Feeds, Model, Names, Tensor, TensorData, fused, vjp};

/// float32 graphs against autograd, relative to the largest value.
const CLOSE: f32 = 1e-5;
/// Rows of each fixture, which are the draws of its variance.
const BATCH: usize = 2;

pub(crate) struct Public {
    pub(crate) name: String,
    pub(crate) model: Model,
    json: serde_json::Value,
}

impl Public {
    /// All fixtures, one a network and exporter.
    pub(crate) fn all() -> Vec<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/public");
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
        files.sort();
        let read = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let network = name.split("_traced").next().unwrap().split("_dynamo").next().unwrap();
            let json = std::fs::read(folder.join(format!("{network}.json"))).unwrap();
            let json = serde_json::from_slice(&json).unwrap();
            Self { model: Model::read(&path).unwrap(), name, json }
        };
        files.into_iter().map(read).collect()
    }

    fn array(&self, name: &str, element: ElementType) -> Tensor {
        let array = &self.json["arrays"][name];
        let shape: Vec<usize> = serde_json::from_value(array["shape"].clone()).unwrap();
        let data = if element == ElementType::I64 {
            TensorData::I64(serde_json::from_value(array["values"].clone()).unwrap())
        } else {
            TensorData::F32(serde_json::from_value(array["values"].clone()).unwrap())
        };
        Tensor::new(shape, data).unwrap()
    }

    fn feeds(&self) -> Feeds {
        let ports = self.model.inputs().into_iter();
        ports.map(|port| (port.name.clone(), self.array(&port.name, port.element))).collect()
    }

    /// Largest relative error of each named output.
    fn errors(&self, model: &Model, feeds: Feeds, outputs: &[&str]) -> Vec<f32> {
        let got = run(model, feeds, outputs);
        let error = |(got, name): (&Tensor, &&str)| {
            assert!(values(got).iter().all(|v| v.is_finite()), "{}: {name}", self.name);
            relative_error(values(got), values(&self.array(name, ElementType::F32)))
        };
        got.iter().zip(outputs).map(error).collect()
    }
}

/// The state is named: a text is image-like too.
const SAMPLE: Names<'_> = Names { x: Some("sample"), output: None };

#[test]
fn gradients_of_public_networks_agree_with_autograd() {
    let all = Public::all();
    assert_eq!(all.len(), 15);
    for public in all {
        for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
            let options = vjp::Options { names: SAMPLE, conv };
            let derived = vjp::vjp(&public.model, options, &NeverAsked);
            let derived = derived.unwrap_or_else(|error| panic!("{}: {error}", public.name));
            let mut feeds = public.feeds();
            feeds.push(("cotangent".to_owned(), public.array("cotangent", ElementType::F32)));
            let errors = public.errors(&derived, feeds, &["out", "jtv"]);
            println!("{} {conv:?}: out {:.1e}, jtv {:.1e}", public.name, errors[0], errors[1]);
            assert!(errors.iter().all(|&e| e <= CLOSE), "{}: {errors:?}", public.name);
        }
    }
}

#[test]
fn fused_gradients_of_public_networks_agree_with_autograd() {
    for public in Public::all() {
        let conv = ConvGradient::ConvTranspose;
        let options = fused::Options { names: SAMPLE, conv, n_draws: BATCH };
        let derived = fused::variance_gradient(&public.model, options, &NeverAsked);
        let derived = derived.unwrap_or_else(|error| panic!("{}: {error}", public.name));
        let errors = public.errors(&derived, public.feeds(), &["variance", "gradient"]);
        println!("{}: variance {:.1e}, gradient {:.1e}", public.name, errors[0], errors[1]);
        assert!(errors.iter().all(|&e| e <= CLOSE), "{}: {errors:?}", public.name);
    }
}
