//! A network in half precision: weights and heavy operators in float16, the sensitive ones in float32.

use std::collections::{HashMap, HashSet};

use half::f16;

use super::checks;
use super::edit::{Editor, int};
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::proto::{NodeProto, TensorProto};
use super::tensor::{ElementType, Tensor};
use super::types::element_types;

#[cfg(test)]
mod tests;

/// Metadata key of the precision that a graph was put into.
pub const PRECISION_KEY: &str = "dubench.precision";
/// Its value under this pass.
pub const FLOAT16: &str = "float16";

/// Largest finite number of binary16.
pub(crate) const LARGEST: f32 = 65504.0;

/// Products of many terms: what half precision is for. They always work in float16.
const HEAVY: [&str; 5] = ["Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"];

/// These move or combine single values, in the precision in which the values come.
const NEUTRAL: [&str; 32] = [
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "GlobalAveragePool",
    "Identity",
    "LeakyRelu",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// Puts `model` into half precision; inputs and outputs stay float32.
///
/// | operators | precision |
/// |---|---|
/// | convolutions and products of matrices | float16, their weights too |
/// | sums, products, activations and moves of single values | as their inputs: float16 where all of them are |
/// | all others: norms, means, softmax, powers, roots, quotients, sines | float32 |
///
/// So decomposed norms stay in float32 as whole ones do, and so do time embeddings up to their first matrix. A
/// prediction that is made of state and network (as `c_skip x + c_out F`) is put together in float32. The result carries
/// [`PRECISION_KEY`]. Values beyond 65504 overflow where the network makes them: compare maps and images before use.
///
/// # Errors
/// [`GraphError::Interface`] where the graph holds half precision already, or nothing that gains by it;
/// [`GraphError::Node`] for a weight beyond 65504; and as [`Model::read`]'s checks.
///
/// # Examples
/// ```
/// use dubench_graph::{ElementType, Model, half};
/// # fn main() -> Result<(), dubench_graph::GraphError> {
/// let forward = Model::read("tests/data/uvit_dynamo_20.onnx".as_ref())?;
/// let narrow = half::half(&forward)?;
/// assert!(narrow.to_bytes()?.len() < forward.to_bytes()?.len() * 3 / 4);
/// assert_eq!(narrow.outputs()[0].element, ElementType::F32);
/// assert_eq!(narrow.metadata(half::PRECISION_KEY), Some("float16"));
/// # Ok(())
/// # }
/// ```
pub fn half(model: &Model) -> Result<Model, GraphError> {
    checks::supported(model)?;
    let mut model = fold(model.clone())?;
    let types = element_types(&model);
    if types.values().any(|element| matches!(element, ElementType::F16 | ElementType::Bf16)) {
        return Err(model.interface_error(
            "it holds half precision already: give the float32 graph that it was made from",
        ));
    }
    if !model.graph().node.iter().any(|node| is_one_of(node, &HEAVY)) {
        return Err(model.interface_error(
            "it has no convolution and no product of matrices, so half precision gains nothing",
        ));
    }
    // Declared types of inner values would no longer be true.
    model.graph_mut().value_info.clear();
    model.set_metadata(PRECISION_KEY, FLOAT16.to_owned());
    Narrowing::new(model, types).run()
}

/// Whether a node is a product of many terms.
pub(crate) fn is_heavy(node: &NodeProto) -> bool {
    is_one_of(node, &HEAVY)
}

fn is_one_of(node: &NodeProto, operators: &[&str]) -> bool {
    node.is_standard() && operators.contains(&node.op_type.as_str())
}

/// Inputs that have a type of their own whatever the precision of the values: float32 here.
fn has_own_type(node: &NodeProto, input: usize) -> bool {
    match node.op_type.as_str() {
        "Resize" => input == 1 || input == 2,
        "Dropout" => input == 1,
        // Reads any type.
        "Cast" => true,
        _ => false,
    }
}

/// The graph under rewriting.
struct Narrowing {
    editor: Editor,
    types: HashMap<String, ElementType>,
    weights: HashMap<String, TensorProto>,
    outputs: HashSet<String>,
    /// Values that are float16 now.
    narrow: HashSet<String>,
    /// Each value in the other precision, where somebody has asked for it.
    cast: HashMap<String, String>,
    nodes: Vec<NodeProto>,
}

impl Narrowing {
    fn new(model: Model, types: HashMap<String, ElementType>) -> Self {
        let graph = model.graph();
        let weights = graph.initializer.iter().map(|t| (t.name.clone(), t.clone())).collect();
        let outputs = graph.output.iter().map(|v| v.name.clone()).collect();
        let editor = Editor::new(model, "half");
        let (narrow, cast, nodes) = (HashSet::new(), HashMap::new(), Vec::new());
        Self { editor, types, weights, outputs, narrow, cast, nodes }
    }

    fn run(mut self) -> Result<Model, GraphError> {
        for mut node in self.editor.model().graph().node.clone() {
            let narrow = self.is_narrow(&node)?;
            for (index, input) in node.input.clone().into_iter().enumerate() {
                let wide = !narrow || has_own_type(&node, index);
                if self.is_float(&input) && node.op_type != "Cast" {
                    node.input[index] = if wide { self.wide(&input) } else { self.narrow(&input)? };
                }
            }
            let made = self.editor.take_nodes();
            self.nodes.extend(made);
            self.place(node, narrow);
        }
        self.editor.set_nodes(self.nodes);
        Ok(self.editor.finish())
    }

    fn is_float(&self, value: &str) -> bool {
        self.types.get(value) == Some(&ElementType::F32)
    }

    /// Whether a node works in float16.
    fn is_narrow(&self, node: &NodeProto) -> Result<bool, GraphError> {
        let heavy = is_one_of(node, &HEAVY);
        if !heavy && !is_one_of(node, &NEUTRAL) {
            return Ok(false);
        }
        let inputs = node.input.iter().enumerate();
        let mut floats = inputs
            .filter(|(index, input)| self.is_float(input) && !has_own_type(node, *index))
            .map(|(_, input)| input.as_str())
            .peekable();
        if floats.peek().is_none() {
            return Ok(false);
        }
        for input in floats {
            if !self.weights.contains_key(input) {
                if !heavy && !self.narrow.contains(input) {
                    return Ok(false);
                }
                continue;
            }
            let largest = self.largest(input)?;
            if largest <= LARGEST {
                continue;
            }
            if !heavy {
                return Ok(false);
            }
            let model = self.editor.model();
            return Err(model.node_error(node, format!(
                "its weight {input} holds {largest}, more than the 65504 of float16: keep the network in float32"
            )));
        }
        Ok(true)
    }

    fn elements(&self, weight: &str) -> Result<Option<Tensor>, GraphError> {
        self.weights.get(weight).map(|proto| self.editor.model().tensor(proto)).transpose()
    }

    fn largest(&self, weight: &str) -> Result<f32, GraphError> {
        let tensor = self.elements(weight)?;
        let values = tensor.as_ref().and_then(Tensor::as_f32).unwrap_or_default();
        // Infinities stand for masks: binary16 has them too.
        let finite = values.iter().map(|v| v.abs()).filter(|v| v.is_finite());
        Ok(finite.fold(0.0, f32::max))
    }

    /// `value` in float32.
    fn wide(&mut self, value: &str) -> String {
        if self.narrow.contains(value) {
            self.cast(value, ElementType::F32)
        } else {
            value.to_owned()
        }
    }

    /// `value` in float16.
    fn narrow(&mut self, value: &str) -> Result<String, GraphError> {
        if self.narrow.contains(value) {
            return Ok(value.to_owned());
        }
        let Some(tensor) = self.elements(value)? else {
            return Ok(self.cast(value, ElementType::F16));
        };
        if let Some(name) = self.cast.get(value) {
            return Ok(name.clone());
        }
        let bits = |v: &f32| f16::from_f32(*v).to_le_bytes();
        let raw: Vec<u8> = tensor.as_f32().unwrap_or_default().iter().flat_map(bits).collect();
        let name = self.editor.fresh();
        self.editor.add_initializer(TensorProto {
            dims: self.weights.get(value).map(|t| t.dims.clone()).unwrap_or_default(),
            data_type: Some(ElementType::F16.to_onnx()),
            name: name.clone(),
            raw_data: Some(raw.into()),
            ..TensorProto::default()
        });
        self.cast.insert(value.to_owned(), name.clone());
        Ok(name)
    }

    fn cast(&mut self, value: &str, to: ElementType) -> String {
        if let Some(name) = self.cast.get(value) {
            return name.clone();
        }
        let to = vec![int("to", i64::from(to.to_onnx()))];
        let name = self.editor.node("Cast", &[value], to);
        self.cast.insert(value.to_owned(), name.clone());
        name
    }

    /// Appends a node; what it makes in float16 for an output of the graph is cast behind it.
    fn place(&mut self, mut node: NodeProto, narrow: bool) {
        if !narrow {
            self.nodes.push(node);
            return;
        }
        // The second output of these is a mask or indices.
        let n_floats =
            if matches!(node.op_type.as_str(), "Dropout" | "MaxPool") { 1 } else { usize::MAX };
        for output in node.output.iter_mut().take(n_floats).filter(|o| !o.is_empty()) {
            if self.outputs.contains(output) {
                let made = self.editor.fresh();
                let to = vec![int("to", i64::from(ElementType::F32.to_onnx()))];
                self.editor.node_to("Cast", &[&made], to, output);
                *output = made;
            } else {
                self.narrow.insert(output.clone());
            }
        }
        self.nodes.push(node);
        let casts = self.editor.take_nodes();
        self.nodes.extend(casts);
    }
}
