//! What a network is and can do, in a bundle as in a pipeline.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::{Gradients, NoiseCheck};
use crate::model::Denoiser;
use crate::model::onnx::session::Port;
use crate::model::onnx::{OnnxDenoiser, PerGraph, SelfTestReport};
use crate::schedule::ScheduleConfig;

/// A network in short.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NetworkSummary {
    /// Name in tables.
    pub name: String,
    /// `[c, h, w]` of the state.
    pub shape: [usize; 3],
    /// What the network predicts.
    pub prediction: &'static str,
    /// Noise schedule of training.
    pub schedule: ScheduleConfig,
    /// Inputs of the forward graph.
    pub inputs: Vec<PortSummary>,
    /// Outputs of the forward graph.
    pub outputs: Vec<PortSummary>,
    /// Bytes that one more image adds to a call, as far as they can be told.
    pub memory: MemoryPerImage,
    /// Rows of every call, where the graph declares them: more images are served in pieces of it.
    pub fixed_batch: Option<usize>,
    /// Whether gradients are applicable; null where nobody asked.
    pub gradients: Option<bool>,
    /// Why gradients are not applicable; null where they are, and where nobody asked.
    pub gradient_reason: Option<String>,
    /// What the self-test measured.
    pub self_test: SelfTestReport,
    /// Variance of the noise that the network predicts, at two levels.
    pub noise: Vec<NoiseCheck>,
    /// What does not look right, and what may be.
    pub warnings: Vec<String>,
    /// File name to SHA-256.
    pub files: BTreeMap<String, String>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PortSummary {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Dimensions; null for a symbolic one.
    pub dims: Vec<Option<usize>>,
}

/// Bytes of working values for each image of a call; null where they cannot be told, or nobody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryPerImage {
    /// Predictions.
    pub forward: Option<NonZeroUsize>,
    /// Vector-Jacobian products.
    pub vjp: Option<NonZeroUsize>,
}

/// What the files say of a network.
pub(in crate::model) struct Said {
    pub(in crate::model) name: String,
    pub(in crate::model) prediction: &'static str,
    pub(in crate::model) schedule: ScheduleConfig,
    pub(in crate::model) files: BTreeMap<String, String>,
}

/// What was found by running it.
pub(in crate::model) struct Measured {
    pub(in crate::model) self_test: SelfTestReport,
    pub(in crate::model) noise: Vec<NoiseCheck>,
    pub(in crate::model) memory: PerGraph,
}

impl NetworkSummary {
    /// Of an opened network. `gradients` says whether anybody asked for some.
    pub(in crate::model) fn of(
        denoiser: &OnnxDenoiser,
        said: Said,
        measured: Measured,
        gradients: &Gradients,
    ) -> Self {
        let Said { name, prediction, schedule, files } = said;
        let Measured { self_test, noise, memory } = measured;
        let asked = *gradients != Gradients::None;
        Self {
            name,
            shape: denoiser.spec().shape,
            prediction,
            schedule,
            inputs: denoiser.session().inputs().iter().map(PortSummary::of).collect(),
            outputs: denoiser.session().outputs().iter().map(PortSummary::of).collect(),
            memory: MemoryPerImage { forward: memory.forward, vjp: memory.vjp },
            fixed_batch: denoiser.fixed_batch(),
            gradients: asked.then(|| denoiser.gradient_unavailable().is_none()),
            gradient_reason: denoiser.gradient_unavailable().filter(|_| asked),
            self_test,
            warnings: noise.iter().filter_map(NoiseCheck::warning).collect(),
            noise,
            files,
        }
    }
}

impl PortSummary {
    /// Of a port of a session.
    fn of(port: &Port) -> Self {
        Self { name: port.name.clone(), dtype: port.dtype.to_string(), dims: port.dims.clone() }
    }
}
