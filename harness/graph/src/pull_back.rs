//! Reverse-mode differentiation over the nodes of a graph.
//!
//! Walks the nodes backwards and asks each for the gradients of its inputs (`rules`). Only values
//! that depend on `x` get one: weights, times and labels cost nothing.
//!
//! Gradients are float32. Where a node works in float16, its rule reads float32 copies of what went in and came out: the
//! prediction keeps its bits, and no gradient under- or overflows.

use std::collections::HashMap;

use super::checks::Interface;
use super::error::GraphError;
use super::model::Model;
use super::path::{active_values, check_rules};
use super::proto::NodeProto;
use super::reverse::{Call, ConvGradient, Reverse};
use super::rules;
use super::runner::Runner;
use super::shapes::Shapes;

/// Checks a folded model and infers its shapes.
pub(crate) fn prepare(
    model: Model,
    interface: &Interface,
    conv: ConvGradient,
    runner: &dyn Runner,
) -> Result<Reverse, GraphError> {
    let x = interface.x.clone();
    prepare_at(model, interface, &x, conv, runner)
}

/// As [`prepare`], for gradients with respect to `root`, any value of the graph.
pub(crate) fn prepare_at(
    model: Model,
    interface: &Interface,
    root: &str,
    conv: ConvGradient,
    runner: &dyn Runner,
) -> Result<Reverse, GraphError> {
    let active = active_values(&model, root);
    check_rules(&model, &active, &interface.output)?;
    let shapes = Shapes::of_batch(&model, &interface.x, runner)?;
    Ok(Reverse::new(model, active, shapes, conv))
}

/// Writes the nodes from `cotangent` (the gradient of `y`) to the gradient of `x`; its name.
pub(crate) fn pull_back(
    reverse: &mut Reverse,
    y: &str,
    cotangent: &str,
    x: &str,
) -> Result<String, GraphError> {
    let nodes = reverse.editor.model().graph().node.clone();
    let mut pending: HashMap<String, Vec<String>> = HashMap::new();
    pending.insert(y.to_owned(), vec![cotangent.to_owned()]);
    for node in nodes.iter().rev() {
        if node.output.iter().any(|output| output == x) {
            // What makes `x` is none of its business; a graph input is made by nothing.
            break;
        }
        let grads: Vec<Option<String>> = node
            .output
            .iter()
            .map(|output| pending.remove(output).map(|parts| reverse.sum(parts)))
            .collect();
        if grads.iter().all(Option::is_none) {
            continue;
        }
        let Some(rule) = rules::rule(&node.op_type) else {
            return Err(reverse.editor.model().node_error(node, "it has no gradient rule"));
        };
        let single = in_single(reverse, node);
        for (index, gradient) in rule(reverse, &Call { node: &single, grads: &grads })? {
            let input = node.input.get(index).map_or("", String::as_str);
            if reverse.is_active(input) {
                pending.entry(input.to_owned()).or_default().push(gradient);
            }
        }
    }
    match pending.remove(x) {
        Some(parts) => Ok(reverse.sum(parts)),
        None => Err(reverse.editor.model().interface_error(format!(
            "output {y} does not depend on input {x}: name another input or output"
        ))),
    }
}

/// The node as its rule sees it: all floats are float32.
fn in_single(reverse: &mut Reverse, node: &NodeProto) -> NodeProto {
    let mut node = node.clone();
    for name in node.input.iter_mut().chain(&mut node.output) {
        *name = reverse.single(name);
    }
    node
}
