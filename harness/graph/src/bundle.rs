//! The passes on the bundled model, against PyTorch: values of `scripts/golden/graph_bundle.py`.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::dropout::{KeepScale, to_mask_input};
use super::golden::rows;
use super::testing::{noise, run, runner, values};
use super::{ConvGradient, Feeds, Model, Names, Tensor, TensorData, fused, vjp};

/// float32 graphs against float64 autograd, relative to the largest value.
const CLOSE: f64 = 1e-5;

struct Bundle {
    folder: PathBuf,
    golden: serde_json::Value,
}

impl Bundle {
    fn open() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("../../experiments/models/ddpm-cifar10-small");
        let json = std::fs::read(root.join("tests/data/ddpm_cifar10_small.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let weights = std::fs::read(folder.join("weights.safetensors")).unwrap();
        assert_eq!(
            super::cache::hex(&Sha256::digest(weights)),
            golden["weights_sha256"].as_str().unwrap(),
            "the bundle has other weights than the golden values: run scripts/golden/graph_bundle.py"
        );
        Self { folder, golden }
    }

    fn model(&self, file: &str) -> Model {
        Model::read(&self.folder.join(file)).unwrap()
    }

    /// States and times of the golden values.
    fn feeds(&self) -> Feeds {
        let at: Vec<f32> = serde_json::from_value(self.golden["times"].clone()).unwrap();
        vec![("sample".to_owned(), image(1)), ("timestep".to_owned(), times(at))]
    }

    fn close(&self, name: &str, got: &Tensor) {
        let array = &self.golden["arrays"][name];
        let expected: Vec<f64> = serde_json::from_value(array["values"].clone()).unwrap();
        let stride = usize::try_from(self.golden["stride"].as_u64().unwrap()).unwrap();
        let sampled: Vec<f64> = values(got).iter().step_by(stride).map(|&v| f64::from(v)).collect();
        assert_eq!(sampled.len(), expected.len());
        let worst = sampled.iter().zip(&expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        let error = worst / array["largest"].as_f64().unwrap();
        println!("{name}: {error:.1e}");
        assert!(error <= CLOSE, "{name}: {error}");
    }
}

fn times(at: Vec<f32>) -> Tensor {
    Tensor::new(vec![at.len()], TensorData::F32(at)).unwrap()
}

fn image(seed: u64) -> Tensor {
    let shape = vec![4, 3, 32, 32];
    Tensor::new(shape, TensorData::F32(noise(4 * 3 * 32 * 32, seed))).unwrap()
}

#[test]
fn gradients_of_the_bundled_model_agree_with_autograd() {
    let bundle = Bundle::open();
    for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
        let options = vjp::Options { conv, ..vjp::Options::default() };
        let derived = vjp::vjp(&bundle.model("denoiser.onnx"), options, &runner()).unwrap();
        let mut feeds = bundle.feeds();
        feeds.push(("cotangent".to_owned(), image(2)));
        let out = run(&derived, feeds, &["eps", "jtv"]);
        bundle.close("eps", &out[0]);
        bundle.close("jtv", &out[1]);
    }
}

#[test]
fn a_row_of_the_gradient_has_the_same_bits_in_every_batch() {
    let bundle = Bundle::open();
    let derived =
        vjp::vjp(&bundle.model("denoiser.onnx"), vjp::Options::default(), &runner()).unwrap();
    let mut feeds = bundle.feeds();
    feeds.push(("cotangent".to_owned(), image(2)));
    let alone = vec![
        ("sample".to_owned(), rows(&image(1), 1)),
        ("timestep".to_owned(), times(vec![10.0])),
        ("cotangent".to_owned(), rows(&image(2), 1)),
    ];
    let (all, first) = (run(&derived, feeds, &["jtv"]), run(&derived, alone, &["jtv"]));
    assert_eq!(values(&rows(&all[0], 1)), values(&first[0]));
}

#[test]
fn variance_gradient_of_the_bundled_model_agrees_with_autograd() {
    let bundle = Bundle::open();
    let options =
        fused::Options { names: Names::default(), conv: ConvGradient::default(), n_draws: 4 };
    let derived =
        fused::variance_gradient(&bundle.model("denoiser.onnx"), options, &runner()).unwrap();
    let out = run(&derived, bundle.feeds(), &["variance", "gradient"]);
    bundle.close("variance", &out[0]);
    bundle.close("gradient", &out[1]);
}

#[test]
fn masked_dropout_of_the_bundled_model_agrees_with_torch() {
    let bundle = Bundle::open();
    let train = bundle.model("denoiser_train.onnx");
    let (masked, layout) = to_mask_input(&train, KeepScale::Input, &runner()).unwrap();
    let scale = bundle.golden["keep_scale"].as_f64().unwrap();
    let run_with = |bits: Vec<u8>, scale: f32| {
        let masks = Tensor::new(vec![4, layout.total], TensorData::U8(bits)).unwrap();
        let mut feeds = bundle.feeds();
        feeds.push(("masks".to_owned(), masks));
        feeds.push(("keep_scale".to_owned(), Tensor::scalar_f32(scale)));
        run(&masked, feeds, &["eps"]).remove(0)
    };
    let bits = noise(4 * layout.total, 3).iter().map(|&v| u8::from(v > 0.0)).collect();
    #[expect(clippy::cast_possible_truncation, reason = "2 is exact")]
    bundle.close("eps_masked", &run_with(bits, scale as f32));
    let ones = run_with(vec![1; 4 * layout.total], 1.0);
    let plain = run(&bundle.model("denoiser.onnx"), bundle.feeds(), &["eps"]).remove(0);
    assert_eq!(values(&ones), values(&plain), "masks of ones change nothing");
}
