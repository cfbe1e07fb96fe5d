//! A node with what is known of its inputs.

use super::expr::Axes;
use super::value::{Value, count};
use crate::proto::NodeProto;

/// What an operator sees of its inputs.
pub(super) struct Seen<'a> {
    pub(super) node: &'a NodeProto,
    /// Axes of each input; `None` where it is left out.
    pub(super) axes: Vec<Option<&'a Axes>>,
    /// Elements of each input, where they are known.
    pub(super) values: Vec<Option<&'a Value>>,
    /// Axes of each output.
    pub(super) outputs: &'a [Axes],
}

impl<'a> Seen<'a> {
    pub(super) fn value(&self, index: usize) -> Option<&'a Value> {
        self.values.get(index).copied().flatten()
    }

    pub(super) fn integers(&self, index: usize) -> Option<Vec<i64>> {
        self.value(index)?.integers()
    }

    /// Shape of output `index`, where it is fixed and small.
    pub(super) fn shape(&self, index: usize) -> Option<Vec<usize>> {
        let shape: Option<Vec<usize>> =
            self.outputs.get(index)?.iter().map(|e| e.count()).collect();
        shape.filter(|shape| count(shape).is_some())
    }
}
