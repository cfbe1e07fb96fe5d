//! What a plan takes from files: hashes of model, features and reference.

use crate::config::{Experiment, FeaturesConfig, ModelConfig, ReferenceConfig, ScaleConfig};
use crate::model::{ExtractorId, FeatureExtractor};
use crate::plan::{ModelIdentity, Plan, PlanError, PlanInputs, PlanOptions, ReferenceIdentity};
use crate::store::digest::sha256_of_file;
use crate::store::statistics::Statistics;

use super::pixels::PixelFeatures;
use super::{StageError, build, models};

/// The plan of an experiment at a scale, with the hashes of everything that it reads.
///
/// # Errors
/// [`StageError::Plan`] for an unknown scale or statistics of other features, [`StageError::Store`] for files
/// that are missing or damaged.
pub fn plan(
    experiment: &Experiment,
    scale: &str,
    options: PlanOptions,
) -> Result<Plan, StageError> {
    let sizes = scale_of(experiment, scale)?;
    let extractor = extractor_id(experiment)?;
    let inputs = PlanInputs {
        model: model_identity(experiment, model_config(experiment, sizes))?,
        extractor,
        reference: reference_identity(experiment, reference_config(experiment, sizes))?,
    };
    Ok(Plan::resolve(experiment, scale, inputs, options)?)
}

/// The sizes of a scale.
///
/// # Errors
/// [`PlanError::UnknownScale`].
pub fn scale_of<'a>(experiment: &'a Experiment, scale: &str) -> Result<&'a ScaleConfig, PlanError> {
    experiment.scales.get(scale).ok_or_else(|| PlanError::UnknownScale {
        experiment: experiment.name.clone(),
        scale: scale.to_owned(),
        known: experiment.scales.keys().cloned().collect(),
    })
}

/// The model of a scale.
pub fn model_config<'a>(experiment: &'a Experiment, sizes: &'a ScaleConfig) -> &'a ModelConfig {
    sizes.model.as_ref().unwrap_or(&experiment.model)
}

/// The reference of a scale.
pub fn reference_config<'a>(
    experiment: &'a Experiment,
    sizes: &'a ScaleConfig,
) -> &'a ReferenceConfig {
    sizes.reference.as_ref().unwrap_or(&experiment.reference)
}

fn model_identity(
    experiment: &Experiment,
    config: &ModelConfig,
) -> Result<ModelIdentity, StageError> {
    match config {
        ModelConfig::Analytic(_) => Ok(ModelIdentity::of_config(build::ANALYTIC_NAME, config)),
        ModelConfig::Bundle { path } => models::identity(&experiment.resolve(path)),
    }
}

fn reference_identity(
    experiment: &Experiment,
    config: &ReferenceConfig,
) -> Result<ReferenceIdentity, StageError> {
    let path = experiment.resolve(&config.path);
    let sha256 = sha256_of_file(&path)?;
    let statistics = Statistics::read(&path)?;
    Ok(ReferenceIdentity {
        dataset: config.dataset.clone(),
        sha256,
        n: statistics.n,
        dim: statistics.mu.len(),
        extractor: statistics.extractor,
    })
}

/// Identity of the feature network of an experiment.
///
/// # Errors
/// [`StageError`] when there is no such network.
pub fn extractor_id(experiment: &Experiment) -> Result<ExtractorId, StageError> {
    match &experiment.features {
        FeaturesConfig::Pixels { grid } => Ok(PixelFeatures::new(*grid).id().clone()),
        FeaturesConfig::Extractor { path, preprocess } => {
            models::extractor_id(&experiment.resolve(path), *preprocess)
        }
    }
}
