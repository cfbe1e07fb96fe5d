//! The last linear layer of a network, its input and the variance that uncertain weights give.
//!
//! Only linear steps may lie between the layer and the prediction (reshapes, patches laid out,
//! scales by time, a share of `x_t`), so the variance can be carried through them exactly.

use std::collections::{HashMap, HashSet};

use super::edit::{Editor, float};
use super::error::GraphError;
use super::fold::fold;
use super::model::{Model, node_label};
use super::proto::{NodeProto, ValueInfoProto};
use super::tensor::{ElementType, Tensor, TensorData, shape_of};
use super::{checks, edit};

/// Name of the added output: the input of the last layer.
pub const FEATURES: &str = "features";
/// Name of the added output: the variance of the prediction.
pub const VARIANCE: &str = "variance";

/// The last layer of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastLayer {
    /// Name of the node.
    pub node: String,
    /// Operator: `Conv`, `Gemm` or `MatMul`.
    pub op: String,
    /// Value that the layer reads.
    pub input: String,
    /// Initializer of its weights.
    pub weight: String,
    /// Shape of its weights.
    pub weight_shape: Vec<usize>,
    /// Initializer of its bias, where it has one.
    pub bias: Option<String>,
    /// Elements of its bias; 0 where it has none.
    pub bias_len: usize,
}

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
    let mut tapped = editor.finish();
    declare(&mut tapped, FEATURES);
    Ok(tapped)
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
    let mut out = editor.finish();
    declare(&mut out, VARIANCE);
    Ok(out)
}

fn folded(model: &Model) -> Result<Model, GraphError> {
    checks::supported(model)?;
    fold(model.clone())
}

/// Declares an f32 output of unknown shape.
fn declare(model: &mut Model, name: &str) {
    let mut info: ValueInfoProto = edit::value_info(name, ElementType::F32, &[]);
    if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
        tensor.shape = None;
    }
    model.graph_mut().output.push(info);
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

/// The last layer and the steps behind it, last step first.
struct Tail {
    layer: LastLayer,
    node: NodeProto,
    steps: Vec<Step>,
}

/// One linear step behind the layer.
enum Step {
    /// Values are moved: the node with the value as its first input.
    Move(NodeProto),
    /// Values are multiplied by another value.
    Scale(String),
    /// Values are divided by another value.
    Shrink(String),
    /// A value that is certain is added, or the sign changes.
    Nothing,
}

impl Tail {
    fn find(model: &Model, output: Option<&str>) -> Result<Self, GraphError> {
        let outputs = model.outputs();
        let floats: Vec<_> = outputs.iter().filter(|p| p.element.is_float()).collect();
        let mut value = match (output, floats.as_slice()) {
            (Some(name), _) => name.to_owned(),
            (None, [port]) => port.name.clone(),
            _ => return Err(model.interface_error("there are several outputs, or none: name one")),
        };
        let lineage = Lineage::of(model);
        let mut steps = Vec::new();
        loop {
            let Some(node) = lineage.producer(model, &value) else {
                return Err(model.interface_error(format!(
                    "no layer with weights lies behind {value}: name another output"
                )));
            };
            if let Some(layer) = layer(model, node, &steps)? {
                return Ok(Self { layer, node: node.clone(), steps });
            }
            let (step, next) = lineage.step(model, node)?;
            steps.push(step);
            value = next;
        }
    }

    /// The layer itself with squared input and variances for weights.
    fn layer_variance(&self, editor: &mut Editor, weight: &str, bias: Option<&str>) -> String {
        let square = editor.node("Mul", &[&self.layer.input, &self.layer.input], Vec::new());
        let mut attributes = self.node.attribute.clone();
        if self.node.op_type == "Gemm" {
            attributes.retain(|a| a.name != "alpha" && a.name != "beta");
            attributes.push(float("alpha", self.node.float_or("alpha", 1.0).powi(2)));
            attributes.push(float("beta", self.node.float_or("beta", 1.0).powi(2)));
        }
        match bias {
            Some(bias) if self.node.op_type == "MatMul" => {
                let product = editor.node("MatMul", &[&square, weight], attributes);
                editor.node("Add", &[&product, bias], Vec::new())
            }
            Some(bias) => editor.node(&self.node.op_type, &[&square, weight, bias], attributes),
            None => editor.node(&self.node.op_type, &[&square, weight], attributes),
        }
    }
}

