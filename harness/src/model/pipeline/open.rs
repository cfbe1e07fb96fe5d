//! From a pipeline to a denoiser and a decoder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, array};

use super::identity::{identity, label};
use super::request::{Pipeline, described};
use super::text_states::TextStates;
use crate::config::ConfigError;
use crate::config::model_yaml::{Layout, TimeKind, TimeYaml};
use crate::fault::Fault;
use crate::graph::Model;
use crate::model::bundle::{Gradients, Opened, Provenance, SelfTest, with_products};
use crate::model::onnx::derive::{Forward, Sizes, vjp_graph_of_sizes};
use crate::model::onnx::{
    ConditionTensor, DenoiserParts, GraphSource, OnnxDecoder, OnnxDenoiser, RuntimeOptions,
    SelfTestReport, environment, self_test,
};
use crate::model::{DenoiserSpec, ModelError};
use crate::schedule::{NoiseSchedule, ScheduleConfig};

/// Inputs that the networks of all pipelines have.
const TIMESTEP: &str = "timestep";
const TEXT: &str = "encoder_hidden_states";

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
    let conditions = conditions(pipeline, TextStates::of(pipeline, options)?);
    let mut denoiser = denoiser_of(pipeline, conditions, (&schedule, gradients), options)?;
    let self_test = match self_test {
        SelfTest::Run => Some(self_tested(pipeline, &mut denoiser, &schedule)?),
        SelfTest::Skip => None,
    };
    // Where rows depend on their batch, its size moves digits: memory must not choose it.
    if let Some(memory) = options.memory
        && self_test.is_some_and(|report| report.is_invariant())
    {
        let network = pipeline.folder.family.network();
        let digest = files.get(&format!("{network}/model.onnx")).map_or("", String::as_str);
        denoiser.fit_into(memory, (&pipeline.folder.graph(network), digest), options)?;
    }
    let decoder = Box::new(decoder(pipeline, options)?);
    let provenance = provenance(pipeline, files, options)?;
    let provenance = Provenance { self_test, ..provenance };
    let (spec, guidance) = (spec(pipeline), pipeline.guides().then_some(pipeline.scale));
    Ok(Opened { denoiser, guidance, decoder, spec, schedule, provenance })
}

/// The network, with gradients where they are asked for.
pub(super) fn denoiser_of(
    pipeline: &Pipeline,
    conditions: Vec<ConditionTensor>,
    (schedule, gradients): (&NoiseSchedule, &Gradients),
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let axes =
        |tensor: &ConditionTensor| (tensor.input.clone(), tensor.values.shape()[1..].to_vec());
    let sizes: Sizes = conditions.iter().map(axes).collect();
    let denoiser = denoiser(pipeline, conditions, schedule, options)?;
    if *gradients == Gradients::None {
        return Ok(denoiser);
    }
    differentiable(denoiser, pipeline, &sizes, options)
}

/// Whether rows depend on their batch.
pub(super) fn self_tested(
    pipeline: &Pipeline,
    denoiser: &mut OnnxDenoiser,
    schedule: &NoiseSchedule,
) -> Result<SelfTestReport, ModelError> {
    let places = self_test::places(schedule, denoiser.shares_time())
        .map_err(|error| fault(pipeline, "scheduler", &error.to_string()))?;
    self_test::run(denoiser, &places)
}

/// The decoder. An image of it takes far more memory than one of the network: one at a time.
pub(super) fn decoder(
    pipeline: &Pipeline,
    options: &RuntimeOptions,
) -> Result<OnnxDecoder, ModelError> {
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
        name: label(pipeline)?,
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

pub(super) fn fault(pipeline: &Pipeline, part: &str, message: &str) -> ModelError {
    let path = pipeline.folder.path.join(part).display().to_string();
    ModelError::Bundle { path, message: message.to_owned() }
}

pub(super) fn schedule(pipeline: &Pipeline) -> Result<NoiseSchedule, ModelError> {
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
        ("negative_prompt", serde_json::json!(pipeline.told_negative())),
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
        dropout_reason: None,
    }
}

fn denoiser(
    pipeline: &Pipeline,
    conditions: Vec<ConditionTensor>,
    schedule: &NoiseSchedule,
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let (path, names) = (graph(pipeline), pipeline.folder.family.names());
    known_inputs(pipeline, &path, &conditions)?;
    let parts = DenoiserParts {
        spec: spec(pipeline),
        x: names.sample.to_owned(),
        t: TIMESTEP.to_owned(),
        y: None,
        null_class: None,
        conditions,
        layout: Layout::Nchw,
        output: names.output.to_owned(),
        prediction: pipeline.folder.scheduler.prediction,
        schedule: schedule.clone(),
        time: time(pipeline),
    };
    OnnxDenoiser::open(GraphSource::File(&path), parts, options)
}

fn graph(pipeline: &Pipeline) -> PathBuf {
    pipeline.folder.graph(pipeline.folder.family.network())
}

/// Training steps as they are; of a flow its time, counted as the scheduler counts it.
fn time(pipeline: &Pipeline) -> TimeYaml {
    match pipeline.folder.scheduler.schedule {
        ScheduleConfig::Flow { n_train_steps, .. } => {
            TimeYaml { kind: TimeKind::Flow, offset: 0.0, scale: f64::from(n_train_steps) }
        }
        _ => TimeYaml::TRAIN_STEP,
    }
}

/// What the network is told beyond state and time: hidden states of texts, pooled ones, and the sizes of the image.
pub(super) fn conditions(pipeline: &Pipeline, texts: TextStates) -> Vec<ConditionTensor> {
    let names = pipeline.folder.family.names();
    let TextStates { prompts, negative } = texts;
    let mut conditions = vec![ConditionTensor {
        input: TEXT.to_owned(),
        values: prompts.hidden(),
        null: Some(negative.states),
    }];
    if let (Some(input), Some(values)) = (names.pooled, prompts.pooled()) {
        let input = input.to_owned();
        conditions.push(ConditionTensor { input, values, null: negative.pooled });
    }
    if let Some(input) = names.sizes {
        let (values, null) = (sizes(pipeline).into(), None);
        conditions.push(ConditionTensor { input: input.to_owned(), values, null });
    }
    conditions
}

/// `[1, 6]`: height and width of the original, its corner, height and width of the image. The original is the image itself,
/// as where a pipeline is asked for nothing else.
#[expect(clippy::cast_precision_loss, reason = "pixels of an image")]
fn sizes(pipeline: &Pipeline) -> ArrayD<f32> {
    let ([_, h, w], pixels) = (pipeline.shape, pipeline.folder.pixels);
    let [h, w] = [h * pixels, w * pixels].map(|side| side as f32);
    array![[h, w, 0.0, 0.0, h, w]].into_dyn()
}

/// Refuses a network that asks for more than a pipeline of its kind gives.
fn known_inputs(
    pipeline: &Pipeline,
    path: &Path,
    conditions: &[ConditionTensor],
) -> Result<(), ModelError> {
    let refuse = |message: String| ModelError::Bundle { path: path.display().to_string(), message };
    let model = Model::read(path).map_err(|error| ModelError::of_graph(path, &error))?;
    let mut known = vec![pipeline.folder.family.names().sample, TIMESTEP];
    known.extend(conditions.iter().map(|tensor| tensor.input.as_str()));
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
    sizes: &Sizes,
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let (path, names) = (graph(pipeline), pipeline.folder.family.names());
    let forward =
        Forward { path: &path, x: names.sample, output: names.output, axes: pipeline.shape };
    Ok(with_products(denoiser, vjp_graph_of_sizes(forward, sizes, options))?.0)
}
