//! The folder of a pipeline: what its JSON files say, and which files it is made of.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::decoder::DecoderJson;
use super::family::{self, Family, TextPart};
use super::index::{INDEX_FILE, PipelineIndex};
use super::json::{read_json, refuse};
use super::scheduler::Scheduler;
use crate::config::ConfigError;
use crate::fault::Fault;
use crate::schedule::TimeAxis;

/// Name of every graph in its folder.
const GRAPH: &str = "model.onnx";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// How latents are turned before they are decoded: `latent / scale + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentScale {
    /// Standard deviation of latents is brought to 1 by this factor.
    pub scale: f64,
    /// Mean of latents, 0 for all but Stable Diffusion 3.
    pub shift: f64,
}

impl LatentScale {
    /// A scale alone.
    pub fn of(scale: f64) -> Self {
        Self { scale, shift: 0.0 }
    }
}

/// `config.json` of the network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct NetworkJson {
    in_channels: usize,
    #[serde(default)]
    sample_size: Option<usize>,
    #[serde(default)]
    patch_size: Option<usize>,
    #[serde(default)]
    joint_attention_dim: Option<usize>,
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
    /// Pixels of a latent that the network takes at a time, along one side.
    pub patch: usize,
    /// The decoder takes `latent / scale + shift`.
    pub scale: LatentScale,
    /// Text encoders, in the order in which the network takes their states.
    pub texts: Vec<TextPart>,
    /// Width of the states that a transformer takes, which may be wider than those of its encoders.
    pub joint_width: Option<usize>,
}

impl PipelineFolder {
    /// Reads the JSON files of a pipeline and looks for its graphs.
    ///
    /// # Errors
    /// [`ConfigError`] for files that are missing, of another library or version, or say what is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let index = PipelineIndex::read(path)?;
        let family = Family::of(path, &index)?;
        require_parts(path, family, &index)?;
        let scheduler = Scheduler::read(&path.join(SCHEDULER))?;
        refuse(&path.join(SCHEDULER), scheduler_faults(family, &scheduler))?;
        let network_path = path.join(family.network()).join("config.json");
        let network: NetworkJson = read_json(&network_path)?;
        let decoder = DecoderJson::read(&path.join("vae_decoder/config.json"))?;
        if network.in_channels != decoder.latent_channels {
            let message = format!(
                "is {}, and the decoder takes latents of {} channels: only pipelines that start from text alone are read",
                network.in_channels, decoder.latent_channels
            );
            refuse(&network_path, vec![Fault::new("in_channels", message)])?;
        }
        let texts = family::texts(path, family, &index)?;
        Ok(Self {
            path: path.to_owned(),
            name: name(path),
            index,
            family,
            scheduler,
            channels: network.in_channels,
            trained_side: network.sample_size,
            pixels: decoder.pixels(),
            patch: network.patch_size.unwrap_or(1).max(1),
            scale: LatentScale {
                scale: decoder.scaling_factor,
                shift: decoder.shift_factor.unwrap_or_default(),
            },
            texts,
            joint_width: network.joint_attention_dim.filter(|_| family.is_flow()),
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
                fault(format!(
                    "is not given, and {}/config.json has no sample_size: write size: [height, width]",
                    self.family.network()
                ))
            })?;
            return Ok([self.channels, side, side]);
        };
        let (pixels, whole) = (self.pixels, self.pixels * self.patch);
        if !height.is_multiple_of(whole) || !width.is_multiple_of(whole) {
            let message = format!("is [{height}, {width}], expected multiples of {whole}");
            return Err(fault(message));
        }
        Ok([self.channels, height / pixels, width / pixels])
    }

    /// Files whose bytes decide what the pipeline computes, without external weights and tokenizers.
    pub fn files(&self) -> Vec<PathBuf> {
        let texts = self.texts.iter().map(|text| text.encoder);
        let parts = [self.family.network()].into_iter().chain(texts).chain(["vae_decoder"]);
        let mut files: Vec<PathBuf> = parts
            .flat_map(|part| [self.path.join(part).join("config.json"), self.graph(part)])
            .collect();
        files.push(self.path.join(INDEX_FILE));
        files.push(self.path.join(SCHEDULER));
        files
    }
}

fn name(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole
        .file_name()
        .map_or_else(|| "pipeline".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A flow has the scheduler of one, and nothing else has.
fn scheduler_faults(family: Family, scheduler: &Scheduler) -> Vec<Fault> {
    let flows = scheduler.schedule.axis() == TimeAxis::Flow;
    if flows == family.is_flow() {
        return Vec::new();
    }
    let message = if flows {
        "is FlowMatchEulerDiscreteScheduler, and the network is no flow: take that of the published pipeline"
    } else {
        "is not FlowMatchEulerDiscreteScheduler, and Stable Diffusion 3 is a flow: take that of the published pipeline"
    };
    vec![Fault::new("_class_name", message)]
}

/// Every part that is run must be there, as a graph.
fn require_parts(path: &Path, family: Family, index: &PipelineIndex) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    let texts = family.text_folders(index);
    let parts =
        texts.iter().flatten().copied().chain(["scheduler", family.network(), "vae_decoder"]);
    for part in parts {
        let folder = path.join(part);
        let named = index.parts.contains_key(part) || part == "vae_decoder";
        let is_graph = part != "scheduler" && !part.starts_with("tokenizer");
        if !named {
            faults.push(Fault::new(
                part,
                "is not named by model_index.json: export the pipeline again",
            ));
        } else if !folder.is_dir() {
            faults.push(Fault::new(part, no_folder(part)));
        } else if is_graph && !folder.join(GRAPH).is_file() {
            let message = "has no model.onnx: export the pipeline to ONNX, `optimum-cli export onnx --model FOLDER OUT`";
            faults.push(Fault::new(part, message));
        }
    }
    refuse(path, faults)
}

fn no_folder(part: &str) -> &'static str {
    if part.ends_with("_3") {
        return "is no folder of the pipeline: export it again with all its parts, or set text_encoder_3 and tokenizer_3 of model_index.json to [null, null] to go without T5";
    }
    "is no folder of the pipeline: export it again with all its parts"
}
