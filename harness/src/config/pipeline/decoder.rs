//! `vae_decoder/config.json`: what the decoder takes of a latent.

use std::path::Path;

use serde::Deserialize;

use super::json::{read_json, refuse};
use crate::config::ConfigError;
use crate::fault::Fault;

/// `config.json` of the decoder.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct DecoderJson {
    #[serde(default = "scaling_factor")]
    pub(super) scaling_factor: f64,
    #[serde(default)]
    pub(super) shift_factor: Option<f64>,
    #[serde(default)]
    latents_mean: Option<Vec<f64>>,
    block_out_channels: Vec<usize>,
    pub(super) latent_channels: usize,
}

/// That of `AutoencoderKL` where the file says nothing.
fn scaling_factor() -> f64 {
    0.18215
}

impl DecoderJson {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let decoder: Self = read_json(path)?;
        refuse(path, decoder.faults())?;
        Ok(decoder)
    }

    /// Pixels of an image along one side of a latent's pixel: each level but the last one doubles.
    pub(super) fn pixels(&self) -> usize {
        let levels = u32::try_from(self.block_out_channels.len()).unwrap_or(1);
        2_usize.pow(levels.clamp(1, 8) - 1)
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let Self { scaling_factor, shift_factor, latents_mean, block_out_channels, .. } = self;
        if !(scaling_factor.is_finite() && *scaling_factor > 0.0) {
            let message = format!("is {scaling_factor}, expected a number above 0");
            faults.push(Fault::new("scaling_factor", message));
        }
        if let Some(shift) = shift_factor.filter(|shift| !shift.is_finite()) {
            let message = format!("is {shift}, expected a number");
            faults.push(Fault::new("shift_factor", message));
        }
        if latents_mean.is_some() {
            let message = "is given, and each channel has its own mean, which is not read: use a decoder without it";
            faults.push(Fault::new("latents_mean", message));
        }
        if block_out_channels.is_empty() {
            faults.push(Fault::new("block_out_channels", "is empty: export the decoder again"));
        }
        faults
    }
}
