//! What a plan takes from files: hashes of model, features and reference.

use std::path::Path;

use crate::config::{
    Experiment, FeaturesConfig, ModelConfig, ProtocolConfig, ReconstructionConfig, ReferenceConfig,
    ScaleConfig,
};
use crate::model::{ExtractorId, FeatureExtractor};
use crate::plan::{ModelIdentity, Plan, PlanError, PlanInputs, PlanOptions, ReferenceIdentity};
use crate::store::digest::{ContentHasher, sha256_of_file};
use crate::store::statistics::Statistics;

use super::pixels::PixelFeatures;
use super::statistics::{BLOCK_IMAGES, ImageSource, StatisticsError, open};
use super::{StageError, build, identities};

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
    let (extractor, reference) = match &experiment.protocol {
        ProtocolConfig::Reconstruction(protocol) => {
            (None, images_identity(experiment, protocol, sizes)?)
        }
        ProtocolConfig::Filtering { .. } | ProtocolConfig::Guidance(_) => {
            let reference = reference_config(experiment, sizes)?;
            (Some(extractor_id(experiment)?), reference_identity(experiment, reference)?)
        }
    };
    let model = model_identity(experiment, model_config(experiment, sizes))?;
    let inputs = PlanInputs { model, extractor, reference };
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
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn reference_config<'a>(
    experiment: &'a Experiment,
    sizes: &'a ScaleConfig,
) -> Result<&'a ReferenceConfig, StageError> {
    let reference = sizes.reference.as_ref().or(experiment.reference.as_ref());
    reference.ok_or(StageError::Absent { what: "reference statistics" })
}

/// The feature network of an experiment.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn features_config(experiment: &Experiment) -> Result<&FeaturesConfig, StageError> {
    experiment.features.as_ref().ok_or(StageError::Absent { what: "feature network" })
}

/// The real images of a reconstruction.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set.
pub fn images(
    experiment: &Experiment,
    protocol: &ReconstructionConfig,
) -> Result<Box<dyn ImageSource>, StageError> {
    if open::is_named(&protocol.images) {
        return Ok(open::open(&protocol.images)?);
    }
    let path = experiment.resolve(Path::new(&protocol.images));
    Ok(open::open(&path.to_string_lossy())?)
}

/// Identity of the images that the scale takes: their number in the set, and a hash of their pixels.
fn images_identity(
    experiment: &Experiment,
    protocol: &ReconstructionConfig,
    sizes: &ScaleConfig,
) -> Result<ReferenceIdentity, StageError> {
    let mut source = images(experiment, protocol)?;
    let n = usize::try_from(sizes.n_pool).unwrap_or(usize::MAX);
    if source.len() < n {
        let message = format!("has {} images, scale n_pool asks for {n}", source.len());
        return Err(StatisticsError::input(Path::new(&protocol.images), message).into());
    }
    let mut hasher = ContentHasher::default();
    let mut dim = 0;
    for start in (0..n).step_by(BLOCK_IMAGES) {
        let images = source.read(start..n.min(start + BLOCK_IMAGES))?;
        dim = images.len() / images.dim().0.max(1);
        let pixels: Vec<u8> = images.iter().copied().collect();
        hasher.piece("shape", format!("{:?}", images.shape()).as_bytes());
        hasher.piece("images", &pixels);
    }
    Ok(ReferenceIdentity {
        dataset: protocol.images.clone(),
        sha256: hasher.finish(),
        n: Some(source.len() as u64),
        dim,
        extractor: None,
    })
}

fn model_identity(
    experiment: &Experiment,
    config: &ModelConfig,
) -> Result<ModelIdentity, StageError> {
    match config {
        ModelConfig::Analytic(_) => Ok(ModelIdentity::of_config(build::ANALYTIC_NAME, config)),
        ModelConfig::Bundle { path } => identities::identity(&experiment.resolve(path)),
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
    match features_config(experiment)? {
        FeaturesConfig::Pixels { grid } => Ok(PixelFeatures::new(*grid).id().clone()),
        FeaturesConfig::Extractor { path, preprocess } => {
            identities::extractor_id(&experiment.resolve(path), *preprocess)
        }
    }
}
