//! What a last-layer posterior is fitted on: the input of the last layer, and the gradient of a squared error with respect
//! to its output.

use super::checks::{self, Names};
use super::edit::Editor;
use super::error::GraphError;
use super::fold::fold;
use super::last_layer::FEATURES;
use super::model::Model;
use super::proto::NodeProto;
use super::pull_back;
use super::reverse::ConvGradient;
use super::runner::Runner;
use super::tail::{LastLayer, Tail};
use super::tensor::ElementType;

/// Name of the added input: what the prediction is held against.
pub const TARGET: &str = "target";
/// Name of the added input: the weight of each residual.
pub const RESIDUAL_WEIGHT: &str = "residual_weight";
/// Name of the added output: the gradient with respect to the output of the layer.
pub const LAYER_GRADIENT: &str = "layer_gradient";

/// How a layer makes its output of input and weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// `out = alpha rows W + beta b`, rows of the last axis.
    Linear {
        /// Whether the weights are `[outputs, inputs]`.
        transposed: bool,
        /// Factor of the product.
        alpha: f32,
        /// Factor of the bias.
        beta: f32,
    },
    /// A convolution over two axes.
    Convolution {
        /// Steps of the kernel.
        strides: [usize; 2],
        /// Zeros before the first row and column.
        pads: [usize; 2],
        /// Distances inside the kernel.
        dilations: [usize; 2],
        /// Groups of channels.
        groups: usize,
    },
}

/// A last layer, and how it reads its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedLayer {
    /// The layer.
    pub layer: LastLayer,
    /// How it reads its weights.
    pub geometry: Geometry,
}

/// Adds the inputs [`TARGET`] `e` and [`RESIDUAL_WEIGHT`] `w`, both of the shape of the prediction `y`, and the outputs
/// [`FEATURES`] and [`LAYER_GRADIENT`]: with `z` the output of the last layer, `w (y - e)` pulled back to `z`. With `w = 2` it
/// is the gradient of `sum (y - e)^2` of each image.
///
/// # Errors
/// As [`super::last_layer::last_layer`]; [`GraphError::Node`] for a layer that is neither linear nor a convolution over two
/// axes, and for steps behind it without a gradient rule.
pub fn layer_gradient(
    model: &Model,
    names: Names<'_>,
    runner: &dyn Runner,
) -> Result<(Model, FittedLayer), GraphError> {
    checks::supported(model)?;
    let interface = checks::interface(model, names)?;
    let model = fold(model.clone())?;
    let tail = Tail::find(&model, Some(&interface.output))?;
    let geometry = geometry(&model, &tail.node)?;
    let (y, z) = (interface.output.as_str(), tail.node.output[0].clone());
    let mut reverse =
        pull_back::prepare_at(model, &interface, &z, ConvGradient::ConvTranspose, runner)?;
    for name in [TARGET, RESIDUAL_WEIGHT, FEATURES, LAYER_GRADIENT] {
        reverse.editor.claim(name)?;
    }
    let dims = reverse.dims(y)?;
    for name in [TARGET, RESIDUAL_WEIGHT] {
        reverse.editor.add_input(name, ElementType::F32, &dims);
    }
    let residual = reverse.editor.node("Sub", &[y, TARGET], Vec::new());
    let cotangent = reverse.editor.node("Mul", &[&residual, RESIDUAL_WEIGHT], Vec::new());
    let gradient =
        if y == z { cotangent } else { pull_back::pull_back(&mut reverse, y, &cotangent, &z)? };
    let features = reverse.single(&tail.layer.input);
    output(&mut reverse.editor, &features, FEATURES);
    output(&mut reverse.editor, &gradient, LAYER_GRADIENT);
    Ok((reverse.editor.finish(), FittedLayer { layer: tail.layer, geometry }))
}

/// The last layer behind `output` (the only float output where `None`), and how it reads its weights.
///
/// # Errors
/// As [`layer_gradient`].
pub fn fitted_layer(model: &Model, output: Option<&str>) -> Result<FittedLayer, GraphError> {
    checks::supported(model)?;
    let model = fold(model.clone())?;
    let tail = Tail::find(&model, output)?;
    let geometry = geometry(&model, &tail.node)?;
    Ok(FittedLayer { layer: tail.layer, geometry })
}

