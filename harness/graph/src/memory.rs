//! Memory that a run of a graph needs for each image of its batch.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use super::checks::{self, Names};
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::proto::NodeProto;
use super::runner::Runner;
use super::shapes::Shapes;
use super::tensor::ElementType;
use super::types::element_types;

/// Bytes of the values that are alive at once, at worst, for each image: what a micro-batch is
/// chosen by. A gradient graph keeps the values of its forward part, so it needs several times more
/// than the plain graph. `rows` is how many rows of `x` make an image: the draws `M` of a fused
/// variance gradient, 1 elsewhere.
///
/// Why an estimate? The runtime may order nodes otherwise, work in place (then it needs less) and
/// take scratch space for convolutions (then more); weights come on top.
///
/// # Errors
/// As [`super::vjp::vjp`] for the inputs, and [`GraphError::Runtime`].
pub fn bytes_per_image(
    model: &Model,
    names: Names<'_>,
    rows: NonZeroUsize,
    runner: &dyn Runner,
) -> Result<usize, GraphError> {
    checks::supported(model)?;
    let interface = checks::interface(model, names)?;
    let model = fold(model.clone())?;
    let shapes = Shapes::of_images(&model, (&interface.x, rows.get()), runner)?;
    let types = element_types(&model);
    let size = |name: &str| {
        let element = types.get(name).copied().unwrap_or(ElementType::F32);
        shapes.bytes_per_image(name, element)
    };
    Ok(peak(&model, size))
}

/// Largest sum of live sizes over the nodes in order. Views share the memory of what they look at.
fn peak(model: &Model, size: impl Fn(&str) -> usize) -> usize {
    let graph = model.graph();
    let mut owner: HashMap<&str, &str> = HashMap::new();
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        if let (true, Some(input), Some(output)) =
            (is_view(node), node.input_at(0), node.output.first())
        {
            let root = owner.get(input).copied().unwrap_or(input);
            owner.insert(output, root);
        }
        for name in node.input.iter().chain(&node.output) {
            let root = owner.get(name.as_str()).copied().unwrap_or(name);
            last_use.insert(root, index);
        }
    }
    for value in &graph.output {
        let root = owner.get(value.name.as_str()).copied().unwrap_or(&value.name);
        last_use.insert(root, graph.node.len());
    }
    let mut live: usize = graph.input.iter().map(|v| size(&v.name)).sum();
    let mut highest = live;
    for (index, node) in graph.node.iter().enumerate() {
        let owned = |name: &&String| !owner.contains_key(name.as_str());
        live += node.output.iter().filter(owned).map(|name| size(name)).sum::<usize>();
        highest = highest.max(live);
        let mut ended: Vec<&str> = node
            .input
            .iter()
            .chain(&node.output)
            .map(|name| owner.get(name.as_str()).copied().unwrap_or(name))
            .filter(|root| last_use.get(root) == Some(&index))
            .collect();
        ended.sort_unstable();
        ended.dedup();
        let freed: usize = ended.into_iter().map(&size).sum();
        live = live.saturating_sub(freed);
    }
    highest
}

fn is_view(node: &NodeProto) -> bool {
    matches!(node.op_type.as_str(), "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::bytes_per_image;
    use crate::golden::Golden;
    use crate::testing::{GraphUnderTest, runner};
    use crate::vjp::{Options, vjp};
    use crate::{ConvGradient, Model, Names, fused};

    fn bytes(model: &Model) -> usize {
        let names = Names {
            x: Some(&model.inputs()[0].name.clone()),
            output: Some(&model.outputs()[0].name.clone()),
        };
        bytes_per_image(model, names, NonZeroUsize::MIN, &runner()).unwrap()
    }

    #[test]
    fn a_chain_holds_two_values_at_a_time() {
        // 6 floats each: x and a, then a and b, then b and y; views cost nothing.
        let chain = GraphUnderTest::new(&[2, 3])
            .ints("s", &[-1, 6])
            .node("Relu", &["x"], &["a"], vec![])
            .node("Reshape", &["a", "s"], &["b"], vec![])
            .node("Exp", &["b"], &["y"], vec![]);
        assert_eq!(bytes(&chain.model()), 2 * 24);
    }

    #[test]
    fn a_skip_keeps_its_value_alive() {
        let skip = GraphUnderTest::new(&[2, 3])
            .node("Relu", &["x"], &["a"], vec![])
            .node("Exp", &["a"], &["b"], vec![])
            .node("Add", &["b", "x"], &["y"], vec![]);
        assert_eq!(bytes(&skip.model()), 3 * 24);
    }

    #[test]
    fn an_image_of_several_rows_needs_as_much_as_they_do() {
        let plain = Golden::read("ddpm_dynamo_20").model;
        let options =
            fused::Options { names: Names::default(), conv: ConvGradient::default(), n_draws: 3 };
        let derived = fused::variance_gradient(&plain, options, &runner()).unwrap();
        let names = Names { x: Some("sample"), output: Some(fused::VARIANCE) };
        let three = NonZeroUsize::new(3).unwrap();
        let image = bytes_per_image(&derived, names, three, &runner()).unwrap();
        let row = bytes(&vjp(&plain, Options::default(), &runner()).unwrap());
        // The same values of three rows, without a cotangent that comes from outside.
        assert!((2 * row..4 * row).contains(&image), "{image} and {row}");
    }

    #[test]
    fn gradients_need_more_than_predictions() {
        let plain = Golden::read("ddpm_dynamo_20").model;
        let derived = vjp(&plain, Options::default(), &runner()).unwrap();
        let (forward, reverse) = (bytes(&plain), bytes(&derived));
        assert!(reverse > 2 * forward, "{forward} and {reverse}");
    }
}
