//! Shapes of a whole graph from the shapes of its inputs: node by node, with shape arithmetic folded.

use std::collections::{HashMap, HashSet};

use super::arithmetic;
use super::decide::{Decided, Undecided};
use super::expr::{Axes, Expr};
use super::layout;
use super::rules;
use super::seen::Seen;
use super::value::{self, Value};
use crate::dim::Dim;
use crate::error::GraphError;
use crate::model::Model;
use crate::proto::{NodeProto, TensorProto};
use crate::tensor::{ElementType, Tensor, shape_of};

/// What is known of the values of a graph.
#[derive(Debug, Default)]
pub(super) struct Network {
    types: HashMap<String, ElementType>,
    /// Axes; `None` for a value whose axes the runtime has told, one of which moves in a way that has no number here.
    axes: HashMap<String, Option<Axes>>,
    values: HashMap<String, Value>,
    /// Values that hold what was fed, or what is drawn: their elements are not asked for.
    data: HashSet<String>,
    /// Values that the runtime has told.
    told: HashSet<String>,
}

impl Network {
    /// What weights and inputs tell.
    pub(super) fn new(
        model: &Model,
        inputs: Vec<(String, Axes)>,
        types: HashMap<String, ElementType>,
    ) -> Result<Self, GraphError> {
        let mut network = Self { types, ..Self::default() };
        for (name, axes) in inputs {
            network.data.insert(name.clone());
            network.axes.insert(name, Some(axes));
        }
        for proto in &model.graph().initializer {
            network.weight(model, proto)?;
        }
        Ok(network)
    }

    fn weight(&mut self, model: &Model, proto: &TensorProto) -> Result<(), GraphError> {
        let lengths = shape_of(proto).unwrap_or_default();
        let axes = lengths.iter().map(|&n| Expr::length(n)).collect();
        self.axes.insert(proto.name.clone(), Some(axes));
        let element = ElementType::from_onnx(proto.data_type.unwrap_or(0));
        let is_number = element.is_integer()
            || matches!(element, ElementType::F32 | ElementType::F64 | ElementType::U8);
        if is_number && value::count(&lengths).is_some() {
            let known = Value::of(&model.tensor(proto)?);
            self.values.extend(known.map(|known| (proto.name.clone(), known)));
        }
        Ok(())
    }

    /// Goes through the nodes in order. The values that only the runtime can tell, in order, of which those behind them
    /// may depend.
    ///
    /// # Errors
    /// [`GraphError::Node`] where a node works for one batch size alone.
    pub(super) fn infer(&mut self, model: &Model, x: &str) -> Result<Vec<String>, GraphError> {
        let mut open = Vec::new();
        let mut waits: HashSet<&str> = HashSet::new();
        for node in &model.graph().node {
            let is_done = node.output.iter().all(|o| self.told.contains(o) || o.is_empty());
            if is_done {
                continue;
            }
            if node.input.iter().any(|input| waits.contains(input.as_str())) {
                waits.extend(node.output.iter().map(String::as_str));
                continue;
            }
            match self.step(node) {
                Ok(()) => {}
                Err(Undecided::BakedIn(rows)) => return Err(baked_in(model, node, x, rows)),
                Err(Undecided::Open) => {
                    open.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
                    waits.extend(node.output.iter().map(String::as_str));
                }
            }
        }
        Ok(open)
    }

    /// One node; open where its axes, or integers that shapes and weights alone decide, are not known.
    fn step(&mut self, node: &NodeProto) -> Decided<()> {
        if !node.is_standard() {
            return Err(Undecided::Open);
        }
        let seen = |outputs| Seen {
            node,
            axes: node.input.iter().map(|i| self.axes.get(i).and_then(Option::as_ref)).collect(),
            values: node.input.iter().map(|i| self.values.get(i)).collect(),
            outputs,
        };
        let outputs = rules::outputs(&seen(&[]))?;
        let values = self.elements(node, &seen(&outputs));
        let is_data = self.is_data(node);
        for ((name, axes), value) in node.output.iter().zip(outputs).zip(values) {
            if name.is_empty() {
                continue;
            }
            let element = self.types.get(name).copied();
            let is_small = small(&axes);
            let steers = element.is_some_and(ElementType::is_integer) && is_small && !is_data;
            let known = value.filter(|value| value.elements.iter().any(Option::is_some));
            if steers && known.is_none() {
                return Err(Undecided::Open);
            }
            self.axes.insert(name.clone(), Some(axes));
            self.values.extend(known.map(|value| (name.clone(), value)));
            if is_data {
                self.data.insert(name.clone());
            }
        }
        Ok(())
    }

    fn elements(&self, node: &NodeProto, seen: &Seen<'_>) -> Vec<Option<Value>> {
        let element = node.output.first().and_then(|o| self.types.get(o)).copied();
        let all: Option<Vec<&Value>> = seen.values.iter().copied().collect();
        let first = match (all, element) {
            (Some(values), Some(element)) if !values.is_empty() => {
                arithmetic::evaluate(node, &values, element)
            }
            _ => None,
        };
        let mut out = layout::evaluate(seen);
        let first = first.filter(|value| value.elements.iter().any(Option::is_some));
        if let (Some(slot), Some(first)) = (out.first_mut(), first) {
            *slot = Some(first);
        }
        out
    }

    /// Whether a node hands on what was fed or drawn. A shape does not, whatever it is the shape of.
    fn is_data(&self, node: &NodeProto) -> bool {
        let op = node.op_type.as_str();
        let draws = op.starts_with("Random") || matches!(op, "Bernoulli" | "Multinomial");
        let reads = node.input.iter().any(|input| self.data.contains(input));
        draws || (reads && !matches!(op, "Shape" | "Size"))
    }

    /// What the runtime says of a value: its axes, and its elements where they are constant integers.
    pub(super) fn tell(&mut self, name: String, dims: &[Dim], elements: Option<&Tensor>) {
        self.axes.insert(name.clone(), dims.iter().map(|&d| Expr::of(d)).collect());
        let value = elements.and_then(Value::of);
        self.values.extend(value.map(|value| (name.clone(), value)));
        self.told.insert(name);
    }

    /// Axes of every value that has numbers for all of them.
    pub(super) fn dims(&self) -> impl Iterator<Item = (&String, Vec<Dim>)> {
        self.axes.iter().filter_map(|(name, axes)| {
            Some((name, axes.as_ref()?.iter().map(|e| e.dim()).collect()))
        })
    }

    /// Integers that are known: elements, shape and element type by name.
    pub(super) fn integers(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter().filter(|(name, _)| self.types.get(*name).is_some_and(|t| t.is_integer()))
    }
}

fn small(axes: &Axes) -> bool {
    let lengths: Option<Vec<usize>> = axes.iter().map(|e| e.count()).collect();
    lengths.is_some_and(|lengths| value::count(&lengths).is_some())
}

fn baked_in(model: &Model, node: &NodeProto, x: &str, rows: usize) -> GraphError {
    model.node_error(
        node,
        format!(
            "a batch of {rows} is baked in: the first axis of input {x} is declared open, but this node takes {rows} rows alone: re-export with a dynamic axis (take the batch from x.shape[0], and name it in dynamic_shapes or dynamic_axes)"
        ),
    )
}
