//! The last linear layer of a network, its input and the variance that uncertain weights give.
//!
//! Only linear steps may lie between the layer and the prediction (reshapes, patches laid out,
//! scales by time, a share of `x_t`), so the variance can be carried through them exactly.

use super::checks;
use super::edit::Editor;
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::tail::Tail;
use super::tensor::{Tensor, TensorData};

pub use super::tail::LastLayer;

/// Name of the added output: the input of the last layer.
pub const FEATURES: &str = "features";
/// Name of the added output: the variance of the prediction.
pub const VARIANCE: &str = "variance";

/// Variances of the weights of a last layer: the diagonal of a Laplace posterior.
#[derive(Clone, Copy, Debug)]
pub struct WeightVariance<'a> {
    /// One variance a weight, in the layout of the weights.
    pub weight: &'a [f32],
    /// One variance a bias; `None` for a bias that is certain.
    pub bias: Option<&'a [f32]>,
}

/// Finds the last layer behind `output` (the only float output where `None`).
///
/// # Errors
/// [`GraphError::Node`] where a step that is not linear lies behind the layer, by name.
pub fn last_layer(model: &Model, output: Option<&str>) -> Result<LastLayer, GraphError> {
    Ok(Tail::find(&folded(model)?, output)?.layer)
}

/// Adds the input of the last layer as output `features`.
///
/// # Errors
/// As [`last_layer`].
pub(crate) fn with_features(model: &Model, output: Option<&str>) -> Result<Model, GraphError> {
    let model = folded(model)?;
    let tail = Tail::find(&model, output)?;
    let mut editor = Editor::new(model, "tap");
    editor.claim(FEATURES)?;
    editor.node_to("Identity", &[&tail.layer.input], Vec::new(), FEATURES);
    editor.declare_output(FEATURES);
    Ok(editor.finish())
}

/// Adds the output `variance`, of the shape of the prediction: for a layer `epsilon = W f + b` with
/// independent weights, `variance = Var(W) f^2 + Var(b)`, carried through the steps behind the layer
/// (BayesDiff's last-layer Laplace without sampling).
///
/// # Errors
/// As [`last_layer`]; [`GraphError::Interface`] where the counts differ from the layer's or a
/// variance is negative or not finite.
pub fn with_variance(
    model: &Model,
    output: Option<&str>,
    variance: WeightVariance<'_>,
) -> Result<Model, GraphError> {
    let model = folded(model)?;
    let tail = Tail::find(&model, output)?;
    check(&model, &tail.layer, variance)?;
    let mut editor = Editor::new(model, "llv");
    editor.claim(VARIANCE)?;
    let weight =
        Tensor::new(tail.layer.weight_shape.clone(), TensorData::F32(variance.weight.to_vec()));
    let weight = match weight {
        Some(tensor) => editor.constant(&tensor),
        None => return Err(editor.model().interface_error("the layer has too many weights")),
    };
    let bias = variance.bias.map(|values| editor.constant(&Tensor::vector_f32(values.to_vec())));
    let mut value = tail.layer_variance(&mut editor, &weight, bias.as_deref());
    for step in tail.steps.iter().rev() {
        value = step.carry(&mut editor, value);
    }
    editor.node_to("Identity", &[&value], Vec::new(), VARIANCE);
    editor.declare_output(VARIANCE);
    Ok(editor.finish())
}

fn folded(model: &Model) -> Result<Model, GraphError> {
    checks::supported(model)?;
    fold(model.clone())
}

