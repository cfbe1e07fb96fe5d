//! Which features images are compared by, and against which reference.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
        /// How generated images are prepared, where not as real ones are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generated: Option<GeneratedImages>,
    },
    /// How well images agree with their prompts, by a CLIP export: a text-to-image pipeline's pairs alone. It is one number an
    /// image, the cosine of both embeddings.
    Clip {
        /// Folder as Optimum writes it, relative to the experiment file: `models/clip-vit-base-patch16`.
        path: PathBuf,
    },
    /// Means of pixel blocks, `grid x grid` a channel, scaled to [0, 1]: no network, for tests of
    /// the pipeline. Their Fréchet distance is not an FID.
    Pixels {
        /// Blocks along each side.
        grid: usize,
    },
}

impl FeaturesConfig {
    /// How generated images are prepared, where not as real ones are.
    pub fn generated(&self) -> Option<GeneratedImages> {
        match self {
            Self::Extractor { generated, .. } => *generated,
            Self::Clip { .. } | Self::Pixels { .. } => None,
        }
    }
}

/// How generated images are prepared, where not as real ones are: what that does is the question of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratedImages {
    /// DIFFERENCE (D25): in [0, 1] and padded with zeros, while real images are resized and normalised: what the released code of
    /// Table 4 does.
    AuthorsCode,
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

/// Data sets that go by a name wherever images are asked for; anything else is a path.
pub const NAMED_IMAGES: [&str; 4] =
    ["cifar10-train", "cifar10-test", "fashion-mnist-train", "fashion-mnist-test"];

/// What generated images are held against: statistics, images, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// Data set and split, as tables print it: `cifar10-train`.
    pub dataset: String,
    /// `.npz` with `mu`, `sigma`, `n` and provenance, relative to the experiment file; a protocol that looks at images alone
    /// can do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The reference's images, as `dubench stats` takes them: the `n_real` of a scale are drawn of them, for measures that
    /// moments are not enough for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}
