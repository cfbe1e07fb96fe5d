//! The vector-Jacobian product of a network, as a graph of its own.

use super::checks::{self, Names};
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::pull_back;
use super::reverse::ConvGradient;
use super::runner::Runner;
use super::tensor::ElementType;

/// Name of the added input, of the shape of the prediction.
pub const COTANGENT: &str = "cotangent";
/// Name of the added output, of the shape of `x`.
pub const JTV: &str = "jtv";

/// What to differentiate, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Input and output; found where there is one of each.
    pub names: Names<'a>,
    /// How gradients of convolutions are written.
    pub conv: ConvGradient,
}

/// Adds the input `cotangent` `v` and the output `jtv` = `J^T v`, where `J = d epsilon / d x`.
///
/// All inputs and outputs of the original stay, the batch stays dynamic (or fixed, where it was), and row `b` of `jtv`
/// depends on row `b` of the inputs alone. Costs 2.2 to 2.8 forward passes a run; flipped convolutions
/// ([`ConvGradient::FlippedConv`]) are about a tenth cheaper and double the file.
///
/// # Errors
/// [`GraphError::Node`] for an operator without a rule, by name and before any work;
/// [`GraphError::Interface`] where `x` or the output cannot be told.
pub fn vjp(model: &Model, options: Options<'_>, runner: &dyn Runner) -> Result<Model, GraphError> {
    checks::supported(model)?;
    let interface = checks::interface_of_any_batch(model, options.names)?;
    let mut reverse = pull_back::prepare(fold(model.clone())?, &interface, options.conv, runner)?;
    let (x, y) = (interface.x.as_str(), interface.output.as_str());
    reverse.editor.claim(COTANGENT)?;
    reverse.editor.claim(JTV)?;
    let (x_dims, y_dims) = (reverse.dims(x)?, reverse.dims(y)?);
    reverse.editor.add_input(COTANGENT, ElementType::F32, &y_dims);
    let gradient = pull_back::pull_back(&mut reverse, y, COTANGENT, x)?;
    reverse.editor.node_to("Identity", &[&gradient], Vec::new(), JTV);
    reverse.editor.add_output(JTV, ElementType::F32, &x_dims);
    Ok(reverse.editor.finish())
}

#[cfg(test)]
mod tests {
    use super::{Options, vjp};
    use crate::dim::Dim;
    use crate::edit::{int, ints};
    use crate::rules::testing::check;
    use crate::tensor::{ElementType, Tensor, TensorData};
    use crate::testing::{GraphUnderTest, random_tensor, run, runner, values};
    use crate::{DeclaredDim, Model};

    fn refusal(model: &Model) -> String {
        vjp(model, Options::default(), &runner()).unwrap_err().to_string()
    }

    #[test]
    fn the_batch_stays_open() {
        let graph = GraphUnderTest::new(&[3, 2]).node("Exp", &["x"], &["y"], vec![]);
        let derived = vjp(&graph.model(), Options::default(), &runner()).unwrap();
        let open = DeclaredDim::Named("batch".to_owned());
        let expected = Some(vec![open, DeclaredDim::Fixed(3), DeclaredDim::Fixed(2)]);
        let (inputs, outputs) = (derived.inputs(), derived.outputs());
        assert_eq!((inputs[1].name.as_str(), &inputs[1].dims), ("cotangent", &expected));
        assert_eq!((outputs[1].name.as_str(), &outputs[1].dims), ("jtv", &expected));
    }

    /// A graph that was traced at a batch of 2, which stands in a reshape too.
    #[test]
    fn a_fixed_batch_stays_fixed() {
        let mut model = GraphUnderTest::new(&[3, 2])
            .ints("rows", &[2, 6])
            .ints("image", &[2, 3, 2])
            .node("Reshape", &["x", "rows"], &["r"], vec![])
            .node("Softmax", &["r"], &["p"], vec![int("axis", -1)])
            .node("Reshape", &["p", "image"], &["q"], vec![])
            .node("Mul", &["q", "x"], &["y"], vec![])
            .model();
        let open = vjp(&model, Options::default(), &runner()).unwrap_err().to_string();
        assert!(open.contains("batch"), "{open}");
        let graph = model.graph_mut();
        for info in &mut graph.input {
            let tensor = info.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
            let batch = &mut tensor.shape.as_mut().unwrap().dim[0];
            (batch.dim_value, batch.dim_param) = (Some(2), None);
        }
        let derived = vjp(&model, Options::default(), &runner()).unwrap();
        let fixed = Some([2, 3, 2].map(DeclaredDim::Fixed).to_vec());
        assert_eq!(derived.inputs()[1].dims, fixed);
        let [x, v] = [1, 2].map(|seed| random_tensor(&[2, 3, 2], seed));
        let feeds = vec![("x".to_owned(), x.clone()), ("cotangent".to_owned(), v.clone())];
        let jtv = run(&derived, feeds, &["jtv"]).remove(0);
        for row in 0..2 {
            let of = |tensor: &Tensor| -> Vec<f64> {
                values(tensor)[6 * row..6 * row + 6].iter().map(|v| f64::from(*v)).collect()
            };
            let (x, v, got) = (of(&x), of(&v), of(&jtv));
            // y_i = p_i x_i with p = softmax(x): J^T v = p_j (v_j + x_j v_j - sum_i v_i x_i p_i).
            let total: f64 = x.iter().map(|x| x.exp()).sum();
            let p: Vec<f64> = x.iter().map(|x| x.exp() / total).collect();
            let mean: f64 = (0..6).map(|i| v[i] * x[i] * p[i]).sum();
            for j in 0..6 {
                let expected = p[j] * (v[j] + x[j] * v[j] - mean);
                assert!((got[j] - expected).abs() < 1e-6, "{row}, {j}: {}, {expected}", got[j]);
            }
        }
    }

