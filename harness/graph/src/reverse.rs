//! A graph while its gradient is being written: what the rules ask, and what they write with.

use std::collections::{HashMap, HashSet};

use super::dim::Dim;
use super::edit::{Editor, int, ints};
use super::error::GraphError;
use super::model::Model;
use super::proto::{AttributeProto, NodeProto};
use super::shapes::Shapes;
use super::tensor::{ElementType, Tensor};
use super::types::element_types;

/// How the gradient of a convolution is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvGradient {
    /// `ConvTranspose` with the weights of the forward pass: the file does not grow.
    #[default]
    ConvTranspose,
    /// `Conv` with flipped copies of the weights where the stride is 1: faster on CPUs, the file doubles.
    FlippedConv,
}

/// One node on its way back, with the gradients of its outputs.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a NodeProto,
    pub(crate) grads: &'a [Option<String>],
}

impl Call<'_> {
    /// Gradient of the first output.
    pub(crate) fn g(&self) -> &str {
        self.grads.first().and_then(Option::as_deref).unwrap_or_default()
    }

    /// Input `index`, empty where it is left out.
    pub(crate) fn input(&self, index: usize) -> &str {
        self.node.input_at(index).unwrap_or_default()
    }

    /// First output.
    pub(crate) fn y(&self) -> &str {
        self.node.output.first().map_or("", String::as_str)
    }
}

/// Where a slice starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// At a constant; negative ones count from the end.
    Fixed(i64),
    /// At so many times the batch size.
    Batch(usize),
    /// At what is neither.
    Other,
}

/// Gradients by input index.
pub(crate) type Gradients = Vec<(usize, String)>;

/// A graph while its gradient is being written.
#[derive(Debug)]
pub(crate) struct Reverse {
    pub(crate) editor: Editor,
    pub(crate) conv: ConvGradient,
    shapes: Shapes,
    active: HashSet<String>,
    types: HashMap<String, ElementType>,
    /// float32 copies of float16 values.
    singles: HashMap<String, String>,
    /// Input of each `Sigmoid`, by its output.
    sigmoids: HashMap<String, String>,
    opset: i64,
}

impl Reverse {
    /// The state before the first node is written; `active` are the values that depend on `x`.
    pub(crate) fn new(
        model: Model,
        active: HashSet<String>,
        shapes: Shapes,
        conv: ConvGradient,
    ) -> Self {
        let sigmoid = |n: &NodeProto| Some((n.output.first()?.clone(), n.input.first()?.clone()));
        let nodes = model.graph().node.iter().filter(|n| n.op_type == "Sigmoid");
        let sigmoids = nodes.filter_map(sigmoid).collect();
        let (opset, types) = (model.opset(), element_types(&model));
        let editor = Editor::new(model, "vjp");
        Self { editor, conv, shapes, active, types, singles: HashMap::new(), sigmoids, opset }
    }

