//! What a denoiser graph takes and gives, as its bundle promises and as the graph itself says.

use ort::value::TensorElementType;

use super::conditions::{ClassInput, ConditionTensor, NullClass};
use super::ports::{self, Axis};
use super::session::{OnnxSession, Port};
use crate::config::Prediction;
use crate::config::model_yaml::{Layout, TimeYaml};
use crate::model::{DenoiserSpec, ModelError};
use crate::schedule::NoiseSchedule;

/// What `model.yaml` says of a denoiser graph.
#[derive(Clone, Debug, PartialEq)]
pub struct DenoiserParts {
    /// What callers see.
    pub spec: DenoiserSpec,
    /// Input of the state.
    pub x: String,
    /// Input of the time.
    pub t: String,
    /// Input of the class.
    pub y: Option<String>,
    /// The class that stands for none in classifier-free guidance.
    pub null_class: Option<NullClass>,
    /// Further inputs and their values.
    pub conditions: Vec<ConditionTensor>,
    /// Order of the axes of states and predictions.
    pub layout: Layout,
    /// Output.
    pub output: String,
    /// What the output is.
    pub prediction: Prediction,
    /// Noise schedule of training.
    pub schedule: NoiseSchedule,
    /// What the network is told of the time.
    pub time: TimeYaml,
}

/// What the graph chose for its small inputs and for its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SmallInputs {
    pub(super) t: TimeInput,
    pub(super) y: Option<ClassInput>,
    /// One a condition.
    pub(super) conditions: Vec<TensorElementType>,
    /// Rows of every call, where they are baked into the graph.
    pub(super) batch: Option<usize>,
}

/// How the graph takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeInput {
    pub(super) dtype: TensorElementType,
    pub(super) form: TimeForm,
}

/// Shape of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// `[]`: rows of a call share it.
    Scalar,
    /// `[1]`: rows of a call share it.
    Single,
    /// `[b]`.
    Rows,
}

impl SmallInputs {
    /// Rows of a call of which `size` were wanted.
    pub(super) fn size(&self, size: usize) -> usize {
        self.batch.unwrap_or(size)
    }
}

/// Holds the graph against what is promised of it: names, element types, dimensions.
///
/// # Errors
/// [`ModelError::Bundle`] for the first that differs.
pub(super) fn check(
    session: &OnnxSession,
    parts: &DenoiserParts,
) -> Result<SmallInputs, ModelError> {
    use TensorElementType::{Float16, Float32, Float64, Int32, Int64};
    let c = parts.spec.shape[0];
    let inputs = session.inputs();
    let x = ports::find(session, "input", inputs, &parts.x)?;
    ports::element(session, x, &ports::FLOATS)?;
    let batch = x.dims.first().copied().flatten();
    let rows = batch.map_or(Axis::Batch, Axis::Of);
    ports::dims(session, x, &state_axes(rows, c, parts))?;
    let t = ports::find(session, "input", inputs, &parts.t)?;
    ports::element(session, t, &[Int64, Int32, Float16, Float32, Float64])?;
    let form = match t.dims.as_slice() {
        [] => TimeForm::Scalar,
        [Some(1)] => TimeForm::Single,
        _ => {
            ports::dims(session, t, &[rows])?;
            TimeForm::Rows
        }
    };
    let y = parts.y.as_ref().map(|y| class_input(session, (y, rows), parts)).transpose()?;
    let conditions = parts
        .conditions
        .iter()
        .map(|tensor| condition_input(session, tensor, rows))
        .collect::<Result<_, _>>()?;
    let output = ports::find(session, "output", session.outputs(), &parts.output)?;
    ports::element(session, output, &ports::FLOATS)?;
    let channels = match output.dims.get(if parts.layout == Layout::Nhwc { 3 } else { 1 }) {
        Some(Some(channels)) if *channels == 2 * c => 2 * c,
        _ => c,
    };
    ports::dims(session, output, &state_axes(rows, channels, parts))?;
    Ok(SmallInputs { t: TimeInput { dtype: t.dtype, form }, y, conditions, batch })
}

