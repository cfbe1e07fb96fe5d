//! A network as an ONNX file: nodes, weights, and the model around them, in the order in which the package `onnx` writes them.

use super::torchscript::Tensor;
use super::wire::Message;

const BN_EPSILON: f64 = 1e-3;
const OPSET: u64 = 17;
const IR_VERSION: u64 = 8;
/// `TensorProto.FLOAT`.
const FLOAT: u64 = 1;
/// `AttributeProto.INT` and `INTS`.
const INT: u64 = 2;
const INTS: u64 = 7;

/// Batch normalisation behind a convolution, a number a channel each; without gamma, gamma is 1.
pub(super) struct Norm<'a> {
    pub(super) gamma: Option<&'a Tensor>,
    pub(super) beta: &'a Tensor,
    pub(super) mean: &'a Tensor,
    pub(super) var: &'a Tensor,
}

impl Norm<'_> {
    /// Gamma over the standard deviation.
    fn scale(&self) -> Vec<f64> {
        let deviations = self.var.values.iter().map(|&v| (f64::from(v) + BN_EPSILON).sqrt());
        match self.gamma {
            None => deviations.map(|deviation| 1.0 / deviation).collect(),
            Some(gamma) => {
                gamma.values.iter().zip(deviations).map(|(&g, d)| f64::from(g) / d).collect()
            }
        }
    }

    fn sizes(&self) -> Vec<usize> {
        let parts = [Some(self.beta), Some(self.mean), Some(self.var), self.gamma];
        parts.iter().flatten().map(|part| part.values.len()).collect()
    }
}

/// A network under way.
#[derive(Default)]
pub(super) struct Network {
    nodes: Vec<Message>,
    weights: Vec<Message>,
}

impl Network {
    /// A node, whose name is that of its output; attributes in the order of their names.
    pub(super) fn node(
        &mut self,
        kind: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[Message],
    ) -> String {
        let named = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = named.bytes(2, output).bytes(3, output).bytes(4, kind);
        self.nodes.push(node.messages(5, attributes));
        output.to_owned()
    }

    /// `NAME.weight` and `NAME.bias` of a convolution with its normalisation folded in, in f64:
    /// `y = gamma (w * x - mean) / sqrt(var + eps) + beta`. Gives height and width of the kernel.
    ///
    /// # Errors
    /// A text that names weights without four axes, or of another number of filters than the normalisation.
    pub(super) fn folded(
        &mut self,
        name: &str,
        weight: &Tensor,
        norm: &Norm<'_>,
    ) -> Result<[u64; 2], String> {
        let [filters, _, height, width] = weight.shape.as_slice() else {
            return Err(format!("{name}.weight has shape {:?}, expected four axes", weight.shape));
        };
        let sizes = norm.sizes();
        if *filters == 0 || sizes.iter().any(|size| size != filters) {
            return Err(format!("{name} has {filters} filters, and {sizes:?} numbers for them"));
        }
        let scale = norm.scale();
        let each = weight.values.len() / filters;
        let scaled = weight.values.iter().enumerate().map(|(i, &w)| f64::from(w) * scale[i / each]);
        let bias = norm.beta.values.iter().zip(&norm.mean.values).zip(&scale);
        let bias = bias.map(|((&b, &m), s)| f64::from(b) - f64::from(m) * s);
        let weights = [
            initializer(&format!("{name}.weight"), &weight.shape, scaled),
            initializer(&format!("{name}.bias"), &norm.beta.shape, bias),
        ];
        self.weights.extend(weights);
        Ok([*height as u64, *width as u64])
    }

    /// A number of the network's own.
    pub(super) fn constant(&mut self, name: &str, value: f32) {
        let tensor = Message::default().number(2, FLOAT).bytes(4, value.to_le_bytes());
        self.weights.push(tensor.bytes(8, name));
    }

    /// Weights and constants so far.
    pub(super) fn n_weights(&self) -> usize {
        self.weights.len()
    }

    /// The file, with an input and an output.
    pub(super) fn finish(self, name: &str, [input, output]: &[Message; 2]) -> Vec<u8> {
        let body = Message::default()
            .messages(1, &self.nodes)
            .bytes(2, name)
            .messages(5, &self.weights)
            .message(11, input)
            .message(12, output);
        let opset = Message::default().bytes(1, "").number(2, OPSET);
        let model = Message::default().number(1, IR_VERSION).bytes(2, "dubench");
        model.message(7, &body).message(8, &opset).finish()
    }
}

/// An input or output: f32, the batch first.
pub(super) fn port(name: &str, extents: &[u64]) -> Message {
    let batch = Message::default().bytes(2, "batch");
    let mut shape = Message::default().message(1, &batch);
    for &extent in extents {
        shape = shape.message(1, &Message::default().number(1, extent));
    }
    let tensor = Message::default().number(1, FLOAT).message(2, &shape);
    Message::default().bytes(1, name).message(2, &Message::default().message(1, &tensor))
}

/// An attribute with one number.
pub(super) fn whole(name: &str, value: u64) -> Message {
    Message::default().bytes(1, name).number(3, value).number(20, INT)
}

/// An attribute with several numbers.
pub(super) fn list(name: &str, values: &[u64]) -> Message {
    let named = Message::default().bytes(1, name);
    values.iter().fold(named, |message, &value| message.number(8, value)).number(20, INTS)
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn initializer(name: &str, shape: &[usize], values: impl Iterator<Item = f64>) -> Message {
    let raw: Vec<u8> = values.flat_map(|value| (value as f32).to_le_bytes()).collect();
    let tensor =
        shape.iter().fold(Message::default(), |tensor, &extent| tensor.number(1, extent as u64));
    tensor.number(2, FLOAT).bytes(8, name).bytes(9, raw)
}
