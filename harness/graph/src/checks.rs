//! What every pass refuses by name before it does any work.

use super::error::GraphError;
use super::fold::fold;
use super::model::{DeclaredDim, Model, Port};
use super::shapes::Shapes;
use super::tensor::ElementType;

/// Operator sets that the passes know. From 22 to 25, operators with a rule gained element types and nothing else.
pub(crate) const OPSETS: std::ops::RangeInclusive<i64> = 13..=25;

/// The image-like input and the prediction of a denoiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name of the state `x_t`.
    pub x: String,
    /// Name of the prediction.
    pub output: String,
}

/// Names that a caller has chosen; what is `None` is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// Name of the state `x_t`.
    pub x: Option<&'a str>,
    /// Name of the prediction.
    pub output: Option<&'a str>,
}

/// Refuses what no pass can rewrite: other operator sets, control flow, sequences, text.
pub(crate) fn supported(model: &Model) -> Result<(), GraphError> {
    let refuse = |what: String, remedy: &str| {
        let (model, remedy) = (model.label().to_owned(), remedy.to_owned());
        Err(GraphError::Unsupported { model, what, remedy })
    };
    let opset = model.opset();
    if !OPSETS.contains(&opset) {
        let (first, last) = OPSETS.into_inner();
        return refuse(
            format!("it uses operator set {opset}, expected {first} to {last}"),
            "export with opset 17 to 25",
        );
    }
    for node in &model.graph().node {
        let has_graph = node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
        if has_graph || matches!(node.op_type.as_str(), "If" | "Loop" | "Scan") {
            return Err(model.node_error(node, "control flow is not supported: export a graph without branches and loops (trace it, or fix the condition)"));
        }
        let is_sequence = node.op_type.contains("Sequence") || node.op_type.starts_with("Optional");
        if is_sequence {
            return Err(model.node_error(
                node,
                "sequences and optional values are not supported: export plain tensors",
            ));
        }
        if node.op_type.starts_with("String") || node.op_type == "TfIdfVectorizer" {
            return Err(
                model.node_error(node, "text is not supported: keep tokenisers outside the graph")
            );
        }
        if node.output.iter().all(String::is_empty) {
            return Err(
                model.node_error(node, "it makes no value: the model is damaged, export it again")
            );
        }
    }
    text_free(model)
}

fn text_free(model: &Model) -> Result<(), GraphError> {
    let graph = model.graph();
    let text = graph
        .initializer
        .iter()
        .find(|t| ElementType::from_onnx(t.data_type.unwrap_or(0)) == ElementType::String);
    if let Some(tensor) = text {
        return Err(model.interface_error(format!(
            "weight {} holds text: export numeric tensors only",
            tensor.name
        )));
    }
    for info in graph.input.iter().chain(&graph.output) {
        let kind = info.r#type.as_ref();
        if kind.is_none_or(|t| t.tensor_type.is_none()) {
            return Err(model.interface_error(format!(
                "{} is no tensor (a sequence, map, optional or undeclared value): export plain tensors",
                info.name
            )));
        }
    }
    let ports = model.inputs().into_iter().chain(model.outputs());
    match ports.into_iter().find(|p| p.element == ElementType::String) {
        Some(port) => {
            Err(model
                .interface_error(format!("{} holds text: export numeric tensors only", port.name)))
        }
        None => Ok(()),
    }
}

/// Refuses a graph that declares the batch of input `x` open and works for one batch size alone: the size stands in
/// a reshape, or in the shape of a constant. Only what shape inference sees is refused; nothing is run.
///
/// # Errors
/// [`GraphError::Node`] with the size and the node where it stands; [`GraphError::Interface`] where inputs leave more
/// open than the batch.
pub fn open_batch(model: &Model, x: &str) -> Result<(), GraphError> {
    supported(model)?;
    Shapes::refuse_baked_in(&fold(model.clone())?, x)
}

