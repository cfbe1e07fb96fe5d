//! From a pipeline to a denoiser and a decoder.

use std::collections::BTreeMap;

use super::identity::identity;
use super::request::{Pipeline, described};
use super::text_states::TextStates;
use crate::config::ConfigError;
use crate::config::model_yaml::{Layout, TimeYaml};
use crate::fault::Fault;
use crate::graph::Model;
use crate::model::bundle::{Gradients, Opened, Provenance, SelfTest, with_products};
use crate::model::onnx::derive::{Forward, Sizes, vjp_graph_of_sizes};
use crate::model::onnx::{
    ConditionTensor, DenoiserParts, GraphSource, OnnxDecoder, OnnxDenoiser, RuntimeOptions,
    environment, self_test,
};
use crate::model::{DenoiserSpec, ModelError};
use crate::schedule::NoiseSchedule;

/// Inputs and output of the network of Stable Diffusion, as exporters name them.
const SAMPLE: &str = "sample";
const TIMESTEP: &str = "timestep";
const TEXT: &str = "encoder_hidden_states";
const OUT: &str = "out_sample";

/// Opens a pipeline: texts, network, decoder, self-test.
///
/// # Errors
/// [`ModelError::Bundle`] for what is wrong with the folder, [`ModelError::Runtime`] for what is wrong with the runtime,
/// the device or the cache.
pub fn open_pipeline(
    pipeline: &Pipeline,
    options: &RuntimeOptions,
    self_test: SelfTest,
    gradients: &Gradients,
) -> Result<Opened, ModelError> {
    let files = identity(pipeline)?;
    let schedule = schedule(pipeline)?;
    let states = TextStates::of(pipeline, options)?;
    let length = states.prompts.shape()[1..].to_vec();
    let mut denoiser = denoiser(pipeline, states, &schedule, options)?;
    if *gradients != Gradients::None {
        denoiser = differentiable(denoiser, pipeline, length, options)?;
    }
    let self_test = match self_test {
        SelfTest::Run => {
            let places = self_test::places(&schedule, denoiser.shares_time())
                .map_err(|error| fault(pipeline, "scheduler", &error.to_string()))?;
            Some(self_test::run(&mut denoiser, &places)?)
        }
        SelfTest::Skip => None,
    };
    // Where rows depend on their batch, its size moves digits: memory must not choose it.
    if let Some(memory) = options.memory
        && self_test.is_some_and(|report| report.is_invariant())
    {
        let digest = files.get("unet/model.onnx").map_or("", String::as_str);
        denoiser.fit_into(memory, (&pipeline.folder.graph("unet"), digest), options)?;
    }
    let decoder = Box::new(decoder(pipeline, options)?);
    let provenance = provenance(pipeline, files, options)?;
    let provenance = Provenance { self_test, ..provenance };
    let (spec, guidance) = (spec(pipeline), pipeline.guides().then_some(pipeline.scale));
    Ok(Opened { denoiser, guidance, decoder, spec, schedule, provenance })
}

/// The decoder. An image of it takes far more memory than one of the network: one at a time.
fn decoder(pipeline: &Pipeline, options: &RuntimeOptions) -> Result<OnnxDecoder, ModelError> {
    let single = RuntimeOptions { micro_batch: 1, ..options.clone() };
    let graph = pipeline.folder.graph("vae_decoder");
    let (name, source) = (graph.display().to_string(), GraphSource::File(&graph));
    OnnxDecoder::open(&name, source, pipeline.shape, pipeline.folder.scale, &single)
}

fn provenance(
    pipeline: &Pipeline,
    files: BTreeMap<String, String>,
    options: &RuntimeOptions,
) -> Result<Provenance, ModelError> {
    let runtime = environment::runtime(options.library.as_deref())?;
    Ok(Provenance {
        name: pipeline.folder.name.clone(),
        files,
        runtime_version: runtime.version.clone(),
        runtime_build: runtime.build.clone(),
        device: options.device_text(),
        threads: options.threads,
        micro_batch: options.micro_batch,
        self_test: None,
        notes: notes(pipeline),
    })
}

