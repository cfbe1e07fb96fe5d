//! What a denoiser graph takes and gives, as its bundle promises and as the graph itself says.

use ort::value::TensorElementType;

use super::ports::{self, Axis};
use super::session::OnnxSession;
use crate::config::Prediction;
use crate::config::model_yaml::TimeYaml;
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
    /// Output.
    pub output: String,
    /// What the output is.
    pub prediction: Prediction,
    /// Noise schedule of training.
    pub schedule: NoiseSchedule,
    /// What the network is told of the time.
    pub time: TimeYaml,
}

/// What the graph chose for its two small inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SmallInputs {
    pub(super) t: TimeInput,
    pub(super) y: Option<TensorElementType>,
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

/// Holds the graph against what is promised of it: names, element types, dimensions.
///
/// # Errors
/// [`ModelError::Bundle`] for the first that differs.
pub(super) fn check(
    session: &OnnxSession,
    parts: &DenoiserParts,
) -> Result<SmallInputs, ModelError> {
    use TensorElementType::{Float16, Float32, Float64, Int32, Int64};
    let [c, h, w] = parts.spec.shape;
    let inputs = session.inputs();
    let x = ports::find(session, "input", inputs, &parts.x)?;
    ports::element(session, x, &[Float32])?;
    ports::dims(session, x, &[Axis::Batch, Axis::Of(c), Axis::Of(h), Axis::Of(w)])?;
    let t = ports::find(session, "input", inputs, &parts.t)?;
    ports::element(session, t, &[Int64, Int32, Float16, Float32, Float64])?;
    let form = match t.dims.as_slice() {
        [] => TimeForm::Scalar,
        [Some(1)] => TimeForm::Single,
        _ => {
            ports::dims(session, t, &[Axis::Batch])?;
            TimeForm::Rows
        }
    };
    let y = parts.y.as_ref().map(|y| ports::find(session, "input", inputs, y)).transpose()?;
    if let Some(y) = y {
        ports::element(session, y, &[Int64, Int32])?;
        ports::dims(session, y, &[Axis::Batch])?;
    }
    let output = ports::find(session, "output", session.outputs(), &parts.output)?;
    ports::element(session, output, &[Float32])?;
    let channels = match output.dims.get(1) {
        Some(Some(channels)) if *channels == 2 * c => 2 * c,
        _ => c,
    };
    ports::dims(session, output, &[Axis::Batch, Axis::Of(channels), Axis::Of(h), Axis::Of(w)])?;
    Ok(SmallInputs { t: TimeInput { dtype: t.dtype, form }, y: y.map(|y| y.dtype) })
}