/// A layer with constant weights; a `MatMul` takes its bias from the addition behind it.
fn layer(model: &Model, node: &NodeProto, steps: &[Step]) -> Result<Option<LastLayer>, GraphError> {
    if !matches!(node.op_type.as_str(), "Conv" | "Gemm" | "MatMul") {
        return Ok(None);
    }
    let tensor = |name: &str| model.graph().initializer.iter().find(|t| t.name == name);
    let weight = node.input_at(1).and_then(tensor);
    let Some(weight) = weight.filter(|_| node.int_or("transA", 0) == 0) else {
        return Err(model.node_error(
            node,
            "the last product has no constant weights: BayesDiff needs a last layer",
        ));
    };
    let bias = match (node.op_type.as_str(), steps.last()) {
        ("MatMul", Some(Step::Nothing)) => {
            Lineage::bias_behind(model, node).and_then(|name| tensor(&name))
        }
        ("MatMul", _) => None,
        _ => node.input_at(2).and_then(tensor),
    };
    let shape = |t| shape_of(t).map_err(|text| model.node_error(node, text));
    Ok(Some(LastLayer {
        node: node_label(node),
        op: node.op_type.clone(),
        input: node.input_at(0).unwrap_or_default().to_owned(),
        weight: weight.name.clone(),
        weight_shape: shape(weight)?,
        bias: bias.map(|t| t.name.clone()),
        bias_len: bias.map(shape).transpose()?.map_or(0, |s| s.iter().product()),
    }))
}

/// Who makes each value, and which values come out of a layer.
struct Lineage {
    producers: HashMap<String, usize>,
    layered: HashSet<String>,
}

impl Lineage {
    fn of(model: &Model) -> Self {
        let (mut producers, mut layered) = (HashMap::new(), HashSet::new());
        for (index, node) in model.graph().node.iter().enumerate() {
            let is_layer = matches!(
                node.op_type.as_str(),
                "Conv" | "Gemm" | "MatMul" | "ConvTranspose" | "Einsum"
            );
            let inherits = node.input.iter().any(|input| layered.contains(input));
            for output in &node.output {
                producers.insert(output.clone(), index);
                if is_layer || inherits {
                    layered.insert(output.clone());
                }
            }
        }
        Self { producers, layered }
    }

    fn producer<'a>(&self, model: &'a Model, value: &str) -> Option<&'a NodeProto> {
        self.producers.get(value).and_then(|&index| model.graph().node.get(index))
    }

    /// What a node does to the variance, and the value that it comes from.
    fn step(&self, model: &Model, node: &NodeProto) -> Result<(Step, String), GraphError> {
        let first = || node.input.first().cloned().unwrap_or_default();
        match node.op_type.as_str() {
            "Identity" | "Cast" | "Neg" => Ok((Step::Nothing, first())),
            "Reshape" | "Transpose" | "Slice" | "Squeeze" | "Unsqueeze" | "Flatten" | "DepthToSpace"
            | "SpaceToDepth" | "Gather" => Ok((Step::Move(node.clone()), first())),
            "Add" | "Sub" => Ok((Step::Nothing, self.layered_input(model, node)?.0)),
            "Mul" => {
                let (value, other) = self.layered_input(model, node)?;
                Ok((Step::Scale(other), value))
            }
            "Div" => match self.layered_input(model, node)? {
                (value, other) if value == first() => Ok((Step::Shrink(other), value)),
                _ => Err(model.node_error(node, "the last layer is a divisor: its variance cannot be carried through")),
            },
            _ => Err(model.node_error(node, "it lies behind the last layer and is not linear: the variance cannot be carried through, name the output of the layer")),
        }
    }

    /// The one of two inputs that comes out of a layer, and the other.
    fn layered_input(
        &self,
        model: &Model,
        node: &NodeProto,
    ) -> Result<(String, String), GraphError> {
        match node.input.as_slice() {
            [a, b] if self.layered.contains(a) && !self.layered.contains(b) => Ok((a.clone(), b.clone())),
            [a, b] if self.layered.contains(b) && !self.layered.contains(a) => Ok((b.clone(), a.clone())),
            _ => Err(model.node_error(node, "two layers meet in it, so no single layer is the last: BayesDiff's last-layer variance is not defined for this network")),
        }
    }

    /// Weight that is added to the result of a `MatMul`.
    fn bias_behind(model: &Model, node: &NodeProto) -> Option<String> {
        let product = node.output.first()?;
        let addition =
            model.graph().node.iter().find(|n| n.op_type == "Add" && n.input.contains(product))?;
        addition.input.iter().find(|input| *input != product).cloned()
    }
}

impl Step {
    fn carry(&self, editor: &mut Editor, value: String) -> String {
        match self {
            Self::Nothing => value,
            Self::Scale(factor) => {
                let square = editor.node("Mul", &[factor, factor], Vec::new());
                editor.node("Mul", &[&value, &square], Vec::new())
            }
            Self::Shrink(divisor) => {
                let square = editor.node("Mul", &[divisor, divisor], Vec::new());
                editor.node("Div", &[&value, &square], Vec::new())
            }
            Self::Move(node) => {
                let mut inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
                inputs[0] = &value;
                editor.node(&node.op_type, &inputs, node.attribute.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LastLayer, WeightVariance, last_layer, with_features, with_variance};
    use crate::graph::edit::{float, int, ints};
    use crate::graph::golden::Golden;
    use crate::graph::testing::{
        GraphUnderTest, noise, random_tensor, relative_error, run, values,
    };
    use crate::graph::{Model, Tensor, TensorData};

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
