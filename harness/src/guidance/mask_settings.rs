//! Where the thresholds of a guidance mask come from.

use serde::{Deserialize, Serialize};

/// What the elements of a map are held against.
///
/// DIFFERENCE (D12, D28): Algorithm 2 takes a percentile of the map at hand; the text of the paper one over 10,000 generated
/// images; the released code one for each channel, pixel and step over 3,000 images, with M = 20.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MaskConfig {
    /// The percentile of each image's own map.
    PerImage {},
    /// For each channel, pixel and step, the percentile over a generated set.
    DatasetPixel {
        /// Images of the set; the scale's `n_threshold_images` where left out.
        n_images: Option<u64>,
        /// Draws of the set's maps; the rule's own where left out, so that map and threshold are the same statistic.
        n_draws: Option<u32>,
    },
    /// For each step, one percentile over all elements of a generated set.
    DatasetScalar {
        /// Images of the set; the scale's `n_threshold_images` where left out.
        n_images: Option<u64>,
        /// Draws of the set's maps; the rule's own where left out.
        n_draws: Option<u32>,
    },
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self::PerImage {}
    }
}

impl MaskConfig {
    /// Whether no set is needed.
    pub fn is_per_image(&self) -> bool {
        matches!(self, Self::PerImage {})
    }

    /// Images and draws of the set, as far as they are given; `None` where no set is needed.
    pub fn set(&self) -> Option<(Option<u64>, Option<u32>)> {
        match self {
            Self::PerImage {} => None,
            Self::DatasetPixel { n_images, n_draws }
            | Self::DatasetScalar { n_images, n_draws } => Some((*n_images, *n_draws)),
        }
    }

    /// The same with `images` and `draws` where the file gives none.
    #[must_use]
    pub fn resolved(&self, images: Option<u64>, draws: Option<u32>) -> Self {
        let mut mask = self.clone();
        match &mut mask {
            Self::PerImage {} => {}
            Self::DatasetPixel { n_images, n_draws }
            | Self::DatasetScalar { n_images, n_draws } => {
                *n_images = n_images.or(images);
                *n_draws = n_draws.or(draws);
            }
        }
        mask
    }
}
