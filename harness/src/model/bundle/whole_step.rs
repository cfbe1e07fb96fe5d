//! Graphs of whole steps of a bundle's network.

use std::path::Path;

use super::open::{describe, to_derive};
use crate::config::Prediction;
use crate::graph::step;
use crate::model::onnx::derive::{DeriveError, step_graph};
use crate::model::onnx::{OnnxDenoiser, RuntimeOptions};
use crate::model::{ModelError, StepKind};

/// The network of a bundle with a graph for each of these kinds of steps.
///
/// # Errors
/// [`ModelError::NotApplicable`] for a network of which there is none, with what stands in the way; those of the cache of
/// derived graphs.
pub fn with_steps(
    mut denoiser: OnnxDenoiser,
    (folder, kinds): (&Path, &[StepKind]),
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let model = describe(folder)?;
    let refuse = |reason: String| {
        let (method, model) = ("a step as one call", model.name.clone());
        Err(ModelError::NotApplicable { method, model, reason })
    };
    if let Some(n) = denoiser.fixed_batch() {
        return refuse(format!("a batch of {n} is baked into its graph, and draws make it larger"));
    }
    let prediction = match model.prediction {
        Prediction::Epsilon => step::Prediction::Epsilon,
        Prediction::EdmRaw => {
            return refuse(
                "it is fed scaled states (edm_raw), which its graph would have to do".into(),
            );
        }
        _ => step::Prediction::Line,
    };
    let path = folder.join(&model.graphs.denoiser.file);
    for kind in kinds {
        match step_graph(to_derive(&path, &model), (prediction, *kind), options) {
            Ok(graph) => denoiser = denoiser.with_step(graph, options),
            Err(DeriveError::Graph(error)) => return refuse(error.to_string()),
            Err(DeriveError::Model(error)) => return Err(error),
        }
    }
    Ok(denoiser)
}
