use super::{FLOAT16, PRECISION_KEY, half};
use crate::edit::int;
use crate::model::Model;
use crate::public::Public;
use crate::tensor::ElementType;
use crate::testing::{GraphUnderTest, random_tensor, relative_error, run, values};
use crate::types::element_types;

/// `y = x + softmax(norm(x W)) V`, decomposed as exporters do.
fn small() -> Model {
    let last = || vec![crate::edit::ints("axes", &[-1]), int("keepdims", 1)];
    GraphUnderTest::new(&[6, 8])
        .random("w", &[8, 8])
        .random("v", &[8, 8])
        .floats("two", &[], &[2.0])
        .node("MatMul", &["x", "w"], &["a"], vec![])
        .node("ReduceMean", &["a"], &["mean"], last())
        .node("Sub", &["a", "mean"], &["centred"], vec![])
        .node("Pow", &["centred", "two"], &["squares"], vec![])
        .node("ReduceMean", &["squares"], &["variance"], last())
        .node("Sqrt", &["variance"], &["root"], vec![])
        .node("Div", &["centred", "root"], &["normed"], vec![])
        .node("Softmax", &["normed"], &["weights"], vec![int("axis", -1)])
        .node("MatMul", &["weights", "v"], &["b"], vec![])
        .node("Relu", &["b"], &["c"], vec![])
        .node("Add", &["a", "c"], &["y"], vec![])
        .model()
}

fn element_of(model: &Model, op: &str, nth: usize) -> ElementType {
    let types = element_types(model);
    let nodes = model.graph().node.iter().filter(|n| n.op_type == op);
    types[&nodes.clone().nth(nth).unwrap().output[0]]
}

#[test]
fn products_are_narrow_and_norms_and_softmax_wide() {
    let model = half(&small()).unwrap();
    for (op, nth, element) in [
        ("MatMul", 0, ElementType::F16),
        ("ReduceMean", 0, ElementType::F32),
        ("Sub", 0, ElementType::F32),
        ("Pow", 0, ElementType::F32),
        ("Div", 0, ElementType::F32),
        ("Softmax", 0, ElementType::F32),
        ("MatMul", 1, ElementType::F16),
        ("Relu", 0, ElementType::F16),
        ("Add", 0, ElementType::F16),
    ] {
        assert_eq!(element_of(&model, op, nth), element, "{op} {nth}");
    }
    assert_eq!(model.metadata(PRECISION_KEY), Some(FLOAT16));
    assert_eq!(model.outputs()[0].element, ElementType::F32);
    // `a` is read in float32 twice, and cast once; then `x`, the weights of the softmax and the output are cast.
    assert_eq!(model.graph().node.iter().filter(|n| n.op_type == "Cast").count(), 4);
    // The sum of binary16 products over 8 terms: 8 roundings of 2^-11 each way.
    let x = vec![("x".to_owned(), random_tensor(&[2, 6, 8], 3))];
    let (narrow, wide) = (run(&model, x.clone(), &["y"]), run(&small(), x, &["y"]));
    let error = relative_error(values(&narrow[0]), values(&wide[0]));
    assert!(error > 0.0 && error < 8.0 * 2f32.powi(-11), "{error}");
}

/// What is put together of the state and the prediction keeps the precision of the state.
#[test]
fn a_conversion_behind_the_network_stays_wide() {
    let model = GraphUnderTest::new(&[4, 8])
        .random("w", &[8, 8])
        .floats("skip", &[], &[0.25])
        .node("MatMul", &["x", "w"], &["f"], vec![])
        .node("Mul", &["x", "skip"], &["kept"], vec![])
        .node("Add", &["kept", "f"], &["y"], vec![])
        .model();
    let model = half(&model).unwrap();
    assert_eq!(element_of(&model, "Mul", 0), ElementType::F32);
    assert_eq!(element_of(&model, "Add", 0), ElementType::F32);
}

/// Against PyTorch's float32 outputs (`scripts/golden/graph_public.py`). One rounding to binary16 is 4.9e-4 of a value; an
/// operator that went wrong is off by far more than four of them.
#[test]
fn public_networks_in_half_precision_predict_what_they_did() {
    for public in Public::all() {
        let narrow = half(&public.model).unwrap_or_else(|e| panic!("{}: {e}", public.name));
        let error = public.errors(&narrow, public.feeds(), &["out"])[0];
        println!("{}: {error:.1e}", public.name);
        assert!(error > 0.0 && error <= 2e-3, "{}: {error}", public.name);
    }
}

#[test]
fn what_half_precision_cannot_hold_is_refused_or_left_wide() {
    let heavy = GraphUnderTest::new(&[2])
        .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 70000.0])
        .node("MatMul", &["x", "w"], &["y"], vec![])
        .model();
    let text = half(&heavy).unwrap_err().to_string();
    assert!(text.contains("weight w holds 70000") && text.contains("float32"), "{text}");
    let neutral = GraphUnderTest::new(&[2])
        .floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .floats("large", &[], &[70000.0])
        .node("MatMul", &["x", "w"], &["a"], vec![])
        .node("Mul", &["a", "large"], &["y"], vec![])
        .model();
    let model = half(&neutral).unwrap();
    let x = vec![("x".to_owned(), random_tensor(&[3, 2], 3))];
    let (narrow, wide) = (run(&model, x.clone(), &["y"]), run(&neutral, x, &["y"]));
    assert!(relative_error(values(&narrow[0]), values(&wide[0])) < 2f32.powi(-10));
}

#[test]
fn graphs_without_gain_are_refused() {
    let light = GraphUnderTest::new(&[2]).node("Relu", &["x"], &["y"], vec![]).model();
    assert!(half(&light).unwrap_err().to_string().contains("gains nothing"));
    let twice = half(&half(&small()).unwrap()).unwrap_err().to_string();
    assert!(twice.contains("half precision already"), "{twice}");
}
