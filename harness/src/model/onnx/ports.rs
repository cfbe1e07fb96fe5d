//! What inputs and outputs must look like.

use ort::value::TensorElementType;

use super::session::{OnnxSession, Port};
use crate::model::ModelError;

/// Elements of states, images and predictions: float16 is rounded to and widened where a graph has it.
pub(super) const FLOATS: [TensorElementType; 2] =
    [TensorElementType::Float32, TensorElementType::Float16];

/// An axis as a graph must declare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Symbolic: any number of rows.
    Batch,
    /// Exactly this, or symbolic.
    Of(usize),
    /// Whatever it is; the name it goes by.
    Any(&'static str),
}

/// Finds the input or output `name` among `ports`.
pub(super) fn find<'a>(
    session: &'a OnnxSession,
    kind: &str,
    ports: &'a [Port],
    name: &str,
) -> Result<&'a Port, ModelError> {
    ports.iter().find(|port| port.name == name).ok_or_else(|| {
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        fault(
            session,
            format!("there is no {kind} `{name}`, the {kind}s are: {}", names.join(", ")),
        )
    })
}

/// Refuses a port of another element type.
pub(super) fn element(
    session: &OnnxSession,
    port: &Port,
    accepted: &[TensorElementType],
) -> Result<(), ModelError> {
    if accepted.contains(&port.dtype) {
        return Ok(());
    }
    let words: Vec<String> = accepted.iter().map(ToString::to_string).collect();
    Err(fault(
        session,
        format!(
            "`{}` has element type {}, expected {}: export it so",
            port.name,
            port.dtype,
            words.join(" or ")
        ),
    ))
}

/// Refuses a port whose declared dimensions cannot be `axes`.
pub(super) fn dims(session: &OnnxSession, port: &Port, axes: &[Axis]) -> Result<(), ModelError> {
    if let (Some(Axis::Batch), Some(Some(n))) = (axes.first(), port.dims.first()) {
        return Err(fault(
            session,
            format!(
                "the batch of `{}` is baked in, {n}: re-export with a dynamic first axis",
                port.name
            ),
        ));
    }
    let fits = port.dims.len() == axes.len()
        && port.dims.iter().zip(axes).all(|(dim, axis)| match (dim, axis) {
            (Some(dim), Axis::Of(expected)) => dim == expected,
            _ => true,
        });
    if fits {
        return Ok(());
    }
    let expected: Vec<String> = axes
        .iter()
        .map(|axis| match axis {
            Axis::Batch => "batch".to_owned(),
            Axis::Of(n) => n.to_string(),
            Axis::Any(name) => (*name).to_owned(),
        })
        .collect();
    Err(fault(
        session,
        format!(
            "`{}` has shape {}, expected [{}]",
            port.name,
            show(&port.dims),
            expected.join(", ")
        ),
    ))
}

/// Refuses inputs that nobody will feed.
pub(super) fn no_others(
    session: &OnnxSession,
    (description, fed): (&str, &[&str]),
    remedy: impl Fn(&str) -> String,
) -> Result<(), ModelError> {
    match session.inputs().iter().find(|port| !fed.contains(&port.name.as_str())) {
        None => Ok(()),
        Some(port) => Err(fault(
            session,
            format!(
                "input `{}` is not among those of {description} ({}): {}export without it",
                port.name,
                fed.join(", "),
                remedy(&port.name)
            ),
        )),
    }
}

/// `[batch, 3, 32, 32]`, with `?` for symbolic dimensions.
pub(super) fn show(dims: &[Option<usize>]) -> String {
    let words: Vec<String> =
        dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", words.join(", "))
}

pub(super) fn fault(session: &OnnxSession, message: String) -> ModelError {
    ModelError::Bundle { path: session.graph().to_owned(), message }
}
