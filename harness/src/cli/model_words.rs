//! What bundles and pipelines have in common, in words.

use std::num::NonZeroUsize;

use crate::model::bundle::{MemoryPerImage, NetworkSummary, NoiseCheck, PortSummary};
use crate::model::onnx::SelfTestReport;

/// A network in words: what bundles and pipelines have in common.
pub(super) struct NetworkWords {
    pub(super) inputs: String,
    pub(super) outputs: String,
    pub(super) memory: String,
    pub(super) gradients: String,
    pub(super) self_test: String,
    pub(super) noise: String,
    /// Lines behind all others.
    pub(super) warnings: String,
}

impl NetworkWords {
    pub(super) fn of(network: &NetworkSummary) -> Self {
        let (memory, gradients) = memory(&network.memory, network.gradient_reason.as_deref());
        let (noise, warnings) = noise(&network.noise, &network.warnings);
        Self {
            inputs: ports(&network.inputs),
            outputs: ports(&network.outputs),
            memory,
            gradients,
            self_test: invariance(&network.self_test),
            noise,
            warnings,
        }
    }
}

/// What an image of a call takes, and what a gradient does.
fn memory(memory: &MemoryPerImage, reason: Option<&str>) -> (String, String) {
    let kilobytes = |bytes: NonZeroUsize| format!("{} KB an image of a call", bytes.get() / 1000);
    let gradients = match (memory.vjp, reason) {
        (_, Some(reason)) => format!("not applicable: {reason}"),
        (Some(bytes), None) => format!("applicable, {}", kilobytes(bytes)),
        (None, None) => "not looked for (--gradients)".to_owned(),
    };
    (memory.forward.map_or("not known".to_owned(), kilobytes), gradients)
}

/// Whether answers depend on the batch.
fn invariance(test: &SelfTestReport) -> String {
    if test.is_invariant() {
        return "an answer has the same bits alone, in a batch, and at any place in it".to_owned();
    }
    format!(
        "answers depend on the batch: alone {:e}, reversed {:e}, repeated {:e} (scale {:e})",
        test.against_single, test.against_reversed, test.against_repeat, test.largest
    )
}

/// Variances of noise, and lines of warnings.
fn noise(checks: &[NoiseCheck], warnings: &[String]) -> (String, String) {
    let at = |check: &NoiseCheck| format!("variance {:.3} at t={}", check.variance, check.t);
    let noise = checks.iter().map(at).collect::<Vec<_>>().join(", ");
    let lines = warnings.iter().flat_map(|w| ["\n  WARNING     ", w.as_str()]);
    (noise, lines.collect())
}

/// Inputs or outputs with their shapes.
fn ports(ports: &[PortSummary]) -> String {
    let show = |port: &PortSummary| {
        let dims: Vec<String> =
            port.dims.iter().map(|dim| dim.map_or("?".to_owned(), |n| n.to_string())).collect();
        format!("{} {} [{}]", port.name, port.dtype, dims.join(", "))
    };
    ports.iter().map(show).collect::<Vec<_>>().join("; ")
}
