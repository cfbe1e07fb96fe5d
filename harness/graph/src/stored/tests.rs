use super::in_half;
use crate::dropout::{self, KeepScale, to_mask_input};
use crate::edit::int;
use crate::flops::per_image;
use crate::fold::fold;
use crate::golden::Golden;
use crate::head::head;
use crate::last_layer::{WeightVariance, last_layer, with_variance};
use crate::layer_gradient::layer_gradient;
use crate::memory::bytes_per_image;
use crate::tensor::{Tensor, TensorData};
use crate::testing::{GraphUnderTest, noise, random_tensor, run, runner, values};
use crate::{ElementType, Feeds, Model, Names, Weights, fused, half, tap, vjp};

/// A network stored in half precision, and the float32 network of its rounded weights, written out by hand.
fn twins(plain: &Model) -> (Model, Model) {
    let small = in_half(plain).unwrap();
    let mut twin = fold(plain.clone()).unwrap();
    let stored: Vec<(String, Vec<f64>)> = small
        .graph()
        .node
        .iter()
        .filter(|node| {
            node.op_type == "Cast" && node.input[0] == format!("{}.half", node.output[0])
        })
        .map(|node| (node.output[0].clone(), small.floats(&node.input[0]).unwrap().unwrap()))
        .collect();
    assert!(!stored.is_empty());
    for weight in &mut twin.graph_mut().initializer {
        if let Some((_, rounded)) = stored.iter().find(|(name, _)| *name == weight.name) {
            let shape = crate::tensor::shape_of(weight).unwrap();
            #[expect(clippy::cast_possible_truncation, reason = "values of binary16")]
            let data = rounded.iter().map(|v| *v as f32).collect();
            *weight = Tensor::new(shape, TensorData::F32(data)).unwrap().to_proto(&weight.name);
        }
    }
    (small, twin)
}

fn bits(tensors: &[Tensor]) -> Vec<Vec<u32>> {
    tensors.iter().map(|t| values(t).iter().map(|v| v.to_bits()).collect()).collect()
}

fn same(models: [&Model; 2], feeds: &Feeds, outputs: &[&str]) {
    let [a, b] = models.map(|model| bits(&run(model, feeds.clone(), outputs)));
    assert!(a == b, "{outputs:?} differ");
}

fn golden(name: &str) -> (Golden, [Model; 2]) {
    let golden = Golden::read(name);
    let (small, twin) = twins(&golden.model);
    (golden, [small, twin])
}

const NETWORKS: [&str; 3] = ["ddpm_traced_17", "adm_dynamo_18", "uvit_dynamo_20"];

#[test]
fn predictions_gradients_and_taps_are_bit_for_bit_those_of_the_rounded_weights() {
    for name in NETWORKS {
        let (golden, [small, twin]) = golden(name);
        let feeds = golden.feeds(&["sample", "timestep"]);
        same([&small, &twin], &feeds, &["eps"]);
        let [a, b] = [&small, &twin].map(|m| tap::tap(m, None).unwrap());
        same([&a, &b], &feeds, &["eps", "features"]);
        let [a, b] =
            [&small, &twin].map(|m| vjp::vjp(m, vjp::Options::default(), &runner()).unwrap());
        let feeds = golden.feeds(&["sample", "timestep", "cotangent"]);
        same([&a, &b], &feeds, &["eps", "jtv"]);
        let options = fused::Options {
            names: Names::default(),
            conv: crate::ConvGradient::FlippedConv,
            n_draws: 3,
        };
        let [a, b] =
            [&small, &twin].map(|m| fused::variance_gradient(m, options, &runner()).unwrap());
        let feeds = golden.feeds(&["sample", "timestep"]);
        same([&a, &b], &feeds, &["variance", "gradient"]);
    }
}

#[test]
fn masks_fits_and_variances_of_the_last_layer_too() {
    let (train, [small, twin]) = golden("ddpm_train_17");
    let masked = [&small, &twin].map(|m| to_mask_input(m, KeepScale::OfNode, &runner()).unwrap());
    assert_eq!(masked[0].1, masked[1].1);
    let feeds = train.feeds(&["sample", "timestep", "masks"]);
    same([&masked[0].0, &masked[1].0], &feeds, &["eps"]);
    assert_eq!(dropout::sites(&small).unwrap(), dropout::sites(&twin).unwrap());

    let (plain, [small, twin]) = golden("ddpm_traced_17");
    let layer = last_layer(&small, None).unwrap();
    assert_eq!(layer, last_layer(&twin, None).unwrap());
    let weight =
        noise(layer.weight_shape.iter().product(), 3).iter().map(|v| v * v).collect::<Vec<_>>();
    let variance = WeightVariance { weight: &weight, bias: None };
    let [a, b] = [&small, &twin].map(|m| with_variance(m, None, variance).unwrap());
    let mut feeds = plain.feeds(&["sample", "timestep"]);
    same([&a, &b], &feeds, &["variance"]);
    let (heads, layers): (Vec<_>, Vec<_>) =
        [&small, &twin].iter().map(|m| head(m, None).unwrap()).unzip();
    assert_eq!(heads[0].n_nodes(), heads[1].n_nodes());
    assert_eq!(layers[0].weight, layers[1].weight);
    let names = Names { x: Some("sample"), output: None };
    let [a, b] = [&small, &twin].map(|m| layer_gradient(m, names, &runner()).unwrap().0);
    let eps = plain.array("eps");
    let filled = |value| {
        let data = TensorData::F32(vec![value; values(&eps).len()]);
        Tensor::new(eps.shape().to_vec(), data).unwrap()
    };
    feeds.push(("target".to_owned(), filled(0.5)));
    feeds.push(("residual_weight".to_owned(), filled(1.0)));
    same([&a, &b], &feeds, &["features", "layer_gradient"]);
}

