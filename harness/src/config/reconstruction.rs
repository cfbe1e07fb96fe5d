//! Table 2: real images, noised part of the way and denoised again.

use serde::{Deserialize, Serialize};

use super::{EstimatorConfig, SamplerConfig};

/// The reconstruction protocol: arms over the same images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionConfig {
    /// Data set as `dubench stats` takes it: `cifar10-test`, or an `.npz` or a folder of PNGs relative to the experiment
    /// file. Image `i` is the `i`-th in its order.
    pub images: String,
    /// Thresholds of a sparsification curve.
    #[serde(default = "intervals")]
    pub intervals: u32,
    /// The training times that the late window covers, whatever the number of steps.
    #[serde(default)]
    pub late: LateWindow,
    /// What is done to the images. The first arm is the one that curves and maps are drawn of.
    pub arms: Vec<ReconstructionArm>,
}

/// 50 in the released code and in the evaluation that it follows.
fn intervals() -> u32 {
    50
}

/// Training times `last ..= first`: the steps 45 to 48 of 50 visit 80, 60, 40 and 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateWindow {
    /// Noisiest training time of the window.
    pub first: u32,
    /// Cleanest training time of the window.
    pub last: u32,
}

impl Default for LateWindow {
    fn default() -> Self {
        Self { first: 80, last: 20 }
    }
}

impl LateWindow {
    /// Whether training time `t` is inside.
    pub fn contains(&self, t: u32) -> bool {
        (self.last..=self.first).contains(&t)
    }
}

/// One way to noise, denoise and look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionArm {
    /// Name in tables.
    pub name: String,
    /// How noisy the images are made.
    #[serde(default)]
    pub noise: NoiseLevel,
    /// Another sampler than the experiment's.
    pub sampler: Option<SamplerConfig>,
    /// Other estimators than the experiment's.
    pub estimators: Option<Vec<EstimatorConfig>>,
    /// How many of the images it takes.
    #[serde(default)]
    pub images: ArmImages,
}

/// How noisy the images are when denoising starts at loop index `N / 2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseLevel {
    /// As noisy as the sampler expects there: training time `t_{N/2}`.
    #[default]
    Match,
    /// Half of the training times, the paper's `T / 2`, whatever the sampler expects.
    HalfT,
    /// DIFFERENCE (D18): training time `N / 2`, a loop index taken for a time: nearly clean images under a network that is
    /// told they are noisy. Its numbers are judged as the released code judges them.
    AuthorsCode,
}

impl NoiseLevel {
    /// Name, as in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::HalfT => "half_t",
            Self::AuthorsCode => "authors_code",
        }
    }
}

/// How many images an arm takes, always the first ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmImages {
    /// `n_pool` of the scale.
    #[default]
    All,
    /// `n_subset` of the scale: arms that need fewer images for their point.
    Subset,
}