    #[test]
    fn every_operator_set_from_13_to_25_works() {
        for opset in 13..=25 {
            let graph = GraphUnderTest::new(&[4, 4, 4]).opset(opset).random("w", &[4, 4, 3, 3]);
            let graph = graph.floats("s", &[2], &[1.0; 2]).floats("b", &[2], &[0.0; 2]);
            let graph = graph.ints("groups", &[-1, 2, 32]).ints("image", &[-1, 4, 4, 4]);
            let graph = graph
                .node("Conv", &["x", "w"], &["c"], vec![ints("pads", &[1, 1, 1, 1])])
                .node("Reshape", &["c", "groups"], &["g"], vec![])
                .node("InstanceNormalization", &["g", "s", "b"], &["n"], vec![])
                .node("Reshape", &["n", "image"], &["i"], vec![])
                .node("Sigmoid", &["i"], &["gate"], vec![])
                .node("Mul", &["i", "gate"], &["a"], vec![])
                .node("Softmax", &["a"], &["p"], vec![])
                .node("Add", &["a", "p"], &["y"], vec![]);
            check(graph);
        }
    }

    #[test]
    fn half_precision_inside_has_a_gradient_in_float32() {
        let half = i64::from(ElementType::F16.to_onnx());
        let single = i64::from(ElementType::F32.to_onnx());
        let graph = GraphUnderTest::new(&[3, 2])
            .node("Cast", &["x"], &["a"], vec![int("to", half)])
            .node("Exp", &["a"], &["b"], vec![])
            .node("Cast", &["b"], &["y"], vec![int("to", single)]);
        let derived = vjp(&graph.model(), Options::default(), &runner()).unwrap();
        let v = random_tensor(&[2, 3, 2], 2);
        let x = random_tensor(&[2, 3, 2], 1);
        let feeds = vec![("x".to_owned(), x.clone()), ("cotangent".to_owned(), v.clone())];
        let jtv = run(&derived, feeds, &["jtv"]).remove(0);
        // Eleven bits of mantissa before and after the exponential.
        for ((&got, &x), &v) in values(&jtv).iter().zip(values(&x)).zip(values(&v)) {
            assert!((got - v * x.exp()).abs() <= 2e-3, "{got} at {x}");
        }
    }

    /// Gradients far below the smallest float16 (6e-8) are not lost: they are float32 on the whole way.
    #[test]
    fn gradients_of_half_precision_do_not_underflow() {
        let half = i64::from(ElementType::F16.to_onnx());
        let single = i64::from(ElementType::F32.to_onnx());
        let graph = GraphUnderTest::new(&[3, 2])
            .node("Cast", &["x"], &["a"], vec![int("to", half)])
            .node("Relu", &["a"], &["b"], vec![])
            .node("Cast", &["b"], &["y"], vec![int("to", single)]);
        let derived = vjp(&graph.model(), Options::default(), &runner()).unwrap();
        let ones = Tensor::new(vec![1, 3, 2], TensorData::F32(vec![1.0; 6])).unwrap();
        let v = Tensor::new(vec![1, 3, 2], TensorData::F32(vec![1e-12; 6])).unwrap();
        let feeds = vec![("x".to_owned(), ones), ("cotangent".to_owned(), v.clone())];
        assert_eq!(run(&derived, feeds, &["jtv"]), [v]);
    }

    #[test]
    fn other_floats_inside_are_refused_by_node() {
        let double = i64::from(ElementType::F64.to_onnx());
        let single = i64::from(ElementType::F32.to_onnx());
        let graph = GraphUnderTest::new(&[3, 2])
            .node("Cast", &["x"], &["a"], vec![int("to", double)])
            .node("Exp", &["a"], &["b"], vec![])
            .node("Cast", &["b"], &["y"], vec![int("to", single)]);
        let text = refusal(&graph.model());
        assert!(text.contains("(Cast): it works in F64") && text.contains("float32"), "{text}");
        let low = i64::from(ElementType::Bf16.to_onnx());
        let graph = GraphUnderTest::new(&[3, 2])
            .node("Cast", &["x"], &["a"], vec![int("to", low)])
            .node("Exp", &["a"], &["b"], vec![])
            .node("Cast", &["b"], &["y"], vec![int("to", single)]);
        let text = refusal(&graph.model());
        assert!(text.contains("(Cast): it works in Bf16") && text.contains("float32"), "{text}");
    }

    #[test]
    fn operators_of_other_domains_are_refused_by_node() {
        let mut model = GraphUnderTest::new(&[3, 2]).node("Exp", &["x"], &["y"], vec![]).model();
        model.graph_mut().node[0].domain = "com.microsoft".to_owned();
        let text = refusal(&model);
        assert!(text.contains("node Exp_0 (Exp): it is an operator of com.microsoft"), "{text}");
        assert!(text.contains("export without the optimisations of ONNX Runtime"), "{text}");
    }

    #[test]
    fn inputs_called_as_the_new_ones_are_not_overwritten() {
        let graph = GraphUnderTest::new(&[3, 2])
            .input("cotangent", ElementType::F32, &[Dim::Batch(1)])
            .node("Exp", &["x"], &["y"], vec![]);
        assert!(refusal(&graph.model()).contains("already has a value called cotangent"));
    }
}