#[test]
fn costs_and_the_half_pass_are_those_of_the_float32_network() {
    for name in NETWORKS {
        let (golden, [small, twin]) = golden(name);
        let one = std::num::NonZeroUsize::MIN;
        let names = Names { x: Some("sample"), output: Some("eps") };
        let [a, b] = [&small, &twin].map(|m| per_image(m, names, &runner()).unwrap());
        assert_eq!(a, b);
        let [a, b] = [&small, &twin].map(|m| bytes_per_image(m, names, one, &runner()).unwrap());
        assert_eq!(a, b);
        let [a, b] = [&small, &twin].map(|m| half::half(m).unwrap());
        same([&a, &b], &golden.feeds(&["sample", "timestep"]), &["eps"]);
    }
}

#[test]
fn the_file_is_smaller_and_says_what_is_stored_and_what_is_computed() {
    let plain = Golden::read("uvit_dynamo_20").model;
    let small = in_half(&plain).unwrap();
    assert!(small.encoded_bytes() < plain.encoded_bytes() * 3 / 4);
    assert_eq!((plain.weight_type(), plain.storage_type()), (ElementType::F32, ElementType::F32));
    assert_eq!((small.weight_type(), small.storage_type()), (ElementType::F32, ElementType::F16));
    let narrow = half::half(&plain).unwrap();
    let f16 = ElementType::F16;
    assert_eq!((narrow.weight_type(), narrow.storage_type()), (f16, f16));
    // Weights beside the graph are cast all the same.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    small.write(&path, Weights::Beside).unwrap();
    let back = fold(Model::read(&path).unwrap()).unwrap();
    assert_eq!(back.storage_type(), ElementType::F32);
    assert_eq!(back.n_nodes(), fold(plain).unwrap().n_nodes());
}

/// A weight that is read in half precision too stays; casts of one weight become one; a cast that is an output stays.
#[test]
fn only_casts_of_weights_to_float32_are_folded() {
    let f16 = i64::from(ElementType::F16.to_onnx());
    let single = || vec![int("to", 1)];
    let mut model = GraphUnderTest::new(&[2])
        .floats("w", &[2], &[1.0, 2.0])
        .node("Cast", &["w"], &["a"], single())
        .node("Cast", &["w"], &["b"], single())
        .node("Cast", &["x"], &["narrow"], vec![int("to", f16)])
        .node("Mul", &["narrow", "w"], &["c"], vec![])
        .node("Cast", &["c"], &["wide"], single())
        .node("Add", &["wide", "a"], &["s"], vec![])
        .node("Add", &["s", "b"], &["y"], vec![])
        .model();
    let weight = &mut model.graph_mut().initializer[0];
    (weight.data_type, weight.raw_data) = (Some(10), Some(vec![0, 0x3C, 0, 0x40].into()));
    assert_eq!(model.weight_type(), ElementType::F16);
    let folded = fold(model.clone()).unwrap();
    let names: Vec<&str> = folded.graph().initializer.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["w", "a"]);
    assert_eq!(folded.graph().node.last().unwrap().input, ["s", "a"]);
    let feeds = vec![("x".to_owned(), random_tensor(&[1, 2], 5))];
    same([&model, &folded], &feeds, &["y"]);
    model.graph_mut().initializer[0].raw_data = Some(vec![0, 0x3C].into());
    let text = fold(model).unwrap_err().to_string();
    assert!(text.contains("tensor w holds 1 elements"), "{text}");
}

#[test]
fn what_cannot_be_stored_in_half_is_refused() {
    let large = GraphUnderTest::new(&[2])
        .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 70000.0])
        .node("MatMul", &["x", "w"], &["y"], vec![])
        .model();
    let text = in_half(&large).unwrap_err().to_string();
    assert!(text.contains("weight w holds 70000") && text.contains("65504"), "{text}");
    let none = GraphUnderTest::new(&[2]).node("Exp", &["x"], &["y"], vec![]).model();
    assert!(in_half(&none).unwrap_err().to_string().contains("nothing to store"));
}
