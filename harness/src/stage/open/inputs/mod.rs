//! What a plan takes from files: hashes of model, features, reference and real images.

mod images;
mod model;
mod posterior;
mod reference;
mod starts;
mod texts;

pub use images::{classes, images, real_source};
pub use posterior::posterior;
pub use reference::{reference_config, statistics_path};
pub use starts::starts;
pub use texts::{clip, prompts, texts};

use crate::config::{Common, FeaturesConfig, ModelConfig, ScaleConfig};
use crate::experiment::plan::ModelFacts;
use crate::experiment::{Experiment, Plan, PlanInputs};
use crate::model::bundle::check_guidance;
use crate::model::clip::ClipScore;
use crate::model::{ExtractorId, FeatureExtractor};
use crate::plan::{PlanError, PosteriorIdentity};
use crate::store::laplace;

use super::identities;
use super::pixels::PixelFeatures;
use crate::stage::StageError;
use images::{images_identity, real_identity};
use model::model_identity;
use reference::reference_of;
use starts::starts_identity;

/// The plan of an experiment at a scale, with the hashes of everything that it reads.
///
/// # Errors
/// [`StageError::Plan`] for an unknown scale, statistics of other features and arms that the model cannot run;
/// [`StageError::Store`] for files that are missing or damaged.
pub fn plan(experiment: &Experiment, scale: &str) -> Result<Plan, StageError> {
    let sizes = scale_of(experiment, scale)?;
    let needs = experiment.protocol.needs();
    let wanted = needs.features || (needs.agreement && experiment.features_of(sizes).is_some());
    let extractor = wanted.then(|| extractor_id(experiment, sizes)).transpose()?;
    let reference = reference_of(experiment, sizes)?;
    let config = experiment.model_of(sizes);
    let (model, facts) = model_identity(experiment, config)?;
    if let ModelConfig::Bundle { path, cfg: Some(cfg), .. } = config {
        check_guidance(&experiment.resolve(path), cfg)?;
    }
    let takes = (sizes, model.name.as_str(), facts);
    let images =
        needs.images.map(|images| images_identity(experiment, images, takes)).transpose()?;
    let drawn = |n| real_identity(experiment, sizes, (n, reference.as_ref()));
    let real = sizes.n_real.map(drawn).transpose()?;
    let posterior = posterior(experiment, config)?;
    let posterior = posterior.map(|(_, file, need)| PosteriorIdentity {
        sha256: laplace::content_digest(&file),
        n_images: file.n_images,
        noise: need.settings.noise,
        prior_precision: need.settings.prior_precision,
    });
    let starts = starts_identity(experiment, (&model.name, facts))?;
    let inputs = PlanInputs { model, facts, extractor, reference, images, real, posterior, starts };
    Ok(Plan::resolve(experiment, scale, inputs)?)
}

/// What the model's description says of the model of a scale.
///
/// # Errors
/// [`StageError`] for a description that is missing or wrong.
pub fn facts(common: &Common, scale: &str) -> Result<ModelFacts, StageError> {
    Ok(model_identity(common, common.model_of(scale_of(common, scale)?))?.1)
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

/// The feature network of a scale.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn features_config<'a>(
    common: &'a Common,
    sizes: &'a ScaleConfig,
) -> Result<&'a FeaturesConfig, StageError> {
    common.features_of(sizes).ok_or(StageError::Absent { what: "feature network" })
}

/// Identity of the feature network of a scale.
///
/// # Errors
/// [`StageError`] when there is no such network.
pub fn extractor_id(common: &Common, sizes: &ScaleConfig) -> Result<ExtractorId, StageError> {
    match features_config(common, sizes)? {
        FeaturesConfig::Clip { path } => {
            let (folder, prompts) = clip(common, sizes, path)?;
            Ok(ClipScore::id_of(&folder, &prompts)?)
        }
        FeaturesConfig::Pixels { grid } => Ok(PixelFeatures::new(*grid).id().clone()),
        FeaturesConfig::Extractor { path, preprocess, .. } => {
            identities::extractor_id(&common.resolve(path), *preprocess)
        }
    }
}
