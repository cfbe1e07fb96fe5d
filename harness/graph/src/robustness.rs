//! Damaged models: refused or read, never a panic. Models that no pass can take: refused by all, before any work.

use std::num::NonZeroUsize;

use super::Model;
use super::dim::Dim;
use super::golden::Golden;
use super::proto::{GraphProto, Opaque, TypeProto};
use super::runner::{Feeds, Runner, Source};
use super::testing::{GraphUnderTest, noise};
use super::vjp::{Options, vjp};
use super::{
    ConvGradient, ElementType, GraphError, Names, Tensor, TensorData, dropout, fused, last_layer,
    memory, tap,
};

/// Stops each pass where the runtime would be asked: what is looked at is the reading and the inference before it.
struct NoRuntime;

impl Runner for NoRuntime {
    fn run(
        &self,
        _: Source<'_>,
        _: &[Feeds],
        _: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        Err(GraphError::Runtime { context: "test".to_owned(), message: "no runtime".to_owned() })
    }
}

/// Reads bytes and runs the passes up to the runtime; whether the bytes were read at all.
fn survive(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes, "damaged") else { return false };
    let _ = vjp(&model, Options::default(), &NoRuntime);
    let _ = last_layer::last_layer(&model, None);
    let _ = tap::tap(&model, None);
    let _ = dropout::to_mask_input(&model, dropout::KeepScale::OfNode, &NoRuntime);
    true
}

#[test]
fn cut_files_are_refused_or_read() {
    let bytes = Golden::read("ddpm_train_17").model.to_bytes().unwrap();
    let mut refused = 0;
    for length in (0..bytes.len()).step_by(97) {
        refused += usize::from(!survive(&bytes[..length]));
    }
    assert!(refused > bytes.len() / 97 / 2, "{refused}");
}

#[test]
fn flipped_bits_never_panic() {
    for name in ["ddpm_train_17", "uvit_dynamo_20"] {
        let bytes = Golden::read(name).model.to_bytes().unwrap();
        let places = noise(1000, 41);
        for (k, place) in places.iter().enumerate() {
            let mut damaged = bytes.clone();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..len")]
            let at = (place.abs() * bytes.len() as f32) as usize % bytes.len();
            damaged[at] ^= 1 << (k % 8);
            survive(&damaged);
        }
    }
}

/// Fails the test when it is asked: a refusal comes before any work.
struct NeverAsked;

impl Runner for NeverAsked {
    fn run(
        &self,
        _: Source<'_>,
        _: &[Feeds],
        _: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        panic!("the runtime was asked about a model that no pass can take");
    }
}

/// A network with a last layer and a dropout, so that every pass has what it needs.
fn network() -> GraphUnderTest {
    GraphUnderTest::new(&[3, 4, 4])
        .random("w", &[3, 3, 1, 1])
        .node("Dropout", &["x"], &["d"], vec![])
        .node("Conv", &["d", "w"], &["y"], vec![])
}

fn changed(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = network().model();
    change(&mut model);
    model
}

/// Replaces the operator of the first node.
fn with_operator(op: &str) -> Model {
    changed(|model| model.graph_mut().node[0].op_type = op.to_owned())
}

fn sequence(model: &mut Model) {
    let kind = TypeProto { sequence_type: Some(Opaque::default()), ..TypeProto::default() };
    model.graph_mut().input[0].r#type = Some(kind);
}

fn branch(model: &mut Model) {
    let node = &mut model.graph_mut().node[0];
    let mut attribute = super::edit::int("then_branch", 0);
    attribute.g = Some(GraphProto::default());
    node.attribute.push(attribute);
}

#[test]
fn what_no_pass_can_take_is_refused_by_every_pass_before_any_work() {
    let words: &[Dim] = &[Dim::Batch(1)];
    let cases = [
        (with_operator("If"), "node Dropout_0 (If): control flow"),
        (with_operator("Loop"), "(Loop): control flow"),
        (with_operator("Scan"), "(Scan): control flow"),
        (changed(branch), "control flow"),
        (with_operator("SequenceConstruct"), "(SequenceConstruct): sequences"),
        (with_operator("OptionalGetElement"), "(OptionalGetElement): sequences and optional"),
        (with_operator("StringNormalizer"), "text is not supported"),
        (changed(sequence), "x is no tensor (a sequence"),
        (network().input("words", ElementType::String, words).model(), "words holds text"),
        (network().opset(12).model(), "operator set 12, expected 13 to 25"),
        (network().opset(26).model(), "operator set 26, expected 13 to 25"),
    ];
    for (model, expected) in cases {
        for (pass, error) in refusals(&model) {
            let text = error.to_string();
            assert!(text.contains(expected), "{pass}: {text}, expected {expected}");
        }
    }
}

