//! Sizes of an experiment: `smoke`, `mini`, `paper`.

use serde::{Deserialize, Serialize};

use super::{FeaturesConfig, ModelConfig, ReferenceConfig};

/// One size of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleConfig {
    /// Images of a whole arm.
    pub n_pool: u64,
    /// Images that a filter keeps; below `n_pool`. Only a filter has it.
    pub n_keep: Option<u64>,
    /// Images of the arms that take a subset.
    pub n_subset: Option<u64>,
    /// Steps of the experiment's sampler, where this scale cannot afford its own number.
    pub n_steps: Option<u32>,
    /// Draws of the experiment's estimators, where this scale cannot afford their own number.
    pub n_draws: Option<u32>,
    /// Images behind the thresholds of guidance masks that are taken from a generated set. They are none of the images
    /// above: their sample ids start far behind.
    pub n_threshold_images: Option<u64>,
    /// Real images of the reference whose features are kept, drawn by the seed: for KID, precision and recall. None are
    /// without it.
    pub n_real: Option<u64>,
    /// Consecutive sample ids of one part: the unit of work, publication and loss at a kill.
    #[serde(default = "block_size")]
    pub block_size: u32,
    /// Images a network call, at most. Changes no digit, so it is no part of the plan id.
    #[serde(default = "batch_size")]
    pub batch_size: u32,
    /// Random subsets at `n_keep`, where this scale cannot afford the protocol's.
    pub n_random: Option<u32>,
    /// Another model than the experiment's.
    pub model: Option<ModelConfig>,
    /// Another feature network than the experiment's.
    pub features: Option<FeaturesConfig>,
    /// Another reference than the experiment's.
    pub reference: Option<ReferenceConfig>,
}

/// A block of 64 images at 32 x 32 is half a megabyte and some seconds of work on two cores.
fn block_size() -> u32 {
    64
}

/// 16 images keep the activations of a small U-Net inside the last-level cache.
fn batch_size() -> u32 {
    16
}

/// A two-sided band that a number must fall into, else the run ends with exit code 6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Scale at which the gate holds.
    pub scale: String,
    /// Method of the row: `full`.
    pub method: String,
    /// Metric of the row: `fid`.
    pub metric: String,
    /// Arm of the row; any where left out.
    pub arm: Option<String>,
    /// Side of the row: `lowest`; any where left out.
    pub side: Option<String>,
    /// What the metric is of: `random`; any where left out.
    pub argument: Option<String>,
    /// Lowest accepted value.
    pub min: f64,
    /// Highest accepted value.
    pub max: f64,
}

/// How many samples an arm takes, always the first ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmImages {
    /// `n_pool` of the scale.
    #[default]
    All,
    /// `n_subset` of the scale: arms that need fewer images for their point.
    Subset,
}

impl ScaleConfig {
    /// Number of samples of an arm. A scale without a subset is refused when the file is read.
    pub fn n_of(&self, images: ArmImages) -> u64 {
        match images {
            ArmImages::All => self.n_pool,
            ArmImages::Subset => self.n_subset.unwrap_or(self.n_pool),
        }
    }
}