    /// Sum of the gradients that reach a value by several ways.
    pub(crate) fn sum(&mut self, parts: Vec<String>) -> String {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |sum, part| self.op("Add", &[&sum, &part]))
    }

    /// Whether a value depends on `x`.
    pub(crate) fn is_active(&self, name: &str) -> bool {
        self.active.contains(name)
    }

    /// Whether `gate` is the sigmoid of `x`.
    pub(crate) fn is_sigmoid_of(&self, gate: &str, x: &str) -> bool {
        self.sigmoids.get(gate).is_some_and(|input| input == x)
    }

    /// Axes of a value.
    pub(crate) fn shape(&self, call: &Call<'_>, name: &str) -> Result<Vec<Dim>, GraphError> {
        let known = self.shapes.of(name).map(<[Dim]>::to_vec);
        known.ok_or_else(|| self.error(call, format!("the shape of {name} is unknown")))
    }

    /// Axes of an input or output.
    pub(crate) fn dims(&self, name: &str) -> Result<Vec<Dim>, GraphError> {
        self.shapes.of(name).map(<[Dim]>::to_vec).ok_or_else(|| {
            self.editor.model().interface_error(format!("the shape of {name} is unknown"))
        })
    }

    /// Axes of a value, all of which must have fixed lengths.
    pub(crate) fn fixed_shape(&self, call: &Call<'_>, name: &str) -> Result<Vec<i64>, GraphError> {
        let dims = self.shape(call, name)?;
        let lengths: Option<Vec<i64>> = dims.iter().map(|&d| length(d)).collect();
        lengths.ok_or_else(|| {
            self.error(call, format!("{name} has axes {dims:?}, expected fixed lengths"))
        })
    }

    /// Lengths of the axes behind the batch, which must be fixed.
    pub(crate) fn fixed_behind_batch(
        &self,
        call: &Call<'_>,
        name: &str,
    ) -> Result<Vec<i64>, GraphError> {
        let dims = self.shape(call, name)?;
        let lengths: Option<Vec<i64>> = dims.iter().skip(1).map(|&d| length(d)).collect();
        lengths.ok_or_else(|| {
            self.error(
                call,
                format!("{name} has axes {dims:?}, expected fixed lengths behind the batch"),
            )
        })
    }

    /// `name` in float32: itself, but for float16 values, which are cast.
    pub(crate) fn single(&mut self, name: &str) -> String {
        if self.types.get(name) != Some(&ElementType::F16) {
            return name.to_owned();
        }
        if let Some(single) = self.singles.get(name) {
            return single.clone();
        }
        let to = int("to", i64::from(ElementType::F32.to_onnx()));
        let single = self.op_with("Cast", &[name], vec![to]);
        self.shapes.copy(name, &single);
        if self.active.contains(name) {
            self.active.insert(single.clone());
        }
        self.singles.insert(name.to_owned(), single.clone());
        single
    }

    /// Whether a value holds truth values.
    pub(crate) fn is_bool(&self, name: &str) -> bool {
        self.types.get(name) == Some(&ElementType::Bool)
    }

    /// Elements of an integer constant.
    pub(crate) fn integers(&self, call: &Call<'_>, name: &str) -> Result<Vec<i64>, GraphError> {
        self.shapes.constant(name).ok_or_else(|| {
            self.error(call, format!(
                "its input {name} moves with the inputs of the graph, expected constant integers: export with the batch as the only dynamic axis"
            ))
        })
    }

    /// Elements of an integer value: constants, or multiples of the batch size.
    pub(crate) fn positions(
        &self,
        call: &Call<'_>,
        name: &str,
    ) -> Result<Vec<Position>, GraphError> {
        if let Some(multiples) = self.shapes.multiples(name) {
            let position = |dim: &Dim| match *dim {
                Dim::Fixed(n) => Position::Fixed(i64::try_from(n).unwrap_or(i64::MAX)),
                Dim::Batch(n) => Position::Batch(n),
                Dim::Other => Position::Other,
            };
            return Ok(multiples.iter().map(position).collect());
        }
        Ok(self.integers(call, name)?.into_iter().map(Position::Fixed).collect())
    }

    /// `parts` times the batch size, each of shape `[1]`; axis `axis` of `name` has `per_image` times the batch size.
    pub(crate) fn times_batch(
        &mut self,
        name: &str,
        (axis, per_image): (usize, usize),
        parts: &[usize],
    ) -> Vec<String> {
        let as_i64 = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let shape = self.op("Shape", &[name]);
        let axis = self.editor.vector(&[as_i64(axis)]);
        let length = self.op("Gather", &[&shape, &axis]);
        let per_image = self.editor.vector(&[as_i64(per_image)]);
        let batch = self.op("Div", &[&length, &per_image]);
        parts
            .iter()
            .map(|&part| {
                let part = self.editor.vector(&[as_i64(part)]);
                self.op("Mul", &[&batch, &part])
            })
            .collect()
    }

    /// Number of axes of an integer constant.
    pub(crate) fn constant_rank(&self, name: &str) -> Option<usize> {
        self.shapes.constant_rank(name)
    }

    /// Elements of a weight; `None` for values that are computed.
    pub(crate) fn weight(&self, name: &str) -> Result<Option<Tensor>, GraphError> {
        self.editor.model().initializer(name)
    }

    /// Elements of a float weight, half precision included; `None` for values that are computed.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>, GraphError> {
        self.editor.model().floats(name)
    }

    /// Version of the operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// An error about the node that is being differentiated.
    pub(crate) fn error(&self, call: &Call<'_>, what: impl Into<String>) -> GraphError {
        self.editor.model().node_error(call.node, what)
    }

    /// A node without attributes.
    pub(crate) fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.editor.node(op, inputs, Vec::new())
    }

    /// A node with attributes.
    pub(crate) fn op_with(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.editor.node(op, inputs, attributes)
    }

    /// `a * b`.
    pub(crate) fn mul(&mut self, a: &str, b: &str) -> String {
        self.op("Mul", &[a, b])
    }

    /// `a * factor`.
    pub(crate) fn scaled(&mut self, a: &str, factor: f32) -> String {
        let factor = self.editor.scalar(factor);
        self.mul(a, &factor)
    }

    /// `a + summand`.
    pub(crate) fn shifted(&mut self, a: &str, summand: f32) -> String {
        let summand = self.editor.scalar(summand);
        self.op("Add", &[a, &summand])
    }

    /// `1 - a`.
    pub(crate) fn one_minus(&mut self, a: &str) -> String {
        let one = self.editor.scalar(1.0);
        self.op("Sub", &[&one, a])
    }

    /// `g` where `condition` holds, else 0.
    pub(crate) fn masked(&mut self, condition: &str, g: &str) -> String {
        let zero = self.editor.scalar(0.0);
        self.op("Where", &[condition, g, &zero])
    }

    /// `g` with the given lengths (-1 for the batch).
    pub(crate) fn reshaped(&mut self, g: &str, lengths: &[i64]) -> String {
        let lengths = self.editor.vector(lengths);
        self.op("Reshape", &[g, &lengths])
    }

    /// `g` in the shape of `name`: by constants where at most one axis moves, else at run time.
    pub(crate) fn like(
        &mut self,
        call: &Call<'_>,
        g: &str,
        name: &str,
    ) -> Result<String, GraphError> {
        let dims = self.shape(call, name)?;
        if let Some(lengths) = lengths(&dims) {
            return Ok(self.reshaped(g, &lengths));
        }
        let shape = self.op("Shape", &[name]);
        Ok(self.op("Reshape", &[g, &shape]))
    }

    /// `g` repeated to the shape of `name`.
    pub(crate) fn expanded(&mut self, g: &str, name: &str) -> String {
        let shape = self.op("Shape", &[name]);
        self.op("Expand", &[g, &shape])
    }

    /// Sum over axes, which stay with length 1.
    pub(crate) fn sum_over(&mut self, g: &str, axes: &[i64]) -> String {
        let axes = self.editor.vector(axes);
        self.op_with("ReduceSum", &[g, &axes], vec![int("keepdims", 1)])
    }

    /// Mean over axes, which stay with length 1.
    pub(crate) fn mean_over(&mut self, g: &str, axes: &[i64]) -> String {
        self.reduced("ReduceMean", g, axes)
    }

    /// Sum of squares over axes, which stay with length 1.
    pub(crate) fn sum_of_squares_over(&mut self, g: &str, axes: &[i64]) -> String {
        self.reduced("ReduceSumSquare", g, axes)
    }

    /// Axes became an input of all reductions but the sum in operator set 18.
    fn reduced(&mut self, op: &str, g: &str, axes: &[i64]) -> String {
        if self.opset < 18 {
            return self.op_with(op, &[g], vec![ints("axes", axes), int("keepdims", 1)]);
        }
        let axes = self.editor.vector(axes);
        self.op_with(op, &[g, &axes], vec![int("keepdims", 1)])
    }

    /// Sums `g`, which has the shape of `from`, over the axes along which `to` was repeated.
    pub(crate) fn unbroadcast(
        &mut self,
        call: &Call<'_>,
        g: String,
        from: &[Dim],
        to: &str,
    ) -> Result<String, GraphError> {
        let dims = self.shape(call, to)?;
        let Some(missing) = from.len().checked_sub(dims.len()) else {
            return Err(self.error(call, format!("{to} has more axes than the result")));
        };
        let repeated = |(k, d): (usize, &Dim)| {
            (*d == Dim::Fixed(1) && from[k + missing] != Dim::Fixed(1)).then_some(k + missing)
        };
        let axes: Vec<i64> = (0..missing)
            .chain(dims.iter().enumerate().filter_map(repeated))
            .map(|axis| i64::try_from(axis).unwrap_or(0))
            .collect();
        if axes.is_empty() {
            return Ok(g);
        }
        let sum = self.sum_over(&g, &axes);
        if missing == 0 { Ok(sum) } else { self.like(call, &sum, to) }
    }
}

/// Length of a fixed axis.
pub(crate) fn length(dim: Dim) -> Option<i64> {
    match dim {
        Dim::Fixed(n) => i64::try_from(n).ok(),
        Dim::Batch(_) | Dim::Other => None,
    }
}

/// Lengths for a reshape: -1 for the one axis that moves; `None` where several do.
pub(crate) fn lengths(dims: &[Dim]) -> Option<Vec<i64>> {
    let moving = dims.iter().filter(|&&d| length(d).is_none()).count();
    (moving <= 1).then(|| dims.iter().map(|&d| length(d).unwrap_or(-1)).collect())
}
