//! Kinds of pipelines: which parts they have, and what their network is called and told.

use std::path::Path;

use super::index::{INDEX_FILE, PipelineIndex};
use super::json::{read_json, refuse};
use crate::config::ConfigError;
use crate::fault::Fault;
use serde::Deserialize;

/// Tokens of T5 in Stable Diffusion 3, and rows of zeros in its place where it is left out.
pub const T5_LENGTH: usize = 256;

/// Pipelines that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion 1 and 2: one text encoder, whose last hidden states the network attends to.
    StableDiffusion,
    /// Stable Diffusion XL: two text encoders, and the sizes of the image.
    StableDiffusionXl,
    /// Stable Diffusion 3: a flow under a transformer, two text encoders and T5, which may be left out.
    StableDiffusion3,
}

/// Names of the network's inputs and output, as exporters give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkNames {
    /// State.
    pub sample: &'static str,
    /// Output.
    pub output: &'static str,
    /// Pooled states of texts, where it takes them.
    pub pooled: Option<&'static str>,
    /// Sizes of the image, where it takes them.
    pub sizes: Option<&'static str>,
}

impl Family {
    /// The family of a class of diffusers, or of its counterpart in Optimum.
    pub(super) fn of(path: &Path, index: &PipelineIndex) -> Result<Self, ConfigError> {
        match index.class.as_str() {
            "StableDiffusionPipeline"
            | "ORTStableDiffusionPipeline"
            | "OnnxStableDiffusionPipeline" => Ok(Self::StableDiffusion),
            "StableDiffusionXLPipeline" | "ORTStableDiffusionXLPipeline" => {
                Ok(Self::StableDiffusionXl)
            }
            "StableDiffusion3Pipeline" | "ORTStableDiffusion3Pipeline" => {
                Ok(Self::StableDiffusion3)
            }
            other => {
                let message = format!(
                    "is {other}: StableDiffusionPipeline (1 and 2), StableDiffusionXLPipeline and StableDiffusion3Pipeline are read; for another network write a model.yaml (`dubench model init`)"
                );
                let faults = vec![Fault::new("_class_name", message)];
                Err(ConfigError::Invalid { path: path.join(INDEX_FILE), faults })
            }
        }
    }

    /// Classifier-free guidance that the pipeline of diffusers has by default.
    pub fn guidance(self) -> f64 {
        match self {
            Self::StableDiffusion => 7.5,
            Self::StableDiffusionXl => 5.0,
            Self::StableDiffusion3 => 7.0,
        }
    }

    /// Folder of the network.
    pub fn network(self) -> &'static str {
        match self {
            Self::StableDiffusion | Self::StableDiffusionXl => "unet",
            Self::StableDiffusion3 => "transformer",
        }
    }

    /// Whether its network is a rectified flow.
    pub fn is_flow(self) -> bool {
        self == Self::StableDiffusion3
    }

    /// Names of inputs and output.
    pub fn names(self) -> NetworkNames {
        let unet =
            NetworkNames { sample: "sample", output: "out_sample", pooled: None, sizes: None };
        match self {
            Self::StableDiffusion => unet,
            Self::StableDiffusionXl => {
                NetworkNames { pooled: Some("text_embeds"), sizes: Some("time_ids"), ..unet }
            }
            Self::StableDiffusion3 => NetworkNames {
                sample: "hidden_states",
                output: "out_hidden_states",
                pooled: Some("pooled_projections"),
                sizes: None,
            },
        }
    }

    /// Folders of its text encoders and tokenizers; the third one where the pipeline has it.
    pub(super) fn text_folders(self, index: &PipelineIndex) -> Vec<[&'static str; 2]> {
        let all = [
            ["text_encoder", "tokenizer"],
            ["text_encoder_2", "tokenizer_2"],
            ["text_encoder_3", "tokenizer_3"],
        ];
        let n = match self {
            Self::StableDiffusion => 1,
            Self::StableDiffusion3 if index.parts.contains_key("text_encoder_3") => 3,
            Self::StableDiffusionXl | Self::StableDiffusion3 => 2,
        };
        all[..n].to_vec()
    }
}

/// A text encoder with its tokenizer, and what of it the network takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    /// Folder of the encoder.
    pub encoder: &'static str,
    /// Folder of the tokenizer.
    pub tokenizer: &'static str,
    /// Tokens of a text; `None` where only the tokenizer knows.
    pub length: Option<usize>,
    /// Output with the hidden states: the last, or those before the last layer.
    pub states: String,
    /// Output with one vector a text.
    pub pooled: Option<&'static str>,
}

/// `config.json` of a text encoder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct TextJson {
    #[serde(default)]
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    num_hidden_layers: Option<usize>,
}

/// Output of one vector a text of an encoder with a projection.
const POOLED: &str = "text_embeds";

/// The text encoders of a pipeline.
pub(super) fn texts(
    path: &Path,
    family: Family,
    index: &PipelineIndex,
) -> Result<Vec<TextPart>, ConfigError> {
    let mut parts = Vec::new();
    for (at, [encoder, tokenizer]) in family.text_folders(index).into_iter().enumerate() {
        let file = path.join(encoder).join("config.json");
        let text: TextJson = read_json(&file)?;
        let plain = TextPart {
            encoder,
            tokenizer,
            length: text.max_position_embeddings,
            states: "last_hidden_state".to_owned(),
            pooled: None,
        };
        parts.push(match (family, at) {
            (Family::StableDiffusion, _) => plain,
            (Family::StableDiffusion3, 2) => TextPart { length: Some(T5_LENGTH), ..plain },
            _ => {
                // Of n layers there are n + 1 hidden states, from the embedding on.
                let Some(before) = text.num_hidden_layers.and_then(|n| n.checked_sub(1)) else {
                    let message = "is missing: the network takes the states before the last layer; export the pipeline again";
                    refuse(&file, vec![Fault::new("num_hidden_layers", message)])?;
                    continue;
                };
                let pools = family == Family::StableDiffusion3 || at == 1;
                let states = format!("hidden_states.{before}");
                TextPart { states, pooled: pools.then_some(POOLED), ..plain }
            }
        });
    }
    Ok(parts)
}
