//! The end of a network as a graph of its own: from the input of the last layer to the prediction, the weights an input.

use std::collections::HashSet;

use super::checks;
use super::edit::Editor;
use super::error::GraphError;
use super::fold::fold;
use super::last_layer::FEATURES;
use super::model::Model;
use super::tail::Tail;
use super::tensor::{ElementType, Tensor};

/// Name of the input of the weights.
pub const WEIGHT: &str = "layer_weight";
/// Name of the input of the bias, where the layer has one.
pub const BIAS: &str = "layer_bias";

/// Weights of a last layer as the network has them.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// Weights.
    pub weight: Tensor,
    /// Bias, where there is one.
    pub bias: Option<Tensor>,
}

/// Cuts the graph at the input of the last layer behind `output` (the only float output where `None`).
///
/// The result takes [`FEATURES`], [`WEIGHT`], [`BIAS`] where the layer has a bias, and those inputs of the network that the
/// steps behind the layer read; it gives the prediction alone. What BayesDiff evaluates once a weight draw.
///
/// # Errors
/// As [`super::last_layer::last_layer`].
pub fn head(model: &Model, output: Option<&str>) -> Result<(Model, LayerWeights), GraphError> {
    checks::supported(model)?;
    let model = fold(model.clone())?;
    let tail = Tail::find(&model, output)?;
    let weights = weights(&model, &tail)?;
    let mut nodes = model.graph().node.clone();
    for node in &mut nodes {
        if node.output == tail.node.output {
            FEATURES.clone_into(&mut node.input[0]);
            WEIGHT.clone_into(&mut node.input[1]);
        }
        // The bias of a MatMul is added by the node behind it.
        let of_layer = node.output == tail.node.output || node.input.contains(&tail.node.output[0]);
        for input in node.input.iter_mut().filter(|_| of_layer) {
            if tail.layer.bias.as_deref() == Some(input.as_str()) {
                BIAS.clone_into(input);
            }
        }
    }
    let mut needed = HashSet::from([tail.output.clone()]);
    let mut kept: Vec<_> = Vec::new();
    for node in nodes.into_iter().rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(node.input.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    let mut editor = Editor::new(model, "head");
    for name in [FEATURES, WEIGHT, BIAS] {
        editor.claim(name)?;
    }
    editor.set_nodes(kept);
    editor.cut_ports(&needed, &tail.output);
    editor.declare_input(FEATURES);
    editor.add_input(WEIGHT, ElementType::F32, &fixed(&weights.weight));
    if let Some(bias) = &weights.bias {
        editor.add_input(BIAS, ElementType::F32, &fixed(bias));
    }
    Ok((editor.finish(), weights))
}

fn fixed(tensor: &Tensor) -> Vec<super::dim::Dim> {
    tensor.shape().iter().map(|side| super::dim::Dim::Fixed(*side)).collect()
}

/// The weights, which must be float32.
fn weights(model: &Model, tail: &Tail) -> Result<LayerWeights, GraphError> {
    let read = |name: &str| match model.initializer(name)? {
        Some(tensor) if tensor.as_f32().is_some() => Ok(tensor),
        _ => Err(model.node_error(
            &tail.node,
            format!("its weights {name} are not float32: export the last layer in float32"),
        )),
    };
    let bias = tail.layer.bias.as_deref().map(read).transpose()?;
    Ok(LayerWeights { weight: read(&tail.layer.weight)?, bias })
}

#[cfg(test)]
mod tests {
    use super::head;
    use crate::edit::{int, ints};
    use crate::golden::Golden;
    use crate::last_layer::with_features;
    use crate::testing::{GraphUnderTest, random_tensor, relative_error, run, values};
    use crate::{Model, Tensor};

    /// Features through the head with the network's own weights are the prediction.
    fn check(model: &Model, feeds: &[(&str, Tensor)], output: &str) {
        let named = |names: &[&str]| {
            let pick = feeds.iter().filter(|(name, _)| names.contains(name));
            pick.map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect::<Vec<_>>()
        };
        let all: Vec<&str> = feeds.iter().map(|(name, _)| *name).collect();
        let tapped = with_features(model, None).unwrap();
        let out = run(&tapped, named(&all), &["features", output]);
        let (head, weights) = head(model, None).unwrap_or_else(|error| panic!("{error}"));
        let inputs: Vec<String> = head.inputs().into_iter().map(|port| port.name).collect();
        let left: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut fed = named(&left);
        fed.push(("features".to_owned(), out[0].clone()));
        fed.push(("layer_weight".to_owned(), weights.weight));
        fed.extend(weights.bias.map(|bias| ("layer_bias".to_owned(), bias)));
        assert_eq!(fed.len(), inputs.len(), "{inputs:?}");
        let again = run(&head, fed, &[output]).remove(0);
        assert!(relative_error(values(&again), values(&out[1])) < 1e-6);
    }

    #[test]
    fn the_head_with_the_weights_of_the_network_gives_its_prediction() {
        for name in ["ddpm_traced_17", "adm_dynamo_18", "uvit_dynamo_20"] {
            let golden = Golden::read(name);
            let feeds = golden.feeds(&["sample", "timestep"]);
            let feeds: Vec<(&str, Tensor)> =
                feeds.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
            check(&golden.model, &feeds, "eps");
        }
    }

    #[test]
    fn what_the_steps_behind_the_layer_read_comes_along() {
        // y = (Relu(x) W + b) t + x, patches laid out.
        let g = GraphUnderTest::new(&[4, 2, 2]).random("w", &[4, 4, 1, 1]).random("bb", &[4]);
        let g = g.node("Relu", &["x"], &["f"], vec![]).node("Sigmoid", &["x"], &["t"], vec![]);
        let g = g.node("Conv", &["f", "w", "bb"], &["c"], vec![]);
        let g = g.node("Mul", &["c", "t"], &["s"], vec![]).node("Add", &["x", "s"], &["a"], vec![]);
        let g = g.node("DepthToSpace", &["a"], &["y"], vec![int("blocksize", 2)]);
        check(&g.model(), &[("x", random_tensor(&[3, 4, 2, 2], 5))], "y");
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[4, 2]).random("b", &[2]);
        let g = g.node("Tanh", &["x"], &["f"], vec![]).node("MatMul", &["f", "w"], &["p"], vec![]);
        let g = g.node("Add", &["b", "p"], &["a"], vec![]);
        let g = g.node("Transpose", &["a"], &["y"], vec![ints("perm", &[0, 2, 1])]);
        check(&g.model(), &[("x", random_tensor(&[2, 3, 4], 6))], "y");
    }
}
