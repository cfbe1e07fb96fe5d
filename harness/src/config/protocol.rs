//! What an experiment computes from its images, with which features and against which reference.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{GuidanceConfig, ReconstructionConfig};

/// Published protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProtocolConfig {
    /// Table 1: discard the images that a score calls uncertain, and ask whether FID improves.
    Filtering {
        /// Random subsets that make the null distribution at `n_keep`.
        #[serde(default = "n_random")]
        n_random: u32,
        /// Curve of FID over the fraction discarded.
        #[serde(default)]
        curve: CurveConfig,
    },
    /// Table 2: noise real images, denoise them, and ask whether uncertainty marks the error.
    Reconstruction(ReconstructionConfig),
    /// Table 3: sample the same starts with and without guidance, and ask whether FID moves.
    Guidance(GuidanceConfig),
}

/// 200 subsets resolve p-values to 0.005 and the null's standard deviation to 5 %.
fn n_random() -> u32 {
    200
}

/// Points of the curve of FID over the fraction discarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurveConfig {
    /// The points stand at `i / n_parts`, for `i = 0 ..= n_points`. 12 parts put a point on the
    /// paper's one sixth.
    pub n_parts: u32,
    /// Points beyond 0; 6 of 12 parts end at one half.
    pub n_points: u32,
    /// Random subsets at each point, for the band. Fewer than at `n_keep`: only mean and spread are drawn.
    pub n_random: u32,
}

impl Default for CurveConfig {
    fn default() -> Self {
        Self { n_parts: 12, n_points: 6, n_random: 20 }
    }
}

/// Feature network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeaturesConfig {
    /// A network described by a file of `kind: extractor`.
    Extractor {
        /// That file, relative to the experiment file: `extractors/fid-inception.yaml`.
        path: PathBuf,
        /// Resize and scaling, where not the file's own.
        preprocess: Option<Preprocess>,
    },
    /// Means of pixel blocks, `grid x grid` a channel, scaled to [0, 1]: no network, for tests of
    /// the pipeline. Their Fréchet distance is not an FID.
    Pixels {
        /// Blocks along each side.
        grid: usize,
    },
}

/// Resize and scaling convention of images on their way into a feature network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preprocess {
    /// Half-pixel bilinear without antialiasing: the paper's evaluation.
    #[default]
    PytorchFid,
    /// The bilinear of TensorFlow 1, as torch-fidelity.
    TorchFidelity,
    /// PIL bicubic, as clean-fid.
    CleanFid,
}

impl Preprocess {
    /// Name, as in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
            Self::CleanFid => "clean-fid",
        }
    }
}

/// Reference statistics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// Data set and split, as tables print it: `cifar10-train`.
    pub dataset: String,
    /// `.npz` with `mu`, `sigma`, `n` and provenance, relative to the experiment file.
    pub path: PathBuf,
}
