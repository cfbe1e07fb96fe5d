//! Graphs whose state and prediction are float16, with float32 at both ends.

use super::edit::{Editor, int};
use super::error::GraphError;
use super::model::Model;
use super::proto::{NodeProto, ValueInfoProto};
use super::tensor::ElementType;

/// The model with its input `x` and its output `output` in float32, cast where the graph takes and gives float16, as exports in
/// half precision do. Nothing else changes, and a graph with float32 there is given back as it is.
///
/// Gradients are made of graphs with such ends: the prediction keeps its bits, and products do not underflow.
///
/// # Errors
/// [`GraphError::Interface`] where there is no such input or output.
pub fn in_single(model: Model, x: &str, output: &str) -> Result<Model, GraphError> {
    let element = |ports: &[super::Port], name: &str| {
        ports.iter().find(|port| port.name == name).map(|port| port.element)
    };
    let known = (element(&model.inputs(), x), element(&model.outputs(), output));
    let (Some(of_x), Some(of_output)) = known else {
        return Err(model.interface_error(format!("there is no input {x} or no output {output}")));
    };
    let wide = |element| element != ElementType::F16;
    if wide(of_x) && wide(of_output) {
        return Ok(model);
    }
    let mut editor = Editor::new(model, "end");
    let mut nodes: Vec<NodeProto> = editor.model().graph().node.clone();
    if !wide(of_x) {
        let narrow = editor.node("Cast", &[x], to(ElementType::F16));
        rename(nodes.iter_mut().flat_map(|node| &mut node.input), x, &narrow);
        nodes.splice(0..0, editor.take_nodes());
    }
    if !wide(of_output) {
        let narrow = editor.fresh();
        let values =
            nodes.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        rename(values, output, &narrow);
        editor.node_to("Cast", &[&narrow], to(ElementType::F32), output);
        nodes.extend(editor.take_nodes());
    }
    editor.set_nodes(nodes);
    let mut model = editor.finish();
    let graph = model.graph_mut();
    graph.input.iter_mut().filter(|info| info.name == x).for_each(widen);
    graph.output.iter_mut().filter(|info| info.name == output).for_each(widen);
    graph.value_info.retain(|info| info.name != x && info.name != output);
    Ok(model)
}

fn to(element: ElementType) -> Vec<super::proto::AttributeProto> {
    vec![int("to", i64::from(element.to_onnx()))]
}

fn rename<'a>(values: impl Iterator<Item = &'a mut String>, from: &str, to: &str) {
    values.filter(|value| *value == from).for_each(|value| to.clone_into(value));
}

/// Declares a value as float32.
fn widen(info: &mut ValueInfoProto) {
    if let Some(tensor) = info.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()) {
        tensor.elem_type = Some(ElementType::F32.to_onnx());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GraphUnderTest, random_tensor, run, runner, values};
    use crate::vjp::{Options, vjp};

    /// `y = x x`, whose output is read inside too.
    fn square() -> Model {
        let graph = GraphUnderTest::new(&[3, 2]).node("Mul", &["x", "x"], &["y"], vec![]).node(
            "Relu",
            &["y"],
            &["unused"],
            vec![],
        );
        let mut model = graph.model();
        let narrow = |info: &mut ValueInfoProto| {
            let tensor = info.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
            tensor.elem_type = Some(ElementType::F16.to_onnx());
        };
        model.graph_mut().input.iter_mut().for_each(narrow);
        model.graph_mut().output.iter_mut().for_each(narrow);
        model
    }

    #[test]
    fn a_network_of_half_ends_is_fed_and_differentiated_in_single() {
        assert!(vjp(&square(), Options::default(), &runner()).is_err());
        let model = in_single(square(), "x", "y").unwrap();
        assert_eq!(
            (model.inputs()[0].element, model.outputs()[0].element),
            (ElementType::F32, ElementType::F32)
        );
        let (x, v) = (random_tensor(&[2, 3, 2], 1), random_tensor(&[2, 3, 2], 2));
        let derived = vjp(&model, Options::default(), &runner()).unwrap();
        let feeds = vec![("x".to_owned(), x.clone()), ("cotangent".to_owned(), v.clone())];
        let answers = run(&derived, feeds, &["y", "jtv"]);
        for (((&y, &jtv), &x), &v) in
            values(&answers[0]).iter().zip(values(&answers[1])).zip(values(&x)).zip(values(&v))
        {
            // Eleven bits of x, and of its square.
            assert!((y - x * x).abs() <= 1.5e-3 * x * x + 1e-7, "{y} at {x}");
            assert!((jtv - 2.0 * x * v).abs() <= 1e-3 * (x * v).abs() + 1e-7, "{jtv} at {x}");
        }
    }

    #[test]
    fn a_graph_of_single_ends_is_given_back_and_ends_that_are_not_there_are_refused() {
        let model = GraphUnderTest::new(&[2]).node("Relu", &["x"], &["y"], vec![]).model();
        let bytes = model.to_bytes().unwrap();
        assert_eq!(in_single(model.clone(), "x", "y").unwrap().to_bytes().unwrap(), bytes);
        let error = in_single(model, "x", "noise").unwrap_err().to_string();
        assert!(error.contains("no output noise"), "{error}");
    }
}
