//! Models and feature networks of an experiment, opened: that their files hold what their descriptions promise is
//! checked here. [`super::identities`] names them without that.

use crate::config::model_yaml::MODEL_FILE;
use crate::config::{ExtractorYaml, FeaturesConfig, ModelConfig, ModelYaml};
use crate::experiment::{Experiment, Plan};
use crate::model::ModelError;
use crate::model::bundle::{Gradients, Opened, SelfTest, open_bundle_as};
use crate::model::onnx::{OnnxExtractor, RuntimeOptions, environment};
use crate::model::pipeline::{self, Pipeline, open_pipeline};
use crate::store::Provenance;

use super::pixels::PixelFeatures;
use super::{OpenModel, analytic, inputs};
use crate::stage::StageError;
use crate::stage::features::OpenExtractor;

/// Opens the model of a plan, with the gradient graphs that its rules ask for; a bundle is checked and tests itself.
///
/// # Errors
/// [`StageError::Model`] for a bundle that is broken or a runtime that is missing.
pub fn open_model(
    experiment: &Experiment,
    plan: &Plan,
    options: &RuntimeOptions,
) -> Result<OpenModel, StageError> {
    let config = experiment.model_of(inputs::scale_of(experiment, &plan.scale)?);
    let n_draws = plan.gradient_draws();
    let gradients =
        if n_draws.is_empty() { Gradients::None } else { Gradients::Derive { n_draws } };
    let mut model = open_network(experiment, config, (options, &gradients))?;
    if let Some(images) = experiment.protocol.needs().images {
        model.images = Some(inputs::images(experiment, images)?);
    }
    Ok(model)
}

fn open_network(
    experiment: &Experiment,
    config: &ModelConfig,
    (options, gradients): (&RuntimeOptions, &Gradients),
) -> Result<OpenModel, StageError> {
    match config {
        ModelConfig::Analytic(gaussian) => analytic(gaussian),
        ModelConfig::Bundle { path, cfg } => {
            let asked = (gradients, cfg.as_ref());
            let opened = open_bundle_as(&experiment.resolve(path), options, SelfTest::Run, asked)?;
            differentiable(opened, gradients)
        }
        ModelConfig::Pipeline(config) => {
            let pipeline = Pipeline::read(config, &experiment.folder)?;
            let opened = open_pipeline(&pipeline, options, SelfTest::Run, gradients)?;
            differentiable(opened, gradients)
        }
    }
}

/// Refuses a network without the gradients that rules ask for: half of the arms are no experiment, so before any work.
fn differentiable(opened: Opened, gradients: &Gradients) -> Result<OpenModel, StageError> {
    if *gradients != Gradients::None
        && let Some(reason) = opened.denoiser.gradient_unavailable()
    {
        let model = opened.provenance.name;
        let method = "guidance by a gradient";
        return Err(ModelError::NotApplicable { method, model, reason }.into());
    }
    Ok(opened.into())
}

/// Opens the feature network of an experiment.
///
/// # Errors
/// [`StageError::Model`] for a network that is missing, damaged, or no such network.
pub fn open_extractor(
    experiment: &Experiment,
    options: &RuntimeOptions,
) -> Result<OpenExtractor, StageError> {
    match inputs::features_config(experiment)? {
        FeaturesConfig::Pixels { grid } => Ok(OpenExtractor {
            extractor: Box::new(PixelFeatures::new(*grid)),
            provenance: Provenance::new("none", "cpu"),
        }),
        FeaturesConfig::Extractor { path, preprocess } => {
            let extractor = OnnxExtractor::open(&experiment.resolve(path), *preprocess, options)?;
            let runtime = environment::runtime(options.library.as_deref())?;
            let provenance = Provenance::new(
                format!("onnxruntime {}", runtime.version),
                options.device.to_string(),
            );
            Ok(OpenExtractor { extractor: Box::new(extractor), provenance })
        }
    }
}

/// Bytes of the larger of the experiment's two networks, as promised by their descriptions.
///
/// # Errors
/// [`StageError::Config`] for a description that is missing or wrong.
pub fn weight_bytes(experiment: &Experiment, scale: &str) -> Result<u64, StageError> {
    let model = match experiment.model_of(inputs::scale_of(experiment, scale)?) {
        ModelConfig::Analytic(_) => 0,
        ModelConfig::Pipeline(config) => {
            pipeline::weight_bytes(&Pipeline::read(config, &experiment.folder)?)?
        }
        ModelConfig::Bundle { path, .. } => {
            let model = ModelYaml::read(&experiment.resolve(path).join(MODEL_FILE))?;
            model.files.values().map(|file| file.bytes).sum()
        }
    };
    let extractor = match &experiment.features {
        None | Some(FeaturesConfig::Pixels { .. }) => 0,
        Some(FeaturesConfig::Extractor { path, .. }) => {
            ExtractorYaml::read(&experiment.resolve(path))?.file.bytes
        }
    };
    Ok(model.max(extractor))
}
