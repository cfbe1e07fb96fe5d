//! A network whose weights lie in half precision and which computes in float32: half the bytes on disk, and bit for bit the
//! float32 network of the rounded weights. The runtime casts them once, when it opens the graph; the passes see float32 weights,
//! since the clean-up before each of them casts them first.

use std::collections::{HashMap, HashSet};

use half::f16;

use super::checks;
use super::edit::int;
use super::error::GraphError;
use super::fold::fold;
use super::half::{LARGEST, is_heavy};
use super::model::Model;
use super::proto::{NodeProto, TensorProto};
use super::tensor::{ElementType, Tensor};

#[cfg(test)]
mod tests;

/// Stores the weights of convolutions and matrix products in float16, each behind a `Cast` to float32: inputs, outputs and
/// all arithmetic stay float32, and the values are those of the nearest float16. Biases, norms and tables stay as they are.
///
/// # Errors
/// [`GraphError::Interface`] where no such weight is float32; [`GraphError::Node`] for a weight beyond 65504; and as
/// [`Model::read`]'s checks.
///
/// # Examples
/// ```
/// use dubench_graph::{ElementType, Model, stored};
/// # fn main() -> Result<(), dubench_graph::GraphError> {
/// let forward = Model::read("tests/data/uvit_dynamo_20.onnx".as_ref())?;
/// let small = stored::in_half(&forward)?;
/// assert_eq!(small.weight_type(), ElementType::F32);
/// assert_eq!(small.storage_type(), ElementType::F16);
/// # Ok(())
/// # }
/// ```
pub fn in_half(model: &Model) -> Result<Model, GraphError> {
    checks::supported(model)?;
    let mut model = fold(model.clone())?;
    let weights = heavy_weights(&model);
    let mut taken = names(&model);
    let mut casts = Vec::new();
    for (weight, node) in weights {
        let half = narrowed(&model, &weight, &node)?;
        let mut name = format!("{weight}.half");
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        casts.push(cast(&name, &weight));
        let graph = model.graph_mut();
        if let Some(place) = graph.initializer.iter_mut().find(|t| t.name == weight) {
            *place = TensorProto { name, ..half };
        }
    }
    if casts.is_empty() {
        return Err(model.interface_error(
            "no convolution and no product of matrices has a float32 weight, so there is nothing to store in half precision",
        ));
    }
    let graph = model.graph_mut();
    casts.append(&mut graph.node);
    graph.node = casts;
    Ok(model)
}

/// Float32 weights of convolutions and matrix products in the order of the graph, with a node that reads each.
fn heavy_weights(model: &Model) -> Vec<(String, NodeProto)> {
    let graph = model.graph();
    let is_wide = |t: &&TensorProto| t.data_type == Some(ElementType::F32.to_onnx());
    let wide: HashMap<&str, &TensorProto> =
        graph.initializer.iter().filter(is_wide).map(|t| (t.name.as_str(), t)).collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for node in graph.node.iter().filter(|node| is_heavy(node)) {
        for input in &node.input {
            let is_matrix = wide.get(input.as_str()).is_some_and(|t| t.dims.len() >= 2);
            if is_matrix && seen.insert(input.as_str()) {
                found.push((input.clone(), node.clone()));
            }
        }
    }
    found
}

fn names(model: &Model) -> HashSet<String> {
    let graph = model.graph();
    let of_nodes = graph.node.iter().flat_map(|n| n.input.iter().chain(&n.output));
    let of_ports = graph.input.iter().chain(&graph.output).map(|v| &v.name);
    of_nodes.chain(of_ports).chain(graph.initializer.iter().map(|t| &t.name)).cloned().collect()
}

/// The weight in float16, to the nearest.
fn narrowed(model: &Model, weight: &str, node: &NodeProto) -> Result<TensorProto, GraphError> {
    let tensor = model.initializer(weight)?;
    let values = tensor.as_ref().and_then(Tensor::as_f32).unwrap_or_default();
    let largest = values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    if largest > LARGEST {
        return Err(model.node_error(node, format!(
            "its weight {weight} holds {largest}, more than the 65504 of float16: store the network in float32"
        )));
    }
    let raw: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let shape = tensor.as_ref().map(Tensor::shape).unwrap_or_default();
    Ok(TensorProto {
        dims: shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
        data_type: Some(ElementType::F16.to_onnx()),
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    })
}

fn cast(from: &str, to: &str) -> NodeProto {
    NodeProto {
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        name: format!("{to}.cast"),
        op_type: "Cast".to_owned(),
        attribute: vec![int("to", i64::from(ElementType::F32.to_onnx()))],
        ..NodeProto::default()
    }
}