/// Finds the state and the prediction, by name or because there is one of each.
///
/// # Errors
/// [`GraphError::Interface`] where there is none, more than one, or where the batch is fixed.
pub fn interface(model: &Model, names: Names<'_>) -> Result<Interface, GraphError> {
    match found(model, names)? {
        (interface, None) => Ok(interface),
        (Interface { x, .. }, Some(n)) => Err(model.interface_error(format!(
            "the batch of input {x} is fixed to {n}: export with a dynamic first axis (dynamic_shapes or dynamic_axes)"
        ))),
    }
}

/// As [`interface`], of a graph whose batch may be fixed.
///
/// # Errors
/// [`GraphError::Interface`] where there is none, or more than one.
pub(crate) fn interface_of_any_batch(
    model: &Model,
    names: Names<'_>,
) -> Result<Interface, GraphError> {
    found(model, names).map(|(interface, _)| interface)
}

/// State and prediction, and the rows of a call, where they are fixed.
fn found(model: &Model, names: Names<'_>) -> Result<(Interface, Option<usize>), GraphError> {
    let inputs = model.inputs();
    let image_like =
        |p: &&Port| p.element.is_float() && p.dims.as_ref().is_some_and(|d| d.len() >= 3);
    let wanted = ("input", "float input of three or more axes");
    let x = pick(model, names.x, &inputs, wanted, image_like)?;
    let outputs = model.outputs();
    let output =
        pick(model, names.output, &outputs, ("output", "float output"), |p| p.element.is_float())?;
    float32(model, x)?;
    let fixed = match x.dims.as_ref().and_then(|d| d.first()) {
        Some(DeclaredDim::Named(_)) => None,
        Some(DeclaredDim::Fixed(n)) => Some(*n),
        None => {
            return Err(model.interface_error(format!(
                "input {} declares no batch axis: export with shapes",
                x.name
            )));
        }
    };
    Ok((Interface { x: x.name.clone(), output: output.name.clone() }, fixed))
}

fn pick<'a>(
    model: &Model,
    wanted: Option<&str>,
    ports: &'a [Port],
    (kind, description): (&str, &str),
    candidate: impl Fn(&&Port) -> bool,
) -> Result<&'a Port, GraphError> {
    let list =
        |ports: &[&Port]| ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    let all: Vec<&Port> = ports.iter().collect();
    if let Some(name) = wanted {
        return ports.iter().find(|p| p.name == name).ok_or_else(|| {
            model.interface_error(format!(
                "there is no {kind} called {name}, the {kind}s are: {}",
                list(&all)
            ))
        });
    }
    let found: Vec<&Port> = ports.iter().filter(candidate).collect();
    match found[..] {
        [port] => Ok(port),
        [] => Err(model.interface_error(format!(
            "no {kind} is a {description}, the {kind}s are: {}",
            list(&all)
        ))),
        _ => Err(model.interface_error(format!(
            "several {kind}s may be meant ({}): name one{}",
            list(&found),
            if kind == "input" {
                " (`--x NAME` on the command line). Weights that are inputs are no candidates once they have a default value: export with keep_initializers_as_inputs=False"
            } else {
                " (`--output NAME` on the command line)"
            }
        ))),
    }
}

fn float32(model: &Model, x: &Port) -> Result<(), GraphError> {
    if x.element == ElementType::F32 {
        return Ok(());
    }
    let remedy = if x.element.is_float() {
        "export a float32 model (convert half precision weights first)"
    } else {
        "it is no state, name the float input that is one"
    };
    Err(model.interface_error(format!(
        "input {} has element type {:?}, expected float32: {remedy}",
        x.name, x.element
    )))
}

#[cfg(test)]
mod tests {
    use super::{Names, interface, supported};
    use crate::dim::Dim;
    use crate::model::Model;
    use crate::tensor::{ElementType, TensorData};
    use crate::testing::GraphUnderTest;