/// What each pass says of a model that none can take.
fn refusals(model: &Model) -> Vec<(&'static str, GraphError)> {
    let (names, conv) = (Names::default(), ConvGradient::default());
    let weights = [0.1; 9];
    let variance = last_layer::WeightVariance { weight: &weights, bias: None };
    let how = fused::Options { names, conv, n_draws: 2 };
    let masked = dropout::to_mask_input(model, dropout::KeepScale::OfNode, &NeverAsked).map(drop);
    let mut answers = vec![
        ("vjp", vjp(model, Options { names, conv }, &NeverAsked).map(drop)),
        ("variance-gradient", fused::variance_gradient(model, how, &NeverAsked).map(drop)),
        ("tap", tap::tap(model, None).map(drop)),
        ("last-layer-variance", last_layer::with_variance(model, None, variance).map(drop)),
        ("memory", memory::bytes_per_image(model, names, NonZeroUsize::MIN, &NeverAsked).map(drop)),
    ];
    // Another operator in the place of the dropout leaves none, which is a refusal of its own.
    if model.graph().node[0].op_type == "Dropout" {
        answers.push(("dropout", masked));
    }
    answers
        .into_iter()
        .map(|(pass, answer)| match answer {
            Ok(()) => panic!("{pass} took the model"),
            Err(error) => (pass, error),
        })
        .collect()
}

#[test]
fn what_gradients_cannot_take_is_refused_before_any_work() {
    let shape = |first| [first, Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(4)];
    let ports = |element, first| {
        changed(|model| {
            model.graph_mut().input[0] = super::edit::value_info("x", element, &shape(first));
        })
    };
    let two_outputs = changed(|model| {
        let mut second = model.graph().output[0].clone();
        second.name = "d".to_owned();
        model.graph_mut().output.push(second);
    });
    let open_weight = network().input("more", ElementType::F32, &shape(Dim::Batch(1))).model();
    let cases = [
        (ports(ElementType::F16, Dim::Batch(1)), "element type F16, expected float32"),
        (two_outputs, "several outputs may be meant (y, d): name one"),
        (open_weight, "several inputs may be meant (x, more): name one"),
    ];
    for (model, expected) in cases {
        let (names, conv) = (Names::default(), ConvGradient::default());
        let how = fused::Options { names, conv, n_draws: 2 };
        let errors = [
            vjp(&model, Options { names, conv }, &NeverAsked).unwrap_err(),
            fused::variance_gradient(&model, how, &NeverAsked).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains(expected), "{error}, expected {expected}");
        }
    }
    // A product has the rows of its call; draws of an image need a call of their own number.
    let fixed = ports(ElementType::F32, Dim::Fixed(4));
    let (names, conv) = (Names::default(), ConvGradient::default());
    let how = fused::Options { names, conv, n_draws: 2 };
    let error = fused::variance_gradient(&fixed, how, &NeverAsked).unwrap_err().to_string();
    assert!(error.contains("batch of input x is fixed to 4"), "{error}");
}

/// Weights in half precision beside a float32 input: what `keep_io_types=True` leaves.
#[test]
fn half_precision_weights_have_a_gradient() {
    let half = i64::from(ElementType::F16.to_onnx());
    let single = i64::from(ElementType::F32.to_onnx());
    let mut model = GraphUnderTest::new(&[3, 4, 4])
        .random("w", &[3, 3, 1, 1])
        .node("Cast", &["x"], &["h"], vec![super::edit::int("to", half)])
        .node("Conv", &["h", "w"], &["c"], vec![])
        .node("Cast", &["c"], &["y"], vec![super::edit::int("to", single)])
        .model();
    // 2 is 0x4000 in float16: the sum over three channels of twice the cotangent.
    let weight = &mut model.graph_mut().initializer[0];
    weight.data_type = Some(ElementType::F16.to_onnx());
    weight.raw_data = Some([0x00, 0x40].repeat(9).into());
    for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
        let options = Options { names: Names::default(), conv };
        let derived = vjp(&model, options, &super::testing::runner()).unwrap();
        let ones = || Tensor::new(vec![2, 3, 4, 4], TensorData::F32(vec![1.0; 96])).unwrap();
        let feeds = vec![("x".to_owned(), ones()), ("cotangent".to_owned(), ones())];
        let jtv = super::testing::run(&derived, feeds, &["jtv"]).remove(0);
        assert_eq!(super::testing::values(&jtv), [6.0; 96]);
    }
}