fn check(model: &Model, layer: &LastLayer, variance: WeightVariance<'_>) -> Result<(), GraphError> {
    let expected: usize = layer.weight_shape.iter().product();
    let n_bias = variance.bias.map_or(layer.bias_len, <[f32]>::len);
    if variance.weight.len() != expected || n_bias != layer.bias_len {
        return Err(model.interface_error(format!(
            "variances of {} weights and {n_bias} biases, the last layer {} has {expected} and {}: fit them on this model",
            variance.weight.len(),
            layer.node,
            layer.bias_len
        )));
    }
    let all = variance.weight.iter().chain(variance.bias.unwrap_or_default());
    match all.into_iter().find(|v| !v.is_finite() || **v < 0.0) {
        Some(bad) => Err(model.interface_error(format!(
            "a weight has variance {bad}, expected a finite number of 0 or more"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{LastLayer, WeightVariance, last_layer, with_features, with_variance};
    use crate::edit::{float, int, ints};
    use crate::golden::Golden;
    use crate::testing::{GraphUnderTest, noise, random_tensor, relative_error, run, values};
    use crate::{Model, Tensor, TensorData};

    /// The prediction is linear in the weights, so unit steps give the exact sum.
    fn expected(
        model: &Model,
        layer: &LastLayer,
        x: &Tensor,
        weight: &[f32],
        bias: &[f32],
    ) -> Vec<f32> {
        let base = run(model, vec![("x".to_owned(), x.clone())], &["y"]).remove(0);
        let mut total = vec![0.0; values(&base).len()];
        let names = [Some(&layer.weight), layer.bias.as_ref()];
        for (name, variances) in names.into_iter().zip([weight, bias]) {
            for (k, variance) in variances.iter().enumerate() {
                let moved = moved(model, name.unwrap(), k);
                let y = run(&moved, vec![("x".to_owned(), x.clone())], &["y"]).remove(0);
                for ((t, a), b) in total.iter_mut().zip(values(&y)).zip(values(&base)) {
                    *t += variance * (a - b) * (a - b);
                }
            }
        }
        total
    }

    fn moved(model: &Model, name: &str, k: usize) -> Model {
        let mut out = model.clone();
        let tensor = out.graph_mut().initializer.iter_mut().find(|t| t.name == name).unwrap();
        let old = Tensor::from_inline_proto(tensor).unwrap();
        let mut changed = values(&old).to_vec();
        changed[k] += 1.0;
        *tensor =
            Tensor::new(old.shape().to_vec(), TensorData::F32(changed)).unwrap().to_proto(name);
        out
    }

    fn check(graph: GraphUnderTest, x: &[usize]) {
        let model = graph.model();
        let layer = last_layer(&model, None).unwrap();
        let weight: Vec<f32> =
            noise(layer.weight_shape.iter().product(), 31).iter().map(|v| v.abs()).collect();
        let bias: Vec<f32> = noise(layer.bias_len, 32).iter().map(|v| v.abs()).collect();
        let variance =
            WeightVariance { weight: &weight, bias: layer.bias.is_some().then_some(&bias) };
        let derived = with_variance(&model, None, variance).unwrap_or_else(|e| panic!("{e}"));
        let x = random_tensor(x, 33);
        let out = run(&derived, vec![("x".to_owned(), x.clone())], &["variance"]).remove(0);
        let error = relative_error(values(&out), &expected(&model, &layer, &x, &weight, &bias));
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn variance_of_a_convolution_with_bias() {
        let g = GraphUnderTest::new(&[2, 4, 4]).random("w", &[3, 2, 3, 3]).random("b", &[3]);
        let g = g.node("Relu", &["x"], &["f"], vec![]);
        check(
            g.node("Conv", &["f", "w", "b"], &["y"], vec![ints("pads", &[1, 1, 1, 1])]),
            &[2, 2, 4, 4],
        );
    }

    #[test]
    fn variance_through_patches_and_scales() {
        // y = 2 - 0.7 * depth_to_space(conv(x)) + x-like share.
        let g = GraphUnderTest::new(&[4, 2, 2]).random("w", &[4, 4, 1, 1]).floats("k", &[], &[0.7]);
        let g = g.node("Conv", &["x", "w"], &["a"], vec![]);
        let g = g.node("DepthToSpace", &["a"], &["d"], vec![int("blocksize", 2)]);
        let g = g.node("DepthToSpace", &["x"], &["share"], vec![int("blocksize", 2)]);
        let g =
            g.node("Mul", &["k", "d"], &["s"], vec![]).node("Sub", &["share", "s"], &["m"], vec![]);
        check(g.node("Div", &["m", "k"], &["y"], vec![]), &[3, 4, 2, 2]);
    }

    #[test]
    fn variance_of_linear_layers() {
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[4, 2]).random("b", &[2]);
        let g =
            g.node("MatMul", &["x", "w"], &["p"], vec![]).node("Add", &["b", "p"], &["a"], vec![]);
        check(g.node("Transpose", &["a"], &["y"], vec![ints("perm", &[0, 2, 1])]), &[2, 3, 4]);
        let g = GraphUnderTest::new(&[4]).random("w", &[2, 4]).random("b", &[2]);
        let options = vec![int("transB", 1), float("alpha", 0.5), float("beta", 2.0)];
        check(g.node("Gemm", &["x", "w", "b"], &["y"], options), &[2, 4]);
    }

    #[test]
    fn features_are_what_the_layer_reads() {
        for (name, channels) in
            [("ddpm_traced_17", 6), ("adm_dynamo_18", 12), ("uvit_dynamo_20", 3)]
        {
            let golden = Golden::read(name);
            let tapped = with_features(&golden.model, None).unwrap();
            let out = run(&tapped, golden.feeds(&["sample", "timestep"]), &["features", "eps"]);
            assert_eq!(out[0].shape(), [3, channels, 8, 8]);
            assert!(relative_error(values(&out[1]), values(&golden.array("eps"))) < 1e-5);
        }
    }

    #[test]
    fn refusals_name_the_node() {
        let g = || GraphUnderTest::new(&[2, 4]).random("w", &[4, 4]);
        let tanh =
            g().node("MatMul", &["x", "w"], &["a"], vec![]).node("Tanh", &["a"], &["y"], vec![]);
        let text = last_layer(&tanh.model(), None).unwrap_err().to_string();
        assert!(text.contains("node Tanh_1 (Tanh): it lies behind the last layer"), "{text}");
        let two = g().node("MatMul", &["x", "w"], &["a"], vec![]).node(
            "MatMul",
            &["a", "w"],
            &["b"],
            vec![],
        );
        let text = last_layer(&two.node("Add", &["a", "b"], &["y"], vec![]).model(), None)
            .unwrap_err()
            .to_string();
        assert!(text.contains("node Add_2 (Add): two layers meet"), "{text}");
        let none = g().floats("k", &[], &[0.5]).node("Mul", &["x", "k"], &["y"], vec![]);
        let text = last_layer(&none.model(), None).unwrap_err().to_string();
        assert!(text.contains("node Mul_0 (Mul): no layer with weights lies behind it"), "{text}");
        let one = g().node("MatMul", &["x", "w"], &["y"], vec![]).model();
        let wrong = WeightVariance { weight: &[1.0], bias: None };
        let text = with_variance(&one, None, wrong).unwrap_err().to_string();
        assert!(text.contains("variances of 1 weights") && text.contains("has 16"), "{text}");
        let negative = WeightVariance { weight: &[-1.0; 16], bias: None };
        assert!(
            with_variance(&one, None, negative).unwrap_err().to_string().contains("variance -1")
        );
    }
}
