//! The folder of a pipeline: what its JSON files say, and which files it is made of.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::index::{INDEX_FILE, PipelineIndex};
use super::json::{read_json, refuse};
use super::scheduler::Scheduler;
use crate::config::ConfigError;
use crate::fault::Fault;

/// Name of every graph in its folder.
const GRAPH: &str = "model.onnx";

/// Pipelines that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1 and 2: one text encoder, whose last hidden states the network attends to.
    StableDiffusion,
}

impl Family {
    /// Classifier-free guidance that the pipeline of diffusers has by default.
    pub fn guidance(self) -> f64 {
        match self {
            Self::StableDiffusion => 7.5,
        }
    }
}

/// `config.json` of the network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct NetworkJson {
    in_channels: usize,
    #[serde(default)]
    sample_size: Option<usize>,
}

/// `config.json` of the decoder.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct DecoderJson {
    #[serde(default = "scaling_factor")]
    scaling_factor: f64,
    #[serde(default)]
    shift_factor: Option<f64>,
    #[serde(default)]
    latents_mean: Option<Vec<f64>>,
    block_out_channels: Vec<usize>,
    latent_channels: usize,
}

/// That of `AutoencoderKL` where the file says nothing.
fn scaling_factor() -> f64 {
    0.18215
}

/// `config.json` of a text encoder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct TextJson {
    #[serde(default)]
    max_position_embeddings: Option<usize>,
}

/// A pipeline as its folder describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineFolder {
    /// The folder.
    pub path: PathBuf,
    /// Name in tables: that of the folder.
    pub name: String,
    /// `model_index.json`.
    pub index: PipelineIndex,
    /// Kind of pipeline.
    pub family: Family,
    /// Noise schedule, prediction and sampler.
    pub scheduler: Scheduler,
    /// Channels of the latent.
    pub channels: usize,
    /// Height and width of the latent that the network was trained on, where it says.
    pub trained_side: Option<usize>,
    /// Pixels of an image along one side of a latent's pixel.
    pub pixels: usize,
    /// The decoder takes `latent / scale`.
    pub scale: f64,
    /// Tokens of a text, where the encoder says.
    pub text_length: Option<usize>,
}

impl PipelineFolder {
    /// Reads the JSON files of a pipeline and looks for its graphs.
    ///
    /// # Errors
    /// [`ConfigError`] for files that are missing, of another library or version, or say what is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let index = PipelineIndex::read(path)?;
        let family = family(path, &index)?;
        require_parts(path, &index)?;
        let scheduler = Scheduler::read(&path.join("scheduler/scheduler_config.json"))?;
        let network: NetworkJson = read_json(&path.join("unet/config.json"))?;
        let decoder_path = path.join("vae_decoder/config.json");
        let decoder: DecoderJson = read_json(&decoder_path)?;
        refuse(&decoder_path, decoder_faults(&decoder))?;
        if network.in_channels != decoder.latent_channels {
            let message = format!(
                "is {}, and the decoder takes latents of {} channels: only pipelines that start from text alone are read",
                network.in_channels, decoder.latent_channels
            );
            refuse(&path.join("unet/config.json"), vec![Fault::new("in_channels", message)])?;
        }
        let text: TextJson = read_json(&path.join("text_encoder/config.json"))?;
        let levels = u32::try_from(decoder.block_out_channels.len()).unwrap_or(1);
        Ok(Self {
            path: path.to_owned(),
            name: name(path),
            index,
            family,
            scheduler,
            channels: network.in_channels,
            trained_side: network.sample_size,
            pixels: 2_usize.pow(levels.clamp(1, 8) - 1),
            scale: decoder.scaling_factor,
            text_length: text.max_position_embeddings,
        })
    }

    /// The graph of a part.
    pub fn graph(&self, part: &str) -> PathBuf {
        self.path.join(part).join(GRAPH)
    }

    /// `[c, h, w]` of the latents of images of `size` pixels, or of the size that the network was trained on.
    ///
    /// # Errors
    /// [`ConfigError`] for a size that is no multiple of the decoder's, and where nobody says one.
    pub fn shape(&self, size: Option<[usize; 2]>) -> Result<[usize; 3], ConfigError> {
        let fault = |message: String| {
            let faults = vec![Fault::new("size", message)];
            ConfigError::Invalid { path: self.path.clone(), faults }
        };
        let Some([height, width]) = size else {
            let side = self.trained_side.ok_or_else(|| {
                fault("is not given, and unet/config.json has no sample_size: write size: [height, width]".to_owned())
            })?;
            return Ok([self.channels, side, side]);
        };
        let pixels = self.pixels;
        if !height.is_multiple_of(pixels) || !width.is_multiple_of(pixels) {
            let message = format!("is [{height}, {width}], expected multiples of {pixels}");
            return Err(fault(message));
        }
        Ok([self.channels, height / pixels, width / pixels])
    }

    /// Files whose bytes decide what the pipeline computes, without external weights and tokenizers.
    pub fn files(&self) -> Vec<PathBuf> {
        let parts = ["unet", "text_encoder", "vae_decoder"];
        let mut files: Vec<PathBuf> = parts
            .iter()
            .flat_map(|part| [self.path.join(part).join("config.json"), self.graph(part)])
            .collect();
        files.push(self.path.join(INDEX_FILE));
        files.push(self.path.join("scheduler/scheduler_config.json"));
        files
    }
}

