//! What a pipeline is and can do, for people and for `--format json`.

use std::collections::BTreeMap;
use std::path::Path;

use super::identity::{REQUEST, identity, label};
use super::open::{self, conditions, denoiser_of, schedule};
use super::request::Pipeline;
use super::text_states::TextStates;
use crate::config::PipelineConfig;
use crate::model::bundle::{
    Gradients, MemoryPerImage, NoiseCheck, PortSummary, noise_of, prediction_word,
};
use crate::model::onnx::{RuntimeOptions, SelfTestReport};
use crate::model::{Denoiser, ModelError};
use crate::schedule::ScheduleConfig;

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
    /// Name in tables.
    pub name: String,
    /// Class in diffusers.
    pub class: String,
    /// Version of diffusers that wrote it.
    pub diffusers: Option<String>,
    /// `[c, h, w]` of the latents.
    pub shape: [usize; 3],
    /// Height and width of the images.
    pub image: [usize; 2],
    /// The decoder takes `latent / scale + shift`.
    pub latent_scale: f64,
    /// See `latent_scale`.
    pub latent_shift: f64,
    /// What the network predicts.
    pub prediction: &'static str,
    /// Noise schedule of training.
    pub schedule: ScheduleConfig,
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
    /// Inputs of the network.
    pub inputs: Vec<PortSummary>,
    /// Outputs of the network.
    pub outputs: Vec<PortSummary>,
    /// Bytes that one more image adds to a call, as far as they can be told.
    pub memory: MemoryPerImage,
    /// Why gradients are not applicable; null where they are, and where nobody asked.
    pub gradient_reason: Option<String>,
    /// What the self-test measured.
    pub self_test: SelfTestReport,
    /// Variance of the noise that the network predicts, at two levels.
    pub noise: Vec<NoiseCheck>,
    /// What does not look right, and what may be.
    pub warnings: Vec<String>,
    /// File name to SHA-256.
    pub files: BTreeMap<String, String>,
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
    let warnings = noise.iter().filter_map(NoiseCheck::warning);
    let warnings: Vec<String> =
        warnings.map(|text| text.replace("model.yaml", "scheduler_config.json")).collect();
    let (folder, [c, h, w]) = (&pipeline.folder, denoiser.spec().shape);
    Ok(PipelineSummary {
        name: label(&pipeline)?,
        class: folder.index.class.clone(),
        diffusers: folder.index.version.clone(),
        shape: [c, h, w],
        image: [h * folder.pixels, w * folder.pixels],
        latent_scale: folder.scale.scale,
        latent_shift: folder.scale.shift,
        prediction: prediction_word(folder.scheduler.prediction),
        schedule: folder.scheduler.schedule.clone(),
        sampler: folder.scheduler.sampler.label(),
        guidance: pipeline.scale,
        zero_negative: pipeline.zero_negative,
        texts: texts(&pipeline),
        conditions: fed,
        inputs: denoiser.session().inputs().iter().map(PortSummary::of).collect(),
        outputs: denoiser.session().outputs().iter().map(PortSummary::of).collect(),
        memory: MemoryPerImage { forward: memory.forward, vjp: memory.vjp },
        gradient_reason: denoiser.gradient_unavailable().filter(|_| *gradients != Gradients::None),
        self_test,
        noise,
        warnings,
        files,
    })
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
