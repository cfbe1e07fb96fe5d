//! The last layer of a bundle's network: its posterior, and what that is fitted on.

use std::path::Path;

use super::open::{describe, forward, to_derive};
use crate::graph::Tensor;
use crate::graph::head::LayerWeights;
use crate::graph::layer_gradient::FittedLayer;
use crate::model::onnx::derive::{DeriveError, layer_gradient_graph, posterior_graphs};
use crate::model::onnx::{OnnxDenoiser, RuntimeOptions};
use crate::model::{Fisher, LastLayerPosterior, ModelError};

/// What `dubench fit-laplace` and `BayesDiff` are called in errors.
const METHOD: &str = "bayesdiff";

/// The network of a bundle with the graph that a last-layer posterior is fitted with.
///
/// # Errors
/// [`ModelError::NotApplicable`] for a network without a last layer, with the node that stands in the way; those of the cache
/// of derived graphs.
pub fn with_layer_gradient(
    denoiser: OnnxDenoiser,
    folder: &Path,
    options: &RuntimeOptions,
) -> Result<(OnnxDenoiser, FittedLayer), ModelError> {
    let model = describe(folder)?;
    let (path, _) = forward(folder, &model);
    let (path, fitted) = layer_gradient_graph(to_derive(&path, &model), options)
        .map_err(|error| refused(&model.name, error))?;
    Ok((denoiser.with_layer_gradient(path, options), fitted))
}

/// The network of a bundle with a posterior of its last layer, for noise `sigma` and prior precision `gamma`.
///
/// # Errors
/// [`ModelError::NotApplicable`] for a network without a last layer, and for a Fisher information of another one; those of the
/// cache of derived graphs.
pub fn with_posterior(
    denoiser: OnnxDenoiser,
    folder: &Path,
    (fisher, sigma_gamma): (&Fisher, (f64, f64)),
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let model = describe(folder)?;
    let (path, _) = forward(folder, &model);
    let posterior = |weights: &LayerWeights| {
        let floats = |tensor: &Tensor| tensor.as_f32().unwrap_or_default().to_vec();
        let mean = (floats(&weights.weight), weights.bias.as_ref().map(floats));
        let (n, n_bias) = (mean.0.len(), mean.1.as_ref().map_or(0, Vec::len));
        LastLayerPosterior::new(mean, fisher, sigma_gamma).ok_or_else(|| {
            let (got, bias) = (fisher.weight.len(), fisher.bias.as_ref().map_or(0, Vec::len));
            not_applicable(&model.name, format!(
                "the posterior is of {got} weights and {bias} biases, its last layer has {n} and {n_bias}: run `dubench fit-laplace` on this bundle"
            ))
        })
    };
    let (graphs, posterior) = posterior_graphs(to_derive(&path, &model), &posterior, options)
        .map_err(|error| refused(&model.name, error))?;
    Ok(denoiser.with_posterior(graphs, posterior, options))
}

fn refused(model: &str, error: DeriveError) -> ModelError {
    match error {
        DeriveError::Model(error) => error,
        DeriveError::Graph(error) => not_applicable(model, error.to_string()),
    }
}

fn not_applicable(model: &str, reason: String) -> ModelError {
    ModelError::NotApplicable { method: METHOD, model: model.to_owned(), reason }
}
