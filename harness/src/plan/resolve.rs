//! Experiment and scale to plan: fill defaults, hash.

use dubench_metrics::FrechetEstimate;
use serde::{Deserialize, Serialize};

use crate::config::{Experiment, ProtocolConfig, SamplerConfig};
use crate::model::ExtractorId;

use super::canonical::fingerprint;
use super::resolve_arms;
use super::version::{EVALUATE_VERSION, FEATURES_VERSION, GENERATE_VERSION, THRESHOLDS_VERSION};
use super::{
    ArmPlan, ControlPlan, EstimatorPlan, ModelIdentity, PlanError, PlanInputs, ReferenceIdentity,
};

/// Every resolved value of a run. Two runs with equal plans give equal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this file.
    pub format: u32,
    /// Experiment name.
    pub experiment: String,
    /// Published artefact.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// Master seed.
    pub seed: u64,
    /// Model, down to its bytes.
    pub model: ModelIdentity,
    /// Sampler.
    pub sampler: SamplerConfig,
    /// Estimators.
    pub estimators: Vec<EstimatorPlan>,
    /// Controls.
    pub controls: Vec<ControlPlan>,
    /// Images that are generated, over all arms.
    pub n_pool: u64,
    /// Images that a filter keeps; 0 where nothing is filtered.
    pub n_keep: u64,
    /// Consecutive sample ids of a block.
    pub block_size: u32,
    /// Feature network, where the protocol compares sets of images.
    pub extractor: Option<ExtractorId>,
    /// Reference statistics, or the images that a reconstruction is held against.
    pub reference: ReferenceIdentity,
    /// What is computed.
    pub protocol: ProtocolConfig,
    /// Ways to treat the samples; none where there is one trajectory for all methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmPlan>,
}

/// What a call may change of a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Generate at most this many images; `n_keep` shrinks in proportion. Another plan id.
    pub limit: Option<u64>,
}

/// The part of a plan that fixes images, scores and maps.
#[derive(Serialize)]
struct GenerateIdentity<'a> {
    version: u32,
    seed: u64,
    model: &'a ModelIdentity,
    sampler: &'a SamplerConfig,
    estimators: &'a [EstimatorPlan],
    controls: &'a [ControlPlan],
    n_pool: u64,
    block_size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    arms: Option<ArmsIdentity<'a>>,
    /// Version of the thresholds that arms read, where some do.
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<u32>,
}

/// What fixes the parts of a plan with arms beyond the rest: the arms, and the images that they start from.
#[derive(Serialize)]
struct ArmsIdentity<'a> {
    arms: &'a [ArmPlan],
    start: Option<&'a ReferenceIdentity>,
}

impl Plan {
    /// Resolves an experiment at a scale.
    ///
    /// # Errors
    /// [`PlanError`] for an unknown scale, a limit that leaves nothing to filter, or a reference of
    /// other features.
    pub fn resolve(
        experiment: &Experiment,
        scale: &str,
        inputs: PlanInputs,
        options: PlanOptions,
    ) -> Result<Self, PlanError> {
        let sizes = experiment.scales.get(scale).ok_or_else(|| PlanError::UnknownScale {
            experiment: experiment.name.clone(),
            scale: scale.to_owned(),
            known: experiment.scales.keys().cloned().collect(),
        })?;
        if let Some(extractor) = &inputs.extractor {
            inputs.reference.check(extractor)?;
        }
        let defaults = experiment.preset.defaults();
        let estimators = experiment
            .estimators
            .iter()
            .map(|config| EstimatorPlan::resolve(config, experiment.window_of(config), &defaults))
            .collect();
        let controls = experiment
            .controls
            .iter()
            .map(|config| ControlPlan::resolve(config, &defaults))
            .collect();
        let (mut protocol, mut arms) = (experiment.protocol.clone(), Vec::new());
        let (n_pool, n_keep) = match &mut protocol {
            ProtocolConfig::Filtering { n_random, .. } => {
                *n_random = sizes.n_random.unwrap_or(*n_random);
                limited(sizes.n_pool, sizes.n_keep.unwrap_or(0), options.limit)?
            }
            ProtocolConfig::Reconstruction(protocol) => {
                arms = resolve_arms::reconstruction(experiment, protocol, sizes);
                (arms.iter().map(|arm| arm.n).sum(), 0)
            }
            ProtocolConfig::Guidance(protocol) => {
                arms = resolve_arms::guidance(experiment, protocol, sizes);
                (arms.iter().map(|arm| arm.n).sum(), 0)
            }
        };
        Ok(Self {
            format: 1,
            experiment: experiment.name.clone(),
            artefact: experiment.artefact.clone(),
            scale: scale.to_owned(),
            seed: experiment.seed,
            model: inputs.model,
            sampler: experiment.sampler.clone(),
            estimators,
            controls,
            n_pool,
            n_keep,
            block_size: sizes.block_size,
            extractor: inputs.extractor,
            reference: inputs.reference,
            protocol,
            arms,
        })
    }

    /// SHA-256 of the canonical JSON of everything above.
    pub fn id(&self) -> String {
        fingerprint(&(EVALUATE_VERSION, FEATURES_VERSION, self.generate_id(), self))
    }

    /// Hash of what fixes images, scores and maps: plans that differ elsewhere share these parts.
    pub fn generate_id(&self) -> String {
        fingerprint(&GenerateIdentity {
            version: GENERATE_VERSION,
            seed: self.seed,
            model: &self.model,
            sampler: &self.sampler,
            estimators: &self.estimators,
            controls: &self.controls,
            n_pool: self.n_pool,
            block_size: self.block_size,
            arms: (!self.arms.is_empty()).then(|| ArmsIdentity {
                arms: &self.arms,
                start: self.extractor.is_none().then_some(&self.reference),
            }),
            thresholds: self
                .arms
                .iter()
                .any(|arm| arm.thresholds().is_some())
                .then_some(THRESHOLDS_VERSION),
        })
    }

    /// Hash of what fixes features: the images and the feature network.
    pub fn features_id(&self) -> String {
        fingerprint(&(FEATURES_VERSION, self.generate_id(), &self.extractor))
    }

    /// Names of all methods, estimators first, in plan order.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        let estimators = self.estimators.iter().map(|estimator| estimator.name.as_str());
        estimators.chain(self.controls.iter().map(|control| control.name.as_str()))
    }
}

/// Pool and kept images under a limit, in the proportion of the scale.
fn limited(n_pool: u64, n_keep: u64, limit: Option<u64>) -> Result<(u64, u64), PlanError> {
    let Some(limit) = limit.filter(|limit| *limit < n_pool) else { return Ok((n_pool, n_keep)) };
    let kept = limit * n_keep / n_pool;
    let needed = FrechetEstimate::MIN_ROWS as u64;
    if kept >= needed {
        return Ok((limit, kept));
    }
    Err(PlanError::Limit { limit, n_keep: kept, least: (needed * n_pool).div_ceil(n_keep) })
}

#[cfg(test)]
pub(crate) mod tests;