    const IMAGE: [Dim; 3] = [Dim::Batch(1), Dim::Fixed(3), Dim::Fixed(2)];

    fn relu() -> GraphUnderTest {
        GraphUnderTest::new(&[3, 2]).node("Relu", &["x"], &["y"], vec![])
    }

    fn refusal(model: &Model) -> String {
        supported(model).unwrap_err().to_string()
    }

    #[test]
    fn the_only_image_and_the_only_output_are_found() {
        let found = interface(&relu().model(), Names::default()).unwrap();
        assert_eq!((found.x.as_str(), found.output.as_str()), ("x", "y"));
    }

    #[test]
    fn two_candidates_ask_for_a_name() {
        let model = relu().input("cond", ElementType::F32, &IMAGE).model();
        let text = interface(&model, Names::default()).unwrap_err().to_string();
        assert!(text.contains("several inputs may be meant (x, cond): name one"), "{text}");
        let mut model = model;
        let mut second = model.graph().output[0].clone();
        second.name = "x".to_owned();
        model.graph_mut().output.push(second);
        let names = Names { x: Some("x"), output: None };
        let text = interface(&model, names).unwrap_err().to_string();
        assert!(text.contains("several outputs may be meant (y, x): name one"), "{text}");
        let names = Names { x: Some("cond"), output: Some("y") };
        assert_eq!(interface(&model, names).unwrap().x, "cond");
        let names = Names { x: Some("z"), output: Some("y") };
        let text = interface(&model, names).unwrap_err().to_string();
        assert!(text.contains("no input called z, the inputs are: x, cond"), "{text}");
    }

    #[test]
    fn a_fixed_batch_is_refused() {
        let model = relu()
            .input("fixed", ElementType::F32, &[Dim::Fixed(4), Dim::Fixed(3), Dim::Fixed(2)])
            .model();
        let names = Names { x: Some("fixed"), output: None };
        let text = interface(&model, names).unwrap_err().to_string();
        assert!(text.contains("batch of input fixed is fixed to 4"), "{text}");
    }

    #[test]
    fn half_precision_inputs_are_refused() {
        let model = relu().input("half", ElementType::F16, &IMAGE).model();
        let names = Names { x: Some("half"), output: None };
        let text = interface(&model, names).unwrap_err().to_string();
        assert!(text.contains("expected float32"), "{text}");
    }

    #[test]
    fn control_flow_sequences_and_text_are_refused_by_node() {
        let with = |op: &str| GraphUnderTest::new(&[3, 2]).node(op, &["x"], &["y"], vec![]).model();
        assert!(refusal(&with("If")).contains("node If_0 (If): control flow"));
        assert!(
            refusal(&with("SequenceEmpty"))
                .contains("node SequenceEmpty_0 (SequenceEmpty): sequences")
        );
        assert!(refusal(&with("StringNormalizer")).contains("text is not supported"));
        assert!(
            refusal(&relu().input("words", ElementType::String, &[Dim::Batch(1)]).model())
                .contains("words holds text")
        );
    }

    #[test]
    fn other_operator_sets_are_refused() {
        assert!(refusal(&relu().opset(11).model()).contains("operator set 11, expected 13 to 25"));
        assert!(refusal(&relu().opset(26).model()).contains("operator set 26"));
    }

    #[test]
    fn weights_listed_as_inputs_are_weights() {
        let model = GraphUnderTest::new(&[3, 2])
            .input("w", ElementType::F32, &[Dim::Fixed(1), Dim::Fixed(3), Dim::Fixed(2)])
            .weight("w", &[1, 3, 2], TensorData::F32(vec![1.0; 6]))
            .node("Mul", &["x", "w"], &["y"], vec![])
            .model();
        assert_eq!(interface(&model, Names::default()).unwrap().x, "x");
        let folded = crate::fold::fold(model).unwrap();
        assert_eq!(folded.graph().input.len(), 1);
    }
}