/// Axes of a state of `c` channels in the order of the graph.
fn state_axes(rows: Axis, c: usize, parts: &DenoiserParts) -> [Axis; 4] {
    let [_, h, w] = parts.spec.shape;
    match parts.layout {
        Layout::Nchw => [rows, Axis::Of(c), Axis::Of(h), Axis::Of(w)],
        Layout::Nhwc => [rows, Axis::Of(h), Axis::Of(w), Axis::Of(c)],
    }
}

/// The class: whole numbers `[b]`, or one-hot `[b, k]`, `k` that of the graph or the number of classes.
fn class_input(
    session: &OnnxSession,
    (name, rows): (&str, Axis),
    parts: &DenoiserParts,
) -> Result<ClassInput, ModelError> {
    use TensorElementType::{Float16, Float32, Int32, Int64};
    let port = ports::find(session, "input", session.inputs(), name)?;
    ports::element(session, port, &[Int64, Int32, Float32, Float16])?;
    if matches!(port.dtype, Int64 | Int32) {
        ports::dims(session, port, &[rows])?;
        if parts.null_class == Some(NullClass::Zeros) {
            let message = format!(
                "`{name}` takes class numbers, of which none stands for nothing by itself: write cfg.null as {{label: CLASS}}"
            );
            return Err(ports::fault(session, message));
        }
        return Ok(ClassInput { dtype: port.dtype, one_hot: None });
    }
    let n_classes = parts.spec.n_classes.map_or(0, |n| n as usize);
    let width = port.dims.get(1).copied().flatten().unwrap_or(n_classes);
    ports::dims(session, port, &[rows, Axis::Of(width)])?;
    let most = match parts.null_class {
        Some(NullClass::Label(label)) => n_classes.max(label as usize + 1),
        _ => n_classes,
    };
    if width < most {
        let message = format!("`{name}` has room for {width} classes, model.yaml speaks of {most}");
        return Err(ports::fault(session, message));
    }
    Ok(ClassInput { dtype: port.dtype, one_hot: Some(width) })
}

/// Whether values of this shape feed the input, `own` being the shape of its file; the first axis is that of rows.
fn fits(shape: &[usize], own: &[usize], port: &Port) -> bool {
    let declared = || port.dims[1..].iter().zip(&shape[1..]);
    shape.len() == port.dims.len()
        && shape[1..] == own[1..]
        && declared().all(|(dim, n)| dim.is_none_or(|dim| dim == *n))
}

/// Element type of a condition whose values fit the graph.
fn condition_input(
    session: &OnnxSession,
    tensor: &ConditionTensor,
    rows: Axis,
) -> Result<TensorElementType, ModelError> {
    use TensorElementType::{Float16, Float32, Float64, Int32, Int64};
    let port = ports::find(session, "input", session.inputs(), &tensor.input)?;
    ports::element(session, port, &[Float32, Float16, Float64, Int64, Int32])?;
    let wrong =
        |message: String| ports::fault(session, format!("conditions.{}: {message}", tensor.input));
    let whole = matches!(port.dtype, Int64 | Int32);
    let own = tensor.values.shape();
    let of_null = tensor.null.as_ref();
    let parts = [
        ("file", Some(own.clone()), tensor.values.held()),
        ("null", of_null.map(|null| null.shape().to_vec()), of_null),
    ];
    for (what, shape, values) in parts {
        let Some(shape) = shape else { continue };
        if shape.is_empty() || shape[0] == 0 || (what == "null" && shape[0] != 1) {
            return Err(wrong(format!("{what} has shape {shape:?}, expected [1, ..]")));
        }
        if !fits(&shape, &own, port) {
            let (expected, n) = (ports::show(&port.dims), if what == "null" { "1" } else { "n" });
            return Err(wrong(format!(
                "{what} has shape {shape:?}, the input takes {expected}: save it as [{n}, ..] of that"
            )));
        }
        let odd = |value: &&f32| {
            !value.is_finite() || (whole && (value.fract() != 0.0 || value.abs() >= 16_777_216.0))
        };
        if let Some(value) = values.and_then(|values| values.iter().find(odd)) {
            let expected = if whole { "whole numbers below 2^24" } else { "finite numbers" };
            return Err(wrong(format!("{what} holds {value}, expected {expected}")));
        }
    }
    let axes: Vec<Axis> =
        std::iter::once(rows).chain(own[1..].iter().copied().map(Axis::Of)).collect();
    ports::dims(session, port, &axes)?;
    Ok(port.dtype)
}
