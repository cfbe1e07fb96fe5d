//! Clean-up before every pass: nodes come after what they read, `Constant` nodes become weights, `Identity` of weights disappears.

use std::collections::{BTreeMap, BTreeSet};

use super::error::GraphError;
use super::model::Model;
use super::order::sorted;
use super::proto::{NodeProto, TensorProto};
use super::tensor::{Tensor, TensorData};

/// Sorts the nodes, folds constants, and drops weights from the list of inputs (they keep their default value).
///
/// # Errors
/// [`GraphError::Node`] for a `Constant` whose value no pass can read (text, sparse), [`GraphError::Interface`] for
/// nodes in a circle.
pub(crate) fn fold(mut model: Model) -> Result<Model, GraphError> {
    let nodes = std::mem::take(&mut model.graph_mut().node);
    let nodes = sorted(nodes).ok_or_else(|| {
        model.interface_error(
            "its nodes read each other in a circle: it is damaged, export it again",
        )
    })?;
    let mut weights: BTreeSet<String> =
        model.graph().initializer.iter().map(|t| t.name.clone()).collect();
    let outputs: BTreeSet<String> = model.graph().output.iter().map(|v| v.name.clone()).collect();
    let mut alias: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for input in &mut node.input {
            if let Some(name) = alias.get(input) {
                input.clone_from(name);
            }
        }
        let Some(output) = node.output.first().cloned() else { continue };
        let folds = node.is_standard() && !outputs.contains(&output);
        if folds && node.op_type == "Constant" {
            let value = constant_value(&node, &output).ok_or_else(|| {
                model.node_error(
                    &node,
                    "its value is text, sparse or missing: export numeric constants",
                )
            })?;
            weights.insert(output);
            model.graph_mut().initializer.push(value);
        } else if folds
            && node.op_type == "Identity"
            && let Some(input) = node.input_at(0).filter(|input| weights.contains(*input))
        {
            alias.insert(output, input.to_owned());
        } else {
            kept.push(node);
        }
    }
    let graph = model.graph_mut();
    graph.node = kept;
    graph.input.retain(|v| !weights.contains(&v.name));
    // Weights that are no inputs exist from IR version 4 on; opset 13 came with version 7.
    model.proto.ir_version = Some(model.proto.ir_version.unwrap_or(7).max(7));
    Ok(model)
}

fn constant_value(node: &NodeProto, name: &str) -> Option<TensorProto> {
    let attribute = node.attribute.first()?;
    let tensor = match attribute.name.as_str() {
        "value" => {
            let tensor = attribute.t.clone()?;
            return Some(TensorProto { name: name.to_owned(), ..tensor });
        }
        "value_float" => Tensor::scalar_f32(attribute.f?),
        "value_floats" => Tensor::vector_f32(attribute.floats.clone()),
        "value_int" => Tensor::new(Vec::new(), TensorData::I64(vec![attribute.i?]))?,
        "value_ints" => Tensor::vector_i64(attribute.ints.clone()),
        _ => return None,
    };
    Some(tensor.to_proto(name))
}

#[cfg(test)]
mod tests {
    use super::fold;
    use crate::edit::{float, ints, text};
    use crate::testing::GraphUnderTest;

    #[test]
    fn constants_become_weights_and_names_of_weights_are_followed() {
        let model = GraphUnderTest::new(&[2])
            .floats("w", &[2], &[1.0, 2.0])
            .node("Constant", &[], &["c"], vec![float("value_float", 3.0)])
            .node("Constant", &[], &["axes"], vec![ints("value_ints", &[1])])
            .node("Identity", &["w"], &["v"], vec![])
            .node("Identity", &["v"], &["u"], vec![])
            .node("Mul", &["x", "u"], &["a"], vec![])
            .node("Mul", &["a", "c"], &["y"], vec![])
            .model();
        let folded = fold(model).unwrap();
        assert_eq!(folded.n_nodes(), 2);
        assert_eq!(folded.graph().node[0].input, ["x", "w"]);
        assert_eq!(folded.initializer("c").unwrap().unwrap().as_f32(), Some(&[3.0][..]));
        assert_eq!(folded.initializer("axes").unwrap().unwrap().to_i64(), Some(vec![1]));
    }

    /// As converters to half precision write it: the cast of the input behind its reader.
    #[test]
    fn nodes_come_after_what_they_read() {
        let model = GraphUnderTest::new(&[2])
            .node("Exp", &["a"], &["y"], vec![])
            .node("Relu", &["x"], &["a"], vec![])
            .model();
        let folded = fold(model).unwrap();
        let order: Vec<&str> = folded.graph().node.iter().map(|n| n.op_type.as_str()).collect();
        assert_eq!(order, ["Relu", "Exp"]);
        let circle = GraphUnderTest::new(&[2])
            .node("Add", &["x", "y"], &["a"], vec![])
            .node("Relu", &["a"], &["y"], vec![])
            .model();
        let text = fold(circle).unwrap_err().to_string();
        assert!(text.contains("in a circle"), "{text}");
    }

    #[test]
    fn a_constant_of_text_is_refused() {
        let model = GraphUnderTest::new(&[2])
            .node("Constant", &[], &["c"], vec![text("value_string", "a")])
            .node("Identity", &["x"], &["y"], vec![])
            .model();
        let message = fold(model).unwrap_err().to_string();
        assert!(message.contains("node Constant_0 (Constant): its value is text"), "{message}");
    }
}
