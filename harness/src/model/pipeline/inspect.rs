//! What a pipeline is and can do, for people and for `--format json`.

use std::collections::BTreeMap;
use std::path::Path;

use super::identity::{REQUEST, identity, label};
use super::open::{self, conditions, denoiser_of, schedule};
use super::request::Pipeline;
use super::text_states::TextStates;
use crate::config::PipelineConfig;
use crate::model::bundle::{Gradients, Measured, NetworkSummary, Said, noise_of, prediction_word};
use crate::model::onnx::RuntimeOptions;
use crate::model::{Denoiser, ModelError};

/// What the pipeline is asked for here.
const PROMPT: &str = "a photograph";

/// A text encoder with its tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TextSummary {
    /// Folder of the encoder.
    pub encoder: String,
    /// Folder of the tokenizer.
    pub tokenizer: String,
    /// Tokens of a text; null where only the tokenizer says.
    pub length: Option<usize>,
    /// Outputs that are taken.
    pub outputs: Vec<String>,
}

/// A pipeline in short.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PipelineSummary {
    /// The network; `shape` is that of the latents.
    #[serde(flatten)]
    pub network: NetworkSummary,
    /// Class in diffusers.
    pub class: String,
    /// Version of diffusers that wrote it.
    pub diffusers: Option<String>,
    /// Height and width of the images.
    pub image: [usize; 2],
    /// The decoder takes `latent / scale + shift`.
    pub latent_scale: f64,
    /// See `latent_scale`.
    pub latent_shift: f64,
    /// The sampler that the pipeline names, with 50 steps.
    pub sampler: String,
    /// Scale of classifier-free guidance where nobody says another.
    pub guidance: f64,
    /// Whether states of zeros stand for no negative prompt.
    pub zero_negative: bool,
    /// Text encoders, in the order in which the network takes their states.
    pub texts: Vec<TextSummary>,
    /// What the network is told beyond state and time: its inputs, with the axes behind the batch.
    pub conditions: BTreeMap<String, Vec<usize>>,
}

/// Opens the pipeline in `folder` at the size of its training and tells what it is. `gradients` asks whether it has some, which
/// means to derive them.
///
/// # Errors
/// As [`super::open_pipeline`].
pub fn inspect(
    folder: &Path,
    options: &RuntimeOptions,
    gradients: &Gradients,
) -> Result<PipelineSummary, ModelError> {
    let config = PipelineConfig::new(folder.to_owned(), vec![PROMPT.to_owned()]);
    let pipeline = Pipeline::read(&config, Path::new(""))?;
    let mut files = identity(&pipeline)?;
    files.remove(REQUEST);
    let schedule = schedule(&pipeline)?;
    let conditions = conditions(&pipeline, TextStates::of(&pipeline, options)?);
    let fed =
        conditions.iter().map(|c| (c.input.clone(), c.values.shape()[1..].to_vec())).collect();
    let mut denoiser = denoiser_of(&pipeline, conditions, (&schedule, gradients), options)?;
    // That it is a decoder is what opening checks.
    open::decoder(&pipeline, options)?;
    let self_test = open::self_tested(&pipeline, &mut denoiser, &schedule)?;
    let noise = noise_of(&mut denoiser, &schedule)?;
    let network = pipeline.folder.family.network();
    let digest = files.get(&format!("{network}/model.onnx")).map_or("", String::as_str);
    let graph = pipeline.folder.graph(network);
    let memory = denoiser.memory_per_image((&graph, digest), options)?;
    let (folder, [_, h, w]) = (&pipeline.folder, denoiser.spec().shape);
    let said = said(&pipeline, files)?;
    let measured = Measured { self_test, noise, memory };
    let mut network = NetworkSummary::of(&denoiser, said, measured, gradients);
    for warning in &mut network.warnings {
        *warning = warning.replace("model.yaml", "scheduler_config.json");
    }
    Ok(PipelineSummary {
        network,
        class: folder.index.class.clone(),
        diffusers: folder.index.version.clone(),
        image: [h * folder.pixels, w * folder.pixels],
        latent_scale: folder.scale.scale,
        latent_shift: folder.scale.shift,
        sampler: folder.scheduler.sampler.label(),
        guidance: pipeline.scale,
        zero_negative: pipeline.zero_negative,
        texts: texts(&pipeline),
        conditions: fed,
    })
}

/// What the folder says of its network.
fn said(pipeline: &Pipeline, files: BTreeMap<String, String>) -> Result<Said, ModelError> {
    let scheduler = &pipeline.folder.scheduler;
    let (name, prediction) = (label(pipeline)?, prediction_word(scheduler.prediction));
    Ok(Said { name, prediction, schedule: scheduler.schedule.clone(), files })
}

fn texts(pipeline: &Pipeline) -> Vec<TextSummary> {
    let of = |part: &crate::config::pipeline::TextPart| TextSummary {
        encoder: part.encoder.to_owned(),
        tokenizer: part.tokenizer.to_owned(),
        length: part.length,
        outputs: std::iter::once(part.states.clone())
            .chain(part.pooled.map(str::to_owned))
            .collect(),
    };
    pipeline.folder.texts.iter().map(of).collect()
}
