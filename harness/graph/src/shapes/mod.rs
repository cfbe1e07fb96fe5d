//! Shapes of all values, as multiples of one symbol: the batch size.
//!
//! Exporters lose shapes, and a gradient needs all of them. They are inferred node by node (`network`): axes by a rule an
//! operator (`rules`, `axes_layout`, `axes_sums`), and shape arithmetic folded over numbers `a B + b` of the batch size
//! `B` (`expr`, `value`, `arithmetic`, `layout`). No weight but the small ones is read, and nothing is run.
//!
//! What shapes and weights do not decide (an operator without a rule here, the places where a condition holds) the
//! runtime is asked for: the part of the graph that leads there runs at two batch sizes (`probe`).

mod arithmetic;
mod axes_layout;
mod axes_sums;
mod decide;
mod expr;
mod inputs;
mod layout;
mod network;
mod probe;
mod rules;
mod seen;
#[cfg(test)]
pub(crate) mod tests;
mod value;

use std::collections::HashMap;

use self::expr::{Axes, Expr};
use self::inputs::{Length, batch_name, lengths};
use self::network::Network;
use crate::dim::Dim;
use crate::error::GraphError;
use crate::model::{Model, Port};
use crate::runner::Runner;
use crate::tensor::ElementType;
use crate::types::element_types;

/// Shapes of all values, and the integers that steer them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shapes {
    dims: HashMap<String, Vec<Dim>>,
    constants: HashMap<String, Integers>,
    /// Integer values that follow the batch alone, as lengths do.
    multiples: HashMap<String, Vec<Dim>>,
}

/// A constant: number of its axes, and its elements.
#[derive(Clone, Debug, PartialEq)]
struct Integers {
    rank: usize,
    elements: Vec<i64>,
}

impl Shapes {
    /// Infers the shapes of `model`. The batch is axis 0 of `x`.
    ///
    /// # Errors
    /// [`GraphError::Interface`] where an input's shape leaves more than the batch open, [`GraphError::Node`] where a
    /// node works for one batch size alone, [`GraphError::Runtime`] where the runtime is asked and does not take it.
    pub(crate) fn of_batch(
        model: &Model,
        x: &str,
        runner: &dyn Runner,
    ) -> Result<Self, GraphError> {
        Self::of_images(model, (x, 1), runner)
    }

    /// As [`Self::of_batch`], of a graph that takes `rows` rows of `x` for each image.
    pub(crate) fn of_images(
        model: &Model,
        (x, rows): (&str, usize),
        runner: &dyn Runner,
    ) -> Result<Self, GraphError> {
        let inputs = inputs(model, (x, rows))?;
        let mut network = Network::new(model, inputs, element_types(model))?;
        let mut shapes = Self::default();
        loop {
            let open = network.infer(model, x)?;
            if open.is_empty() {
                break;
            }
            for told in probe::ask(model, (x, rows), &open, runner)? {
                network.tell(told.name.clone(), &told.dims, told.constant.as_ref());
                shapes.dims.insert(told.name.clone(), told.dims);
                shapes.multiples.extend(told.multiples.map(|dims| (told.name, dims)));
            }
        }
        shapes.take(&network);
        shapes.large_constants(model)?;
        Ok(shapes)
    }

    /// Refuses a batch size that stands in the graph; what only the runtime knows is left open.
    pub(crate) fn refuse_baked_in(model: &Model, x: &str) -> Result<(), GraphError> {
        let inputs = inputs(model, (x, 1))?;
        Network::new(model, inputs, element_types(model))?.infer(model, x).map(drop)
    }

    fn take(&mut self, network: &Network) {
        self.dims.extend(network.dims().map(|(name, dims)| (name.clone(), dims)));
        for (name, value) in network.integers() {
            if let Some(elements) = value.integers() {
                let rank = value.shape.len();
                self.constants.insert(name.clone(), Integers { rank, elements });
            } else if let Some(elements) = value.known() {
                let dims = elements.into_iter().map(Expr::dim).collect();
                self.multiples.insert(name.clone(), dims);
            }
        }
    }

    /// Integer weights too large for shape arithmetic: tables of indices.
    fn large_constants(&mut self, model: &Model) -> Result<(), GraphError> {
        for proto in &model.graph().initializer {
            let element = ElementType::from_onnx(proto.data_type.unwrap_or(0));
            if element.is_integer()
                && !self.constants.contains_key(&proto.name)
                && let Some(elements) = model.tensor(proto)?.to_i64()
            {
                let rank = proto.dims.len();
                self.constants.insert(proto.name.clone(), Integers { rank, elements });
            }
        }
        Ok(())
    }

    /// Gives a new value the axes of another.
    pub(crate) fn copy(&mut self, from: &str, to: &str) {
        if let Some(dims) = self.dims.get(from).cloned() {
            self.dims.insert(to.to_owned(), dims);
        }
    }

    /// Axes of a value.
    pub(crate) fn of(&self, name: &str) -> Option<&[Dim]> {
        self.dims.get(name).map(Vec::as_slice)
    }

    /// Bytes that one more image adds to a value; 0 for unknown values.
    pub(crate) fn bytes_per_image(&self, name: &str, element: ElementType) -> usize {
        let per_image = |d: &Dim| match *d {
            Dim::Fixed(n) | Dim::Batch(n) => n,
            Dim::Other => 1,
        };
        match self.of(name) {
            Some(dims) if dims.iter().any(|d| matches!(d, Dim::Batch(_))) => {
                let elements = dims.iter().map(per_image).fold(1, usize::saturating_mul);
                elements.saturating_mul(element.size().unwrap_or(0))
            }
            _ => 0,
        }
    }

    /// Elements of an integer value that no input changes.
    pub(crate) fn constant(&self, name: &str) -> Option<Vec<i64>> {
        self.constants.get(name).map(|c| c.elements.clone())
    }

    /// Elements of an integer value that moves with the batch size and nothing else.
    ///
    /// Negative elements count as [`Dim::Other`].
    pub(crate) fn multiples(&self, name: &str) -> Option<&[Dim]> {
        self.multiples.get(name).map(Vec::as_slice)
    }

    /// Number of axes of a constant.
    pub(crate) fn constant_rank(&self, name: &str) -> Option<usize> {
        self.constants.get(name).map(|c| c.rank)
    }
}

/// Axes of each input: open ones in front, and those named as the batch of `x`, are the batch.
fn inputs(model: &Model, (x, rows): (&str, usize)) -> Result<Vec<(String, Axes)>, GraphError> {
    let ports = model.inputs();
    let batch = batch_name(&ports, x);
    let axes = |port: &Port| {
        let place = |length| match length {
            Length::Fixed(n) => Expr::length(n),
            Length::Batch => Expr::batch(rows),
        };
        let lengths = lengths(model, port, batch.as_ref())?;
        Ok((port.name.clone(), lengths.into_iter().map(place).collect()))
    };
    ports.iter().map(axes).collect()
}