fn name(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole
        .file_name()
        .map_or_else(|| "pipeline".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn family(path: &Path, index: &PipelineIndex) -> Result<Family, ConfigError> {
    match index.class.as_str() {
        "StableDiffusionPipeline"
        | "ORTStableDiffusionPipeline"
        | "OnnxStableDiffusionPipeline" => Ok(Family::StableDiffusion),
        other => {
            let message = format!(
                "is {other}: StableDiffusionPipeline is read (Stable Diffusion 1 and 2); for another network write a model.yaml (`dubench model init`)"
            );
            let faults = vec![Fault::new("_class_name", message)];
            Err(ConfigError::Invalid { path: path.join(INDEX_FILE), faults })
        }
    }
}

/// Every part that is run must be there, as a graph.
fn require_parts(path: &Path, index: &PipelineIndex) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    for part in ["scheduler", "unet", "text_encoder", "tokenizer", "vae_decoder"] {
        let folder = path.join(part);
        let named = index.parts.contains_key(part) || part == "vae_decoder";
        if !named {
            faults.push(Fault::new(
                part,
                "is not named by model_index.json: export the pipeline again",
            ));
        } else if !folder.is_dir() {
            let message = "is no folder of the pipeline: export it again with all its parts";
            faults.push(Fault::new(part, message));
        } else if !["scheduler", "tokenizer"].contains(&part) && !folder.join(GRAPH).is_file() {
            let message = "has no model.onnx: export the pipeline to ONNX, `optimum-cli export onnx --model FOLDER OUT`";
            faults.push(Fault::new(part, message));
        }
    }
    refuse(path, faults)
}

fn decoder_faults(decoder: &DecoderJson) -> Vec<Fault> {
    let mut faults = Vec::new();
    let DecoderJson { scaling_factor, shift_factor, latents_mean, block_out_channels, .. } =
        decoder;
    if !(scaling_factor.is_finite() && *scaling_factor > 0.0) {
        let message = format!("is {scaling_factor}, expected a number above 0");
        faults.push(Fault::new("scaling_factor", message));
    }
    if let Some(shift) = shift_factor.filter(|shift| *shift != 0.0) {
        let message =
            format!("is {shift}, and latents are not shifted here: use a decoder without it");
        faults.push(Fault::new("shift_factor", message));
    }
    if latents_mean.is_some() {
        let message = "is given, and latents are not shifted here: use a decoder without it";
        faults.push(Fault::new("latents_mean", message));
    }
    if block_out_channels.is_empty() {
        faults.push(Fault::new("block_out_channels", "is empty: export the decoder again"));
    }
    faults
}
