//! Networks that others designed, narrow, against PyTorch: fixtures of `scripts/golden/graph_public.py`.

use std::path::PathBuf;

use super::shapes::tests::NeverAsked;
use super::testing::{is_graph, named_graph, relative_error, run, values};
use super::{ConvGradient, ElementType, Feeds, Model, Names, Tensor, TensorData, fused, tap, vjp};

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
        Self::of("")
    }

    /// Those of a folder below; the arrays stand above.
    fn of(below: &str) -> Vec<Self> {
        let arrays = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/public");
        let folder = arrays.join(below);
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| is_graph(path));
        files.sort();
        let read = |path: PathBuf| {
            let (name, model) = named_graph(&path);
            let network = name.split("_traced").next().unwrap().split("_dynamo").next().unwrap();
            let json = std::fs::read(arrays.join(format!("{network}.json"))).unwrap();
            let json = serde_json::from_slice(&json).unwrap();
            Self { name, model, json }
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

    pub(crate) fn feeds(&self) -> Feeds {
        let ports = self.model.inputs().into_iter();
        ports.map(|port| (port.name.clone(), self.array(&port.name, port.element))).collect()
    }

    /// Largest relative error of each named output.
    pub(crate) fn errors(&self, model: &Model, feeds: Feeds, outputs: &[&str]) -> Vec<f32> {
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
    assert_eq!(all.len(), 16);
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

/// `2 / (M - 1)` times the sum over rows of `J^T (e - mean e)`, by the graph of the product in two runs.
fn by_products(public: &Public) -> Vec<f32> {
    let options = vjp::Options { names: SAMPLE, ..vjp::Options::default() };
    let derived = vjp::vjp(&public.model, options, &NeverAsked).unwrap_or_else(|e| panic!("{e}"));
    let out = public.array("out", ElementType::F32);
    let run_with = |cotangent: Vec<f32>| {
        let mut feeds = public.feeds();
        let cotangent = Tensor::new(out.shape().to_vec(), TensorData::F32(cotangent)).unwrap();
        feeds.push(("cotangent".to_owned(), cotangent));
        run(&derived, feeds, &["out", "jtv"])
    };
    let n = values(&out).len();
    let predicted = run_with(vec![0.0; n]).remove(0);
    let (first, second) = values(&predicted).split_at(n / 2);
    let half: Vec<f32> = first.iter().zip(second).map(|(a, b)| (a - b) / 2.0).collect();
    let cotangent = half.iter().copied().chain(half.iter().map(|v| -v)).collect();
    let products = run_with(cotangent).remove(1);
    let (first, second) = values(&products).split_at(values(&products).len() / 2);
    first.iter().zip(second).map(|(a, b)| 2.0 * (a + b)).collect()
}

/// Half precision included, where no other value is right to 1e-5: the fused graph and the product see one prediction.
#[test]
fn fused_gradients_are_those_of_vector_jacobian_products() {
    let half = Public::of("half");
    assert_eq!(half.len(), 1);
    for public in half.into_iter().chain(Public::all()) {
        let channels = public.array("sample", ElementType::F32).shape()[1];
        if public.array("out", ElementType::F32).shape()[1] != channels {
            // Learned variances: the fused graph leaves them out, a product over the whole output does not.
            continue;
        }
        let conv = ConvGradient::ConvTranspose;
        let options = fused::Options { names: SAMPLE, conv, n_draws: BATCH };
        let derived = fused::variance_gradient(&public.model, options, &NeverAsked);
        let derived = derived.unwrap_or_else(|error| panic!("{}: {error}", public.name));
        let gradient = run(&derived, public.feeds(), &["gradient"]).remove(0);
        let error = relative_error(values(&gradient), &by_products(&public));
        println!("{}: {error:.1e}", public.name);
        assert!(error <= CLOSE, "{}: {error}", public.name);
    }
}

/// Graphs behind whose last layer a step is not linear for the pass, or in which two layers meet at the end.
const WITHOUT_LAST_LAYER: [&str; 5] =
    ["dit_dynamo_22", "dit_traced_17", "sd3_dynamo_23", "sd3_traced_17", "uvit_cfg_traced_17"];

#[test]
fn taps_of_public_networks_keep_the_prediction_and_others_are_refused_by_node() {
    let mut refused = Vec::new();
    for public in Public::all() {
        let tapped = match tap::tap(&public.model, Some("out")) {
            Ok(tapped) => tapped,
            Err(error) => {
                assert!(error.to_string().contains("node "), "{}: {error}", public.name);
                refused.push(public.name);
                continue;
            }
        };
        let got = run(&tapped, public.feeds(), &["out", "features"]);
        let error = relative_error(values(&got[0]), values(&public.array("out", ElementType::F32)));
        assert!(error <= CLOSE, "{}: {error:.1e}", public.name);
        let (features, shape) = (values(&got[1]), got[1].shape());
        assert!(shape[0] == BATCH && shape.len() >= 2, "{}: {shape:?}", public.name);
        assert!(features.iter().all(|v| v.is_finite()), "{}", public.name);
        // Two rows that differ have features that differ.
        assert_ne!(
            features[..features.len() / 2],
            features[features.len() / 2..],
            "{}",
            public.name
        );
    }
    assert_eq!(refused, WITHOUT_LAST_LAYER);
}