fn output(editor: &mut Editor, value: &str, name: &str) {
    editor.node_to("Identity", &[value], Vec::new(), name);
    editor.declare_output(name);
}

fn geometry(model: &Model, node: &NodeProto) -> Result<Geometry, GraphError> {
    match node.op_type.as_str() {
        "MatMul" => Ok(Geometry::Linear { transposed: false, alpha: 1.0, beta: 1.0 }),
        "Gemm" => Ok(Geometry::Linear {
            transposed: node.int_or("transB", 0) != 0,
            alpha: node.float_or("alpha", 1.0),
            beta: node.float_or("beta", 1.0),
        }),
        _ => convolution(model, node),
    }
}

fn convolution(model: &Model, node: &NodeProto) -> Result<Geometry, GraphError> {
    let refuse = |what: &str| {
        Err(model.node_error(
            node,
            format!(
                "{what}: a posterior is fitted for convolutions over two axes with written pads"
            ),
        ))
    };
    if node.text_or("auto_pad", "NOTSET") != "NOTSET" {
        return refuse("its pads are automatic");
    }
    let pair = |name: &str, missing: usize| -> Option<[usize; 2]> {
        let Some(values) = node.ints_of(name) else { return Some([missing; 2]) };
        let whole: Vec<usize> =
            values.iter().map(|value| usize::try_from(*value)).collect::<Result<_, _>>().ok()?;
        match whole.as_slice() {
            // Pads name both ends of each axis, the first ones first.
            [a, b] | [a, b, _, _] => Some([*a, *b]),
            _ => None,
        }
    };
    let all = (pair("strides", 1), pair("pads", 0), pair("dilations", 1));
    let (Some(strides), Some(pads), Some(dilations)) = all else {
        return refuse("it does not go over two axes");
    };
    let groups = usize::try_from(node.int_or("group", 1)).unwrap_or(1);
    Ok(Geometry::Convolution { strides, pads, dilations, groups })
}

#[cfg(test)]
mod tests {
    use super::{Geometry, layer_gradient};
    use crate::checks::Names;
    use crate::edit::{float, int, ints, text};
    use crate::golden::Golden;
    use crate::testing::{GraphUnderTest, random_tensor, relative_error, run, runner, values};
    use crate::{Model, Tensor, TensorData};

