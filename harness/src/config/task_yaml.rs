//! What a network works on: pixels or latents.

use serde::{Deserialize, Serialize};

/// What the network works on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskYaml {
    /// Pixels.
    Denoiser {
        /// `[c, h, w]` of the image; `c` is 3, or 1 for grey.
        image: [usize; 3],
        /// Range of the pixels as the network sees them: [-1, 1] or [0, 1].
        range: [f64; 2],
        /// Number of classes; null for an unconditional network.
        classes: Option<u32>,
    },
    /// Latents, which a decoder turns into pixels.
    Latent {
        /// `[c, h, w]` of the latent.
        shape: [usize; 3],
        /// The decoder takes `latent / scale`.
        scale: f64,
        /// File of the decoder: one f32 input `[b, c, h, w]`, one f32 output `[b, 3, H, W]` in [-1, 1].
        decoder: String,
        /// File of the encoder, for arms that start at real images: one f32 input `[b, 3, H, W]` in [-1, 1], one f32 output
        /// `[b, c, h, w]`, or `[b, 2 c, h, w]` with means before log variances. The state is `scale` times the mean.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        encoder: Option<String>,
        /// Number of classes; null for an unconditional network.
        classes: Option<u32>,
    },
}

impl TaskYaml {
    /// `[c, h, w]` of the state `x_t`.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            Self::Denoiser { image, .. } => *image,
            Self::Latent { shape, .. } => *shape,
        }
    }

    /// Range of the pixels as the network, or the decoder of latents, has them.
    pub fn range(&self) -> [f64; 2] {
        match self {
            Self::Denoiser { range, .. } => *range,
            Self::Latent { .. } => [-1.0, 1.0],
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> Option<u32> {
        match self {
            Self::Denoiser { classes, .. } | Self::Latent { classes, .. } => *classes,
        }
    }
}
