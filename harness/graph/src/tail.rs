//! Finding the last linear layer of a network, and the steps behind it.

use std::collections::{HashMap, HashSet};

use super::edit::{Editor, float};
use super::error::GraphError;
use super::model::{Model, node_label};
use super::proto::NodeProto;
use super::tensor::shape_of;

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

/// The last layer and the steps behind it, last step first.
pub(crate) struct Tail {
    pub(crate) layer: LastLayer,
    /// Name of the prediction.
    pub(crate) output: String,
    pub(crate) node: NodeProto,
    pub(crate) steps: Vec<Step>,
}

/// One linear step behind the layer.
pub(crate) enum Step {
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
    pub(crate) fn find(model: &Model, output: Option<&str>) -> Result<Self, GraphError> {
        let outputs = model.outputs();
        let floats: Vec<&str> =
            outputs.iter().filter(|p| p.element.is_float()).map(|p| p.name.as_str()).collect();
        let list = floats.join(", ");
        let mut value = match (output, floats.as_slice()) {
            (Some(name), _) if floats.contains(&name) => name.to_owned(),
            (Some(name), _) => {
                return Err(model.interface_error(format!(
                    "there is no float output called {name}, the float outputs are: {list}"
                )));
            }
            (None, [name]) => (*name).to_owned(),
            _ => {
                return Err(model.interface_error(format!(
                    "several outputs may be meant, or none ({list}): name one (`--output NAME` on the command line)"
                )));
            }
        };
        let output = value.clone();
        let lineage = Lineage::of(model);
        let mut steps = Vec::new();
        loop {
            let Some(node) = lineage.producer(model, &value) else {
                return Err(model.interface_error(format!(
                    "no layer with weights lies behind {value}: name another output"
                )));
            };
            if let Some(layer) = layer(model, node, &steps)? {
                return Ok(Self { layer, output, node: node.clone(), steps });
            }
            let (step, next) = lineage.step(model, node)?;
            steps.push(step);
            value = next;
        }
    }

    /// The layer itself with squared input and variances for weights.
    pub(crate) fn layer_variance(
        &self,
        editor: &mut Editor,
        weight: &str,
        bias: Option<&str>,
    ) -> String {
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
            [a, b] if !self.layered.contains(a) && !self.layered.contains(b) => Err(model.node_error(node, "no layer with weights lies behind it: BayesDiff needs a last layer, name another output")),
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
    /// The variance behind the step.
    pub(crate) fn carry(&self, editor: &mut Editor, value: String) -> String {
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