    fn derived(model: &Model) -> (Model, super::FittedLayer) {
        let names = Names { x: Some(&model.inputs()[0].name), output: None };
        layer_gradient(model, names, &runner()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// For one-by-one weights `dL/dW = features gradient^T`: held against differences of the loss.
    #[test]
    fn features_and_gradient_make_the_gradient_of_the_loss() {
        // y = depth_to_space(W f + b) k, f = Relu(x).
        let weights = crate::testing::noise(16, 8);
        let graph = |w: &[f32]| {
            let g = GraphUnderTest::new(&[4, 2, 2]).floats("w", &[4, 4, 1, 1], w).random("b", &[4]);
            let g = g.floats("k", &[], &[0.7]).node("Relu", &["x"], &["f"], vec![]);
            let g = g.node("Conv", &["f", "w", "b"], &["c"], vec![]);
            let g = g.node("DepthToSpace", &["c"], &["d"], vec![int("blocksize", 2)]);
            g.node("Mul", &["d", "k"], &["y"], vec![]).model()
        };
        let (x, target) = (random_tensor(&[1, 4, 2, 2], 3), random_tensor(&[1, 1, 4, 4], 4));
        let loss = |w: &[f32]| {
            let y = run(&graph(w), vec![("x".to_owned(), x.clone())], &["y"]).remove(0);
            let pairs = values(&y).iter().zip(values(&target));
            pairs.map(|(y, e)| f64::from(y - e).powi(2)).sum::<f64>()
        };
        let (model, fitted) = derived(&graph(&weights));
        assert!(matches!(fitted.geometry, Geometry::Convolution { groups: 1, .. }));
        let two = Tensor::new(vec![1, 1, 4, 4], TensorData::F32(vec![2.0; 16])).unwrap();
        let feeds = [("x", x.clone()), ("target", target.clone()), ("residual_weight", two)];
        let feeds = feeds.map(|(name, tensor)| (name.to_owned(), tensor)).to_vec();
        let out = run(&model, feeds, &["features", "layer_gradient"]);
        assert_eq!((out[0].shape(), out[1].shape()), (&[1, 4, 2, 2][..], &[1, 4, 2, 2][..]));
        let (f, g) = (values(&out[0]), values(&out[1]));
        for (k, step) in [(0, 0.01_f32), (5, 0.01), (14, 0.01)] {
            let (o, i) = (k / 4, k % 4);
            let got: f32 = (0..4).map(|p| g[o * 4 + p] * f[i * 4 + p]).sum();
            let moved = |by: f32| {
                let mut w = weights.clone();
                w[k] += by;
                loss(&w)
            };
            // The loss is quadratic in a weight, so a central difference is exact.
            let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            assert!(
                (f64::from(got) - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                "{got} {expected}"
            );
        }
    }

    #[test]
    fn of_networks_as_exporters_write_them_it_is_the_residual_laid_out_as_the_layer_has_it() {
        for name in ["ddpm_traced_17", "adm_dynamo_18", "uvit_dynamo_20"] {
            let golden = Golden::read(name);
            let (model, _) = derived(&golden.model);
            let eps = golden.array("eps");
            let filled = |value: f32| {
                let data = TensorData::F32(vec![value; values(&eps).len()]);
                Tensor::new(eps.shape().to_vec(), data).unwrap()
            };
            let mut feeds = golden.feeds(&["sample", "timestep"]);
            feeds.push(("target".to_owned(), filled(0.0)));
            feeds.push(("residual_weight".to_owned(), filled(1.0)));
            let out = run(&model, feeds, &["layer_gradient", "eps"]);
            let sorted = |tensor: &Tensor| {
                let mut all = values(tensor).to_vec();
                all.sort_by(f32::total_cmp);
                all
            };
            // The layers behind only move values; elements of special tokens have no gradient.
            let gradient: Vec<f32> = sorted(&out[0]).into_iter().filter(|v| *v != 0.0).collect();
            let expected: Vec<f32> = sorted(&out[1]).into_iter().filter(|v| *v != 0.0).collect();
            assert!(relative_error(&gradient, &expected) < 1e-6, "{name}");
        }
    }

    #[test]
    fn linear_layers_and_odd_convolutions_are_told_apart() {
        let g = GraphUnderTest::new(&[4]).random("w", &[2, 4]).random("b", &[2]);
        let options = vec![int("transB", 1), float("alpha", 0.5), float("beta", 2.0)];
        let model = g.node("Gemm", &["x", "w", "b"], &["y"], options).model();
        let expected = Geometry::Linear { transposed: true, alpha: 0.5, beta: 2.0 };
        assert_eq!(derived(&model).1.geometry, expected);
        let g = GraphUnderTest::new(&[2, 4, 4]).random("w", &[3, 2, 3, 3]);
        let same = vec![text("auto_pad", "SAME_UPPER")];
        let model = g.node("Conv", &["x", "w"], &["y"], same).model();
        let error = layer_gradient(&model, Names::default(), &runner()).unwrap_err().to_string();
        assert!(error.contains("Conv_0") && error.contains("pads are automatic"), "{error}");
        let g = GraphUnderTest::new(&[2, 4]).random("w", &[3, 2, 3]);
        let model =
            g.node("Conv", &["x", "w"], &["y"], vec![ints("pads", &[1, 1]), ints("strides", &[1])]);
        let error =
            layer_gradient(&model.model(), Names::default(), &runner()).unwrap_err().to_string();
        assert!(error.contains("two axes"), "{error}");
    }
}
