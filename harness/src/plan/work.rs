//! What fixes images, scores, maps and features.

use serde::{Deserialize, Serialize};

use crate::extractor_id::ExtractorId;

use super::version::{FEATURES_VERSION, GENERATE_VERSION, NEGATIVES_VERSION, THRESHOLDS_VERSION};
use super::{
    ArmPlan, ImagesIdentity, ModelIdentity, PosteriorIdentity, RealIdentity, ReferenceIdentity,
    Start, StartsIdentity,
};
use crate::canonical::fingerprint;
use crate::config::GeneratedImages;

/// Every resolved value of a run but what its protocol computes. Equal work gives equal digits, on every machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Experiment name.
    pub experiment: String,
    /// Published artefact.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// Master seed.
    pub seed: u64,
    /// Starts of trajectories from noise, where a file gives them and not the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<StartsIdentity>,
    /// Model, down to its bytes.
    pub model: ModelIdentity,
    /// Trajectories, arm by arm.
    pub arms: Vec<ArmPlan>,
    /// Consecutive sample ids of a block.
    pub block_size: u32,
    /// Feature network, where the protocol compares sets of images.
    pub extractor: Option<ExtractorId>,
    /// How generated images are prepared for it, where not as real ones are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedImages>,
    /// Reference statistics, where the protocol holds images against some.
    pub reference: Option<ReferenceIdentity>,
    /// Real images, where arms start from some.
    pub images: Option<ImagesIdentity>,
    /// Real images of the reference, where their features are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<RealIdentity>,
    /// Posterior of the model's last layer, where arms look at uncertain weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<PosteriorIdentity>,
}

/// The part of the work that fixes images, scores and maps.
#[derive(Serialize)]
struct GenerateIdentity<'a> {
    version: u32,
    seed: u64,
    model: &'a ModelIdentity,
    arms: &'a [ArmPlan],
    block_size: u32,
    images: Option<&'a ImagesIdentity>,
    /// Version of the thresholds that arms read, where some do.
    thresholds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    posterior: Option<&'a PosteriorIdentity>,
    /// Version of the shares below zero, where an estimator tells some.
    #[serde(skip_serializing_if = "Option::is_none")]
    negatives: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<&'a StartsIdentity>,
}

impl Work {
    /// Hash of what fixes images, scores and maps: work that differs elsewhere shares these parts.
    pub fn generate_id(&self) -> String {
        let starts = self.arms.iter().any(|arm| matches!(arm.start, Start::Images { .. }));
        let thresholds = self.arms.iter().any(|arm| arm.thresholds().is_some());
        fingerprint(&GenerateIdentity {
            version: GENERATE_VERSION,
            seed: self.seed,
            model: &self.model,
            arms: &self.arms,
            block_size: self.block_size,
            images: self.images.as_ref().filter(|_| starts),
            thresholds: thresholds.then_some(THRESHOLDS_VERSION),
            posterior: self.posterior.as_ref(),
            negatives: self.watches_signed().then_some(NEGATIVES_VERSION),
            starts: self.starts.as_ref(),
        })
    }

    /// Hash of what fixes features: the images and the feature network.
    pub fn features_id(&self) -> String {
        let (images, network) = (self.generate_id(), &self.extractor);
        match self.generated {
            None => fingerprint(&(FEATURES_VERSION, images, network)),
            Some(other) => fingerprint(&(FEATURES_VERSION, images, network, other)),
        }
    }

    /// Data set that results are of: that of the reference, else that of the real images that are kept or started from.
    pub fn dataset(&self) -> &str {
        let reference = self.reference.as_ref().map(|reference| reference.dataset.as_str());
        let real = || self.real.as_ref().map(|real| real.dataset.as_str());
        let images = || self.images.as_ref().map(|images| images.dataset.as_str());
        reference.or_else(real).or_else(images).unwrap_or("none")
    }

    /// Images behind the data set, where it says.
    pub fn n_reference(&self) -> Option<u64> {
        match (&self.reference, &self.images) {
            (Some(reference), _) => reference.n,
            (None, images) => images.as_ref().map(|images| images.n),
        }
    }

    /// Whether anybody who looks on asks for products with the network's Jacobian.
    pub fn watches_gradients(&self) -> bool {
        self.arms.iter().flat_map(|arm| &arm.watch).any(|plan| plan.rule.facts().needs_gradient)
    }

    /// Whether maps of anybody who looks on can fall below zero.
    fn watches_signed(&self) -> bool {
        self.arms.iter().flat_map(|arm| &arm.watch).any(|plan| plan.rule.facts().signed)
    }

    /// Draws of the gradient rules, each number once, ascending.
    pub fn gradient_draws(&self) -> Vec<u32> {
        let rules = self.arms.iter().filter_map(|arm| arm.guide.as_ref());
        let mut draws: Vec<u32> = rules
            .filter(|rule| rule.facts().needs_gradient)
            .filter_map(|rule| rule.values().n_draws)
            .collect();
        draws.sort_unstable();
        draws.dedup();
        draws
    }
}