fn fault(pipeline: &Pipeline, part: &str, message: &str) -> ModelError {
    let path = pipeline.folder.path.join(part).display().to_string();
    ModelError::Bundle { path, message: message.to_owned() }
}

fn schedule(pipeline: &Pipeline) -> Result<NoiseSchedule, ModelError> {
    pipeline.folder.scheduler.schedule.build().map_err(|error| {
        let path = pipeline.folder.path.join("scheduler/scheduler_config.json");
        let faults = vec![Fault::new("beta_schedule", error.to_string())];
        described(ConfigError::Invalid { path, faults })
    })
}

/// Where it comes from, for the manifest.
fn notes(pipeline: &Pipeline) -> BTreeMap<String, serde_json::Value> {
    let index = &pipeline.folder.index;
    let notes = [
        ("pipeline", serde_json::json!(index.class)),
        ("diffusers", serde_json::json!(index.version)),
        ("guidance_scale", serde_json::json!(pipeline.scale)),
        ("negative_prompt", serde_json::json!(pipeline.negative)),
        ("n_prompts", serde_json::json!(pipeline.prompts.len())),
    ];
    notes.map(|(key, value)| (key.to_owned(), value)).into()
}

fn spec(pipeline: &Pipeline) -> DenoiserSpec {
    DenoiserSpec {
        name: pipeline.folder.name.clone(),
        shape: pipeline.shape,
        n_classes: None,
        has_conditions: true,
        clip_x0: false,
        range: [-1.0, 1.0],
        dropout_mask_len: None,
        dropout_p: None,
    }
}

fn denoiser(
    pipeline: &Pipeline,
    states: TextStates,
    schedule: &NoiseSchedule,
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let path = pipeline.folder.graph("unet");
    known_inputs(pipeline, &path)?;
    let text = ConditionTensor {
        input: TEXT.to_owned(),
        values: states.prompts,
        null: Some(states.negative),
    };
    let parts = DenoiserParts {
        spec: spec(pipeline),
        x: SAMPLE.to_owned(),
        t: TIMESTEP.to_owned(),
        y: None,
        null_class: None,
        conditions: vec![text],
        layout: Layout::Nchw,
        output: OUT.to_owned(),
        prediction: pipeline.folder.scheduler.prediction,
        schedule: schedule.clone(),
        time: TimeYaml::TRAIN_STEP,
    };
    OnnxDenoiser::open(GraphSource::File(&path), parts, options)
}

/// Refuses a network that asks for more than a pipeline of its kind gives.
fn known_inputs(pipeline: &Pipeline, path: &std::path::Path) -> Result<(), ModelError> {
    let refuse = |message: String| ModelError::Bundle { path: path.display().to_string(), message };
    let model = Model::read(path).map_err(|error| {
        let text = error.to_string();
        let prefix = format!("{}: ", path.display());
        refuse(text.strip_prefix(&prefix).unwrap_or(&text).to_owned())
    })?;
    let known = [SAMPLE, TIMESTEP, TEXT];
    match model.inputs().iter().find(|port| !known.contains(&port.name.as_str())) {
        None => Ok(()),
        Some(port) => Err(refuse(format!(
            "input `{}` is none of a {} here ({}): only pipelines without it are read",
            port.name,
            pipeline.folder.index.class,
            known.join(", ")
        ))),
    }
}

/// Adds vector-Jacobian products. Exporters leave height, width and length of the text open, and gradients want them known.
fn differentiable(
    denoiser: OnnxDenoiser,
    pipeline: &Pipeline,
    text: Vec<usize>,
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let path = pipeline.folder.graph("unet");
    let forward = Forward { path: &path, x: SAMPLE, output: OUT, axes: pipeline.shape };
    let sizes: Sizes = [(TEXT.to_owned(), text)].into();
    Ok(with_products(denoiser, vjp_graph_of_sizes(forward, &sizes, options))?.0)
}
