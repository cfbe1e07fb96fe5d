//! Arms: parts of a plan that treat the same samples in different ways.
//!
//! The rows of a plan with arms are those of its first arm, then those of its second, and so on. Every arm has whole
//! blocks, so blocks, shards, parts and resume know nothing of arms; what a row is of its arm is its
//! place behind the arm's first row.

use serde::{Deserialize, Serialize};

use crate::config::{LateWindow, NoiseLevel, RuleConfig, SamplerConfig};
use crate::units::SampleId;

use super::{Block, EstimatorPlan, Plan};

/// One way to treat the first `n` samples, with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmPlan {
    /// Name in tables.
    pub name: String,
    /// Samples `0 .. n`.
    pub n: u64,
    /// How the walk goes.
    pub sampler: SamplerConfig,
    /// What is done on it.
    pub task: ArmTask,
}

/// What an arm does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ArmTask {
    /// Denoises a real image from the middle of the walk on.
    Reconstruct {
        /// How noisy the image is made.
        noise: NoiseLevel,
        /// Training times of the late window.
        late: LateWindow,
        /// Estimators, each over every executed step.
        estimators: Vec<EstimatorPlan>,
    },
    /// Samples from the start of the walk on, under a guidance rule.
    Sample {
        /// How the prediction is rewritten.
        rule: RuleConfig,
        /// Place in a sweep, for its arms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cell: Option<SweepCell>,
    },
}

/// Place of an arm in a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepCell {
    /// Strength.
    pub lambda: f64,
    /// Percentile of the mask.
    pub percentile: f64,
}

/// An arm, and where its rows are.
#[derive(Clone, Copy, Debug)]
pub struct PlacedArm<'a> {
    /// The arm.
    pub arm: &'a ArmPlan,
    /// Its first row.
    pub first: u64,
}

impl PlacedArm<'_> {
    /// Samples of the rows of one of its blocks.
    pub fn samples(&self, block: &Block) -> Vec<SampleId> {
        block.samples.clone().map(|row| SampleId(row - self.first)).collect()
    }

    /// Whether a block is one of its own.
    pub fn has(&self, block: &Block) -> bool {
        (self.first..self.first + self.arm.n).contains(&block.samples.start)
    }
}

impl Plan {
    /// The arms in order, each with its first row; none for a plan of one trajectory.
    pub fn placed_arms(&self) -> impl Iterator<Item = PlacedArm<'_>> {
        self.arms.iter().scan(0, |next, arm| {
            let first = *next;
            *next += arm.n;
            Some(PlacedArm { arm, first })
        })
    }

    /// The arm that a block belongs to; `None` for a plan of one trajectory.
    pub fn arm_of(&self, block: &Block) -> Option<PlacedArm<'_>> {
        self.placed_arms().find(|arm| arm.has(block))
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::resolve::tests::{tiny_plan, tiny_reconstruction_plan};

    #[test]
    fn every_block_belongs_to_one_arm_and_its_samples_start_at_zero() {
        let plan = tiny_reconstruction_plan();
        let sizes: Vec<u64> = plan.arms.iter().map(|arm| arm.n).collect();
        assert_eq!((sizes, plan.n_pool), (vec![8, 4, 4], 16));
        let placed: Vec<(String, u64)> = plan
            .blocks()
            .map(|block| {
                let placed = plan.arm_of(&block).unwrap();
                (placed.arm.name.clone(), placed.samples(&block)[0].0)
            })
            .collect();
        let expected = [("corrected", 0), ("corrected", 4), ("half_t", 0), ("authors_code", 0)];
        assert_eq!(placed, expected.map(|(name, first)| (name.to_owned(), first)));
    }

    #[test]
    fn a_plan_without_arms_has_none() {
        let plan = tiny_plan();
        assert!(plan.arm_of(&plan.blocks().next().unwrap()).is_none());
    }
}
