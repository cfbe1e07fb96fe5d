//! The way from `x` to the prediction: which values a gradient goes through, and whether it can.

use std::collections::HashSet;

use super::error::GraphError;
use super::model::Model;
use super::rules;
use super::tensor::ElementType;
use super::types::element_types;

/// Float values that depend on `x`.
pub(crate) fn active_values(model: &Model, x: &str) -> HashSet<String> {
    let types = element_types(model);
    let mut active = HashSet::from([x.to_owned()]);
    for node in &model.graph().node {
        if node.input.iter().any(|input| active.contains(input)) {
            let floats = node.output.iter().filter(|o| types.get(*o).is_some_and(|t| t.is_float()));
            active.extend(floats.cloned());
        }
    }
    active
}

/// Refuses, before any work, operators without a rule and other floats than float32 and float16 between `x` and `y`.
pub(crate) fn check_rules(
    model: &Model,
    active: &HashSet<String>,
    y: &str,
) -> Result<(), GraphError> {
    let types = element_types(model);
    let mut needed = HashSet::from([y.to_owned()]);
    for node in model.graph().node.iter().rev() {
        let on_path = node.output.iter().any(|o| needed.contains(o) && active.contains(o));
        if !on_path {
            continue;
        }
        needed.extend(node.input.iter().cloned());
        let odd = node.output.iter().chain(&node.input).find_map(|name| {
            let known = [ElementType::F32, ElementType::F16];
            types.get(name).copied().filter(|t| t.is_float() && !known.contains(t))
        });
        if let Some(element) = odd {
            return Err(model.node_error(node, format!(
                "it works in {element:?} between input and output, gradients are made of float32 and float16: export with float32 weights (model.float())"
            )));
        }
        if !node.is_standard() {
            return Err(model.node_error(node, format!(
                "it is an operator of {}, gradients are made of the standard ones: export without the optimisations of ONNX Runtime",
                node.domain
            )));
        }
        if rules::rule(&node.op_type).is_none() {
            return Err(model.node_error(
                node,
                "there is no gradient rule for it: write that layer with other operators before the export",
            ));
        }
    }
    Ok(())
}
