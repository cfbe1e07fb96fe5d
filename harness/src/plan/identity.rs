//! What a plan must know of files without reading them: stages collect it, plans hash it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::extractor_id::ExtractorId;

use super::PlanError;

/// Which model, down to its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Name in tables.
    pub name: String,
    /// File name to SHA-256, `model.yaml` included. A closed-form model has one entry: its values.
    pub files: BTreeMap<String, String>,
}

impl ModelIdentity {
    /// Identity of a model that is its own description.
    pub fn of_config(name: &str, config: &ModelConfig) -> Self {
        let hash = crate::canonical::fingerprint(config);
        Self { name: name.to_owned(), files: [("closed form".to_owned(), hash)].into() }
    }
}

/// Which reference statistics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceIdentity {
    /// Data set and split.
    pub dataset: String,
    /// SHA-256 of the statistics file.
    pub sha256: String,
    /// Images behind the statistics, where the file says.
    pub n: Option<u64>,
    /// Feature dimension.
    pub dim: usize,
    /// Feature network of the statistics, where the file says.
    pub extractor: Option<ExtractorId>,
    /// Height and width of the images behind the statistics, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[u64; 2]>,
}

impl ReferenceIdentity {
    /// Refuses statistics of other features than `extractor` gives.
    ///
    /// # Errors
    /// [`PlanError::Reference`] with the field that differs.
    pub fn check(&self, extractor: &ExtractorId) -> Result<(), PlanError> {
        let dim = (self.dim != extractor.dim)
            .then(|| ("dimension", self.dim.to_string(), extractor.dim.to_string()));
        let network = || self.extractor.as_ref().and_then(|theirs| theirs.difference(extractor));
        if let Some((field, got, expected)) = dim.or_else(network) {
            let dataset = self.dataset.clone();
            return Err(PlanError::Reference { dataset, field, got, expected });
        }
        Ok(())
    }
}

/// Which real images of the reference have their features kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealIdentity {
    /// Data set that they are drawn of.
    pub dataset: String,
    /// How many.
    pub n: u64,
    /// Of how many.
    pub of: u64,
    /// SHA-256 of their pixels, in the order of the data set.
    pub sha256: String,
}

/// Which real images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesIdentity {
    /// Data set and split.
    pub dataset: String,
    /// SHA-256 of the pixels that the work takes.
    pub sha256: String,
    /// Images in the set.
    pub n: u64,
    /// Elements of an image.
    pub dim: usize,
    /// `[c, h, w]` of the latents that they become, for a model that has an encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<[usize; 3]>,
}

/// Which starts, where the seed does not give them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartsIdentity {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Starts in it.
    pub n: u64,
}

/// Which posterior of the model's last layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosteriorIdentity {
    /// SHA-256 of its content.
    pub sha256: String,
    /// Images that it was fitted on.
    pub n_images: u64,
    /// Standard deviation of the noise of the likelihood.
    pub noise: f64,
    /// Precision of the prior.
    pub prior_precision: f64,
}
