//! Clean-up before every pass: nodes come after what they read, `Constant` nodes become weights, `Identity` of weights disappears,
//! weights that lie in half precision are cast to float32 where the graph computes with that.

use std::collections::{BTreeMap, BTreeSet};

use super::error::GraphError;
use super::model::Model;
use super::order::sorted;
use super::proto::{NodeProto, TensorProto};
use super::tensor::{Tensor, TensorData};
use super::widen;

/// Sorts the nodes, folds constants, casts weights that lie in half precision, and drops weights from the list of inputs (they
/// keep their default value).
///
/// # Errors
/// [`GraphError::Node`] for a `Constant` whose value no pass can read (text, sparse), [`GraphError::Interface`] for
/// nodes in a circle, [`GraphError::ExternalData`] for half-precision weights that cannot be read.
pub(crate) fn fold(mut model: Model) -> Result<Model, GraphError> {
    let nodes = std::mem::take(&mut model.graph_mut().node);
    let nodes = sorted(nodes).ok_or_else(|| {
        model.interface_error(
            "its nodes read each other in a circle: it is damaged, export it again",
        )
    })?;
    let outputs: BTreeSet<String> = model.graph().output.iter().map(|v| v.name.clone()).collect();
    let weights = model.graph().initializer.iter().map(|t| t.name.clone()).collect();
    let mut known = Known { weights, alias: BTreeMap::new(), wide: BTreeMap::new() };
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for input in &mut node.input {
            if let Some(name) = known.alias.get(input) {
                input.clone_from(name);
            }
        }
        let Some(output) = node.output.first().cloned() else { continue };
        let folds = node.is_standard() && !outputs.contains(&output);
        if !folds || !known.learn(&mut model, &node, output)? {
            kept.push(node);
        }
    }
    let read: BTreeSet<&String> =
        kept.iter().flat_map(|node| &node.input).chain(&outputs).collect();
    let graph = model.graph_mut();
    // Half-precision weights of which only the float32 ones are read.
    graph.initializer.retain(|t| !known.wide.contains_key(&t.name) || read.contains(&t.name));
    graph.input.retain(|v| !known.weights.contains(&v.name));
    graph.node = kept;
    // Weights that are no inputs exist from IR version 4 on; opset 13 came with version 7.
    model.proto.ir_version = Some(model.proto.ir_version.unwrap_or(7).max(7));
    Ok(model)
}

/// What is known of values that do not depend on inputs.
struct Known {
    weights: BTreeSet<String>,
    /// Other names of weights.
    alias: BTreeMap<String, String>,
    /// Weights in half precision, and their float32 values.
    wide: BTreeMap<String, String>,
}

impl Known {
    /// Makes a weight, or a name of one, of what `node` makes; false for a node that has to stay.
    fn learn(
        &mut self,
        model: &mut Model,
        node: &NodeProto,
        output: String,
    ) -> Result<bool, GraphError> {
        if node.op_type == "Constant" {
            let value = constant_value(node, &output).ok_or_else(|| {
                let message = "its value is text, sparse or missing: export numeric constants";
                model.node_error(node, message)
            })?;
            self.weights.insert(output);
            model.graph_mut().initializer.push(value);
            return Ok(true);
        }
        if let Some(half) = widen::widened_by(model.graph(), node).cloned() {
            if let Some(name) = self.wide.get(&half.name) {
                self.alias.insert(output, name.clone());
                return Ok(true);
            }
            let raw = model.raw(&half)?;
            let weight = widen::widened(&half, &raw).map_err(|message| GraphError::Decode {
                model: model.label().to_owned(),
                message: format!("tensor {} {message}", half.name),
            })?;
            let weight = weight.to_proto(&output);
            model.graph_mut().initializer.push(weight);
            self.wide.insert(half.name.clone(), output.clone());
            self.weights.insert(output);
            return Ok(true);
        }
        match node.input_at(0).filter(|input| self.weights.contains(*input)) {
            Some(input) if node.op_type == "Identity" => {
                self.alias.insert(output, input.to_owned());
                Ok(true)
            }
            _ => Ok(false),
        }
    }
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
