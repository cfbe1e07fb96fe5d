//! Sets of images that thresholds of guidance masks are taken from.
//!
//! A plan does not list its sets: they follow from the masks of its arms, so that two arms with the same sampler, statistic,
//! draws and size share one. The blocks of the sets are numbered by themselves, set after set, each set with whole blocks.

use serde::{Deserialize, Serialize};

use crate::guidance::{MaskConfig, MaskStatistic};
use crate::sampler::SamplerConfig;
use crate::units::BlockId;

use super::version::{GENERATE_VERSION, THRESHOLDS_VERSION};
use super::{ArmPlan, Block, ModelIdentity, Work};
use crate::canonical::fingerprint;

/// First sample id of every set. Evaluated images count from 0 and are ten million at most, so no start is in both.
pub const FIRST_SAMPLE: u64 = 1 << 32;

/// Unguided trajectories whose maps are kept at every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdSet {
    /// How the walk goes: as in the arm, step by step.
    pub sampler: SamplerConfig,
    /// What is kept of each step.
    pub statistic: MaskStatistic,
    /// Draws of a map.
    pub n_draws: u32,
    /// Images.
    pub n_images: u64,
    /// First sample id.
    pub first_sample: u64,
}

/// How a threshold is taken of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdKind {
    /// One for each channel, pixel and step.
    DatasetPixel,
    /// One for each step.
    DatasetScalar,
}

impl ThresholdKind {
    /// Name, as in files and experiments.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DatasetPixel => "dataset_pixel",
            Self::DatasetScalar => "dataset_scalar",
        }
    }
}

/// One artefact: thresholds of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdPlan {
    /// What they are taken of.
    pub set: ThresholdSet,
    /// One an element, or one a step.
    pub kind: ThresholdKind,
    /// Fraction of the set below.
    pub percentile: f64,
}

/// A block of a set: its sample ids are those of the set.
#[derive(Clone, Debug, PartialEq)]
pub struct SetBlock {
    /// The set.
    pub set: ThresholdSet,
    /// Number over all sets of the plan, and sample ids.
    pub block: Block,
}

impl ArmPlan {
    /// The thresholds that the arm's mask asks for; `None` where it asks for none.
    pub fn thresholds(&self) -> Option<ThresholdPlan> {
        let rule = self.guide.as_ref()?;
        let values = rule.values();
        let mask = values.mask?;
        let (n_images, n_draws) = mask.set()?;
        let kind = match mask {
            MaskConfig::DatasetScalar { .. } => ThresholdKind::DatasetScalar,
            MaskConfig::DatasetPixel { .. } => ThresholdKind::DatasetPixel,
            MaskConfig::PerImage {} => return None,
        };
        let set = ThresholdSet {
            sampler: self.sampler.clone(),
            statistic: rule.facts().statistic,
            // Both are filled in where a plan is resolved.
            n_draws: n_draws.unwrap_or_default(),
            n_images: n_images.unwrap_or_default(),
            first_sample: FIRST_SAMPLE,
        };
        Some(ThresholdPlan { set, kind, percentile: values.percentile })
    }
}

/// What fixes the maps of a plan's sets.
#[derive(Serialize)]
struct SetsIdentity<'a> {
    versions: [u32; 2],
    seed: u64,
    model: &'a ModelIdentity,
    sets: Vec<ThresholdSet>,
    block_size: u32,
}

/// What fixes the thresholds of an artefact.
#[derive(Serialize)]
struct ThresholdIdentity<'a> {
    versions: [u32; 2],
    seed: u64,
    model: &'a ModelIdentity,
    thresholds: &'a ThresholdPlan,
}

impl Work {
    /// The thresholds that masks of the plan ask for, each once, in the order of the arms.
    pub fn thresholds(&self) -> Vec<ThresholdPlan> {
        distinct(self.arms.iter().filter_map(ArmPlan::thresholds))
    }

    /// The sets behind them, each once.
    pub fn threshold_sets(&self) -> Vec<ThresholdSet> {
        distinct(self.thresholds().into_iter().map(|thresholds| thresholds.set))
    }

    /// Blocks of all sets, numbered from 0.
    pub fn set_blocks(&self) -> Vec<SetBlock> {
        let size = u64::from(self.block_size);
        let mut blocks = Vec::new();
        for set in self.threshold_sets() {
            let end = set.first_sample + set.n_images;
            let mut start = set.first_sample;
            while start < end {
                let samples = start..end.min(start + size);
                start = samples.end;
                let id = BlockId(blocks.len() as u64);
                blocks.push(SetBlock { set: set.clone(), block: Block { id, samples } });
            }
        }
        blocks
    }

    /// Hash of what fixes the maps of all sets.
    pub fn thresholds_id(&self) -> String {
        fingerprint(&SetsIdentity {
            versions: [THRESHOLDS_VERSION, GENERATE_VERSION],
            seed: self.seed,
            model: &self.model,
            sets: self.threshold_sets(),
            block_size: self.block_size,
        })
    }

    /// Hash of what fixes the values of `thresholds`: other plans with the same have the same values.
    pub fn threshold_id(&self, thresholds: &ThresholdPlan) -> String {
        fingerprint(&ThresholdIdentity {
            versions: [THRESHOLDS_VERSION, GENERATE_VERSION],
            seed: self.seed,
            model: &self.model,
            thresholds,
        })
    }
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::{tiny_plan, tiny_thresholds_plan};

    fn plan() -> Work {
        tiny_thresholds_plan().work
    }

    #[test]
    fn arms_of_one_sampler_and_statistic_share_a_set() {
        let plan = plan();
        let sets = plan.threshold_sets();
        let facts: Vec<(MaskStatistic, u32, u64)> =
            sets.iter().map(|set| (set.statistic, set.n_draws, set.n_images)).collect();
        let expected = [
            (MaskStatistic::SampleVariance, 3, 20),
            (MaskStatistic::VarianceWithPrediction, 3, 20),
            (MaskStatistic::Centered, 6, 12),
        ];
        assert_eq!(facts, expected);
        assert_eq!(plan.thresholds().len(), 4);
    }

    #[test]
    fn every_set_has_whole_blocks_far_from_the_evaluated_images() {
        let plan = plan();
        let blocks = plan.set_blocks();
        let sizes: Vec<u64> = blocks.iter().map(|block| block.block.len()).collect();
        assert_eq!(sizes, [8, 8, 4, 8, 8, 4, 8, 4]);
        assert!(blocks.iter().enumerate().all(|(k, block)| block.block.id.0 == k as u64));
        assert!(blocks.iter().all(|block| block.block.samples.start >= FIRST_SAMPLE));
        assert!(plan.n_images() < FIRST_SAMPLE);
    }

    #[test]
    fn what_moves_a_threshold_moves_its_name() {
        let plan = plan();
        let known = plan.thresholds().remove(0);
        let mut others = vec![known.clone(); 4];
        others[0].percentile = 0.99;
        others[1].kind = ThresholdKind::DatasetScalar;
        others[2].set.n_draws += 1;
        others[3].set.sampler = others[3].set.sampler.with_steps(7);
        let id = plan.threshold_id(&known);
        assert!(others.iter().all(|other| plan.threshold_id(other) != id));
        let other = Work { seed: plan.seed + 1, ..plan.clone() };
        assert_ne!(other.threshold_id(&known), id);
        assert_ne!(other.thresholds_id(), plan.thresholds_id());
    }

    #[test]
    fn a_plan_without_such_masks_has_no_set() {
        assert!(tiny_plan().work.set_blocks().is_empty());
    }
}
