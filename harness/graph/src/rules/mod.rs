//! Gradient rules: for each operator, the gradients of its inputs from those of its outputs.
//!
//! Written `g` for the gradient of the output `y`. Each rule adds nodes and names their results;
//! `scripts/golden/graph_fixtures.py` and central differences check all of them.

mod activation;
mod attention;
mod conv;
mod einsum;
mod elementwise;
mod index;
mod join;
mod linear;
mod norm;
mod pool_resize;
mod reduce;
mod shape;
mod slice;
mod softmax;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use super::dim::axis;
use super::error::GraphError;
use super::reverse::{Call, Gradients, Reverse};

/// A gradient rule.
pub(crate) type Rule = fn(&mut Reverse, &Call<'_>) -> Result<Gradients, GraphError>;

/// The rule of an operator of the standard set; `None` where there is none.
pub(crate) fn rule(op: &str) -> Option<Rule> {
    elementwise::rule(op)
        .or_else(|| activation::rule(op))
        .or_else(|| shape::rule(op))
        .or_else(|| index::rule(op))
        .or_else(|| slice::rule(op))
        .or_else(|| join::rule(op))
        .or_else(|| linear::rule(op))
        .or_else(|| einsum::rule(op))
        .or_else(|| attention::rule(op))
        .or_else(|| conv::rule(op))
        .or_else(|| norm::rule(op))
        .or_else(|| pool_resize::rule(op))
        .or_else(|| softmax::rule(op))
        .or_else(|| reduce::rule(op))
}

/// A length as ONNX writes it.
pub(crate) fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
