//! What a plan takes from files: hashes of model, features, reference and real images.

use std::path::Path;

use crate::canonical::fingerprint;
use crate::config::model_yaml::MODEL_FILE;
use crate::config::{Common, FeaturesConfig, ModelConfig, ModelYaml, ReferenceConfig, ScaleConfig};
use crate::experiment::plan::ModelFacts;
use crate::experiment::{Experiment, Plan, PlanInputs};
use crate::model::pipeline::{self, Pipeline};
use crate::model::{ExtractorId, FeatureExtractor};
use crate::plan::{ImagesIdentity, ModelIdentity, PlanError, ReferenceIdentity};
use crate::store::digest::{ContentHasher, sha256_of_file};
use crate::store::statistics::Statistics;

use super::pixels::PixelFeatures;
use super::{ANALYTIC_NAME, identities};
use crate::stage::StageError;
use crate::stage::statistics::{BLOCK_IMAGES, ImageSource, StatisticsError, open};

/// The plan of an experiment at a scale, with the hashes of everything that it reads.
///
/// # Errors
/// [`StageError::Plan`] for an unknown scale, statistics of other features and arms that the model cannot run;
/// [`StageError::Store`] for files that are missing or damaged.
pub fn plan(experiment: &Experiment, scale: &str) -> Result<Plan, StageError> {
    let sizes = scale_of(experiment, scale)?;
    let needs = experiment.protocol.needs();
    let extractor = needs.features.then(|| extractor_id(experiment)).transpose()?;
    let reference = needs
        .statistics
        .then(|| reference_identity(experiment, reference_config(experiment, sizes)?))
        .transpose()?;
    let images =
        needs.images.map(|images| images_identity(experiment, images, sizes)).transpose()?;
    let config = experiment.model_of(sizes);
    let (model, facts) = model_identity(experiment, config)?;
    let inputs = PlanInputs { model, facts, extractor, reference, images };
    Ok(Plan::resolve(experiment, scale, inputs)?)
}

/// The sizes of a scale.
///
/// # Errors
/// [`PlanError::UnknownScale`].
pub fn scale_of<'a>(common: &'a Common, scale: &str) -> Result<&'a ScaleConfig, PlanError> {
    common.scales.get(scale).ok_or_else(|| PlanError::UnknownScale {
        experiment: common.name.clone(),
        scale: scale.to_owned(),
        known: common.scales.keys().cloned().collect(),
    })
}

/// The reference of a scale.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn reference_config<'a>(
    common: &'a Common,
    sizes: &'a ScaleConfig,
) -> Result<&'a ReferenceConfig, StageError> {
    common.reference_of(sizes).ok_or(StageError::Absent { what: "reference statistics" })
}

/// The feature network of an experiment.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn features_config(common: &Common) -> Result<&FeaturesConfig, StageError> {
    common.features.as_ref().ok_or(StageError::Absent { what: "feature network" })
}

/// Real images, by the name that `dubench stats` takes, else by a path relative to the experiment file.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set.
pub fn images(common: &Common, name: &str) -> Result<Box<dyn ImageSource>, StageError> {
    if open::is_named(name) {
        return Ok(open::open(name)?);
    }
    let path = common.resolve(Path::new(name));
    Ok(open::open(&path.to_string_lossy())?)
}

/// Identity of the images that the scale takes: their number in the set, and a hash of their pixels.
fn images_identity(
    common: &Common,
    name: &str,
    sizes: &ScaleConfig,
) -> Result<ImagesIdentity, StageError> {
    let mut source = images(common, name)?;
    let n = usize::try_from(sizes.n_pool).unwrap_or(usize::MAX);
    if source.len() < n {
        let message = format!("has {} images, scale n_pool asks for {n}", source.len());
        return Err(StatisticsError::input(Path::new(name), message).into());
    }
    let mut hasher = ContentHasher::default();
    let mut dim = 0;
    for start in (0..n).step_by(BLOCK_IMAGES) {
        let images = source.read(start..n.min(start + BLOCK_IMAGES))?;
        dim = images.len() / images.dim().0.max(1);
        let sides = images.shape().iter().flat_map(|side| (*side as u64).to_le_bytes());
        let pixels: Vec<u8> = images.iter().copied().collect();
        hasher.piece("shape", &sides.collect::<Vec<u8>>());
        hasher.piece("images", &pixels);
    }
    let (dataset, sha256, n) = (name.to_owned(), hasher.finish(), source.len() as u64);
    Ok(ImagesIdentity { dataset, sha256, n, dim })
}

fn model_identity(
    common: &Common,
    config: &ModelConfig,
) -> Result<(ModelIdentity, ModelFacts), StageError> {
    match config {
        ModelConfig::Analytic(gaussian) => {
            let facts = ModelFacts {
                axis: gaussian.schedule.axis(),
                shape: gaussian.shape,
                n_classes: gaussian.classes,
            };
            Ok((ModelIdentity::of_config(ANALYTIC_NAME, config), facts))
        }
        ModelConfig::Pipeline(config) => {
            let pipeline = Pipeline::read(config, &common.folder)?;
            let facts =
                ModelFacts { axis: pipeline.axis(), shape: pipeline.shape, n_classes: None };
            let (name, files) = (pipeline.folder.name.clone(), pipeline::identity(&pipeline)?);
            Ok((ModelIdentity { name, files }, facts))
        }
        ModelConfig::Bundle { path, cfg } => {
            let folder = common.resolve(path);
            let model = ModelYaml::read(&folder.join(MODEL_FILE))?;
            let facts = ModelFacts {
                axis: model.schedule.axis(),
                shape: model.task.shape(),
                n_classes: model.task.classes(),
            };
            let mut identity = identities::identity(&folder)?;
            if let Some(cfg) = cfg {
                identity.files.insert("cfg of the experiment".to_owned(), fingerprint(cfg));
            }
            Ok((identity, facts))
        }
    }
}

fn reference_identity(
    common: &Common,
    config: &ReferenceConfig,
) -> Result<ReferenceIdentity, StageError> {
    let path = common.resolve(&config.path);
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
pub fn extractor_id(common: &Common) -> Result<ExtractorId, StageError> {
    match features_config(common)? {
        FeaturesConfig::Pixels { grid } => Ok(PixelFeatures::new(*grid).id().clone()),
        FeaturesConfig::Extractor { path, preprocess } => {
            identities::extractor_id(&common.resolve(path), *preprocess)
        }
    }
}
