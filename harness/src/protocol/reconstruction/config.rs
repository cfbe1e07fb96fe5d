//! The reconstruction protocol as an experiment writes it.

use serde::{Deserialize, Serialize};

use crate::config::ArmImages;
use crate::plan::{LateWindow, NoiseLevel};
use crate::sampler::SamplerConfig;
use crate::uncertainty::EstimatorConfig;

/// Arms over the same images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// Data set as `dubench stats` takes it: `cifar10-test`, or an `.npz` or a folder of images relative to the experiment
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
