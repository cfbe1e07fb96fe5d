//! What bundles and pipelines have in common, in words.

use std::num::NonZeroUsize;

use crate::model::bundle::{NetworkSummary, NoiseCheck, PortSummary};
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
        let (memory, gradients) = (memory(network), gradients(network));
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

/// What an image of a call takes.
fn memory(network: &NetworkSummary) -> String {
    taken(network.memory.forward, network.fixed_batch)
}

/// What an image of a gradient takes, or why there is none.
fn gradients(network: &NetworkSummary) -> String {
    match (network.gradients, &network.gradient_reason) {
        (_, Some(reason)) => format!("not applicable: {reason}"),
        (Some(_), None) => {
            format!("applicable, memory {}", taken(network.memory.vjp, network.fixed_batch))
        }
        (None, None) => "not looked for (--gradients)".to_owned(),
    }
}

/// Bytes of an image, where they can be told: of a fixed batch they cannot.
fn taken(bytes: Option<NonZeroUsize>, fixed_batch: Option<usize>) -> String {
    match (bytes, fixed_batch) {
        (Some(bytes), _) => format!("{} KB an image of a call", bytes.get() / 1000),
        (None, Some(n)) => {
            format!("not known, in pieces of the batch of {n} that the graph declares")
        }
        (None, None) => "not known".to_owned(),
    }
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
