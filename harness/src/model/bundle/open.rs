//! From a folder to a denoiser and a decoder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::conditions::Conditioned;
use super::{files, precision};
use crate::config::model_yaml::{ClipX0Yaml, Layout, MODEL_FILE, ModelYaml, TaskYaml};
use crate::config::pipeline::LatentScale;
use crate::config::{CfgYaml, Prediction};
use crate::graph::{GraphError, Model, checks};
use crate::model::onnx::derive::{
    DeriveError, Forward, VjpGraph, dropout_graph, variance_gradient_graph, vjp_graph,
};
use crate::model::onnx::{
    DenoiserParts, GraphSource, OnnxDecoder, OnnxDenoiser, OnnxEncoder, RuntimeOptions,
    SelfTestReport, environment, self_test,
};
use crate::model::{
    ClassifierFree, Decoder, Denoiser, DenoiserSpec, Encoder, ModelError, PixelDecoder,
};
use crate::schedule::NoiseSchedule;

/// Whether opening measures that rows do not depend on their batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfTest {
    /// It does: some twenty rows through the network.
    #[default]
    Run,
    /// It does not.
    Skip,
}

/// Which gradient graphs are made of the network when it is opened. They cost seconds, so they are made
/// only where something asks for gradients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gradients {
    /// None.
    #[default]
    None,
    /// Vector-Jacobian products, and the fused variance gradient for each of these numbers of draws.
    Derive {
        /// Numbers of draws, each 2 or more.
        n_draws: Vec<u32>,
    },
}

/// A bundle, open and checked.
pub struct Opened {
    /// The network.
    pub denoiser: OnnxDenoiser,
    /// Scale of classifier-free guidance, where the null has any weight.
    pub guidance: Option<f64>,
    /// From the final state to images.
    pub decoder: Box<dyn Decoder>,
    /// What the network asks of its caller.
    pub spec: DenoiserSpec,
    /// Noise schedule of training.
    pub schedule: NoiseSchedule,
    /// Where answers of this network come from.
    pub provenance: Provenance,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("spec", &self.spec)
            .field("provenance", &self.provenance)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// The network as an experiment runs it: under its guidance, where it has some.
    pub fn guided(denoiser: OnnxDenoiser, guidance: Option<f64>) -> Box<dyn Denoiser> {
        match guidance {
            Some(scale) => Box::new(ClassifierFree::new(Box::new(denoiser), scale)),
            None => Box::new(denoiser),
        }
    }
}

/// Everything that an answer of the network depends on, for the manifest.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// Name of the bundle.
    pub name: String,
    /// File name to SHA-256, `model.yaml` included.
    pub files: BTreeMap<String, String>,
    /// Version of ONNX Runtime.
    pub runtime_version: String,
    /// Its build.
    pub runtime_build: String,
    /// Processor.
    pub device: String,
    /// Threads inside an operator.
    pub threads: usize,
    /// Rows of one call.
    pub micro_batch: usize,
    /// What the self-test measured; null where it was skipped.
    pub self_test: Option<SelfTestReport>,
    /// `provenance` of `model.yaml`.
    pub notes: BTreeMap<String, serde_json::Value>,
}

/// Opens the bundle in `folder`: description, hashes, paths, graphs, self-test.
///
/// # Errors
/// [`ModelError::Bundle`] and [`ModelError::Integrity`] for what is wrong with the bundle,
/// [`ModelError::Runtime`] for what is wrong with the runtime or the device.
pub fn open_bundle(
    folder: &Path,
    options: &RuntimeOptions,
    self_test: SelfTest,
) -> Result<Opened, ModelError> {
    open_bundle_with(folder, options, self_test, &Gradients::None)
}

/// As [`open_bundle`], with gradients. A network whose graph has no gradient is opened all the same, and says why it
/// has none when it is asked ([`ModelError::NotApplicable`]).
///
/// # Errors
/// As [`open_bundle`], and [`ModelError::Runtime`] for a cache of derived graphs that fails.
pub fn open_bundle_with(
    folder: &Path,
    options: &RuntimeOptions,
    self_test: SelfTest,
    gradients: &Gradients,
) -> Result<Opened, ModelError> {
    open_bundle_as(folder, options, self_test, (gradients, None))
}

/// As [`open_bundle_with`], under classifier-free guidance of `cfg`: what it leaves out is that of the bundle.
///
/// # Errors
/// As [`open_bundle_with`], and [`ModelError::Bundle`] for guidance that the network cannot have.
pub fn open_bundle_as(
    folder: &Path,
    options: &RuntimeOptions,
    self_test: SelfTest,
    (gradients, cfg): (&Gradients, Option<&CfgYaml>),
) -> Result<Opened, ModelError> {
    let mut model = describe(folder)?;
    let cfg = cfg.cloned().unwrap_or_default().over(model.cfg.as_ref());
    model.cfg = Some(cfg.clone());
    let hashes = files::check(folder, &model)?;
    precision::check(folder, &model)?;
    let schedule = schedule(folder, &model)?;
    let conditioned = Conditioned::read(folder, &model)?;
    let guidance = conditioned.scale(folder, &cfg)?;
    let mut denoiser = denoiser((folder, &model), conditioned, &schedule, options)?;
    if let Gradients::Derive { n_draws } = gradients {
        // The fused graph has the variance of one network in it: guidance goes by products.
        let n_draws = if guidance.is_some() { &[] } else { n_draws.as_slice() };
        denoiser = with_gradients(denoiser, (folder, &model), n_draws, options)?;
    }
    let decoder = decoder(folder, &model, options)?;
    let report = match self_test {
        SelfTest::Run => Some(self_tested(&mut denoiser, (folder, &model), &schedule)?),
        SelfTest::Skip => None,
    };
    // Where rows depend on their batch, its size moves digits: memory must not choose it.
    if let Some(memory) = options.memory
        && report.is_some_and(|report| report.is_invariant())
    {
        let (path, digest) = forward(folder, &model);
        denoiser.fit_into(memory, (&path, digest), options)?;
    }
    let runtime = environment::runtime(options.library.as_deref())?;
    let provenance = Provenance {
        name: model.name,
        files: hashes,
        runtime_version: runtime.version.clone(),
        runtime_build: runtime.build.clone(),
        device: options.device_text(),
        threads: options.threads,
        micro_batch: options.micro_batch,
        self_test: report,
        notes: model.provenance,
    };
    let spec = denoiser.spec().clone();
    Ok(Opened { denoiser, guidance, decoder, spec, schedule, provenance })
}

/// Runs the self-test. Where the runtime fails on a batch, the graph is asked whether it has a batch baked in.
pub(super) fn self_tested(
    denoiser: &mut OnnxDenoiser,
    (folder, model): (&Path, &ModelYaml),
    schedule: &NoiseSchedule,
) -> Result<SelfTestReport, ModelError> {
    let places = self_test::places(schedule, denoiser.shares_time())
        .map_err(|error| files::fault(&folder.join(MODEL_FILE), error.to_string()))?;
    self_test::run(denoiser, &places).map_err(|error| {
        let (ModelError::Runtime { .. } | ModelError::Bundle { .. }) = error else { return error };
        let (path, _) = forward(folder, model);
        let x = &model.graphs.denoiser.inputs.x;
        let found = Model::read(&path).and_then(|graph| checks::open_batch(&graph, x));
        match found {
            Err(refusal @ GraphError::Node { .. }) => ModelError::of_graph(&path, &refusal),
            _ => error,
        }
    })
}

/// Reads `model.yaml`.
pub(super) fn describe(folder: &Path) -> Result<ModelYaml, ModelError> {
    let path = folder.join(MODEL_FILE);
    ModelYaml::read(&path).map_err(|error| {
        let text = error.to_string();
        let prefix = format!("{}: ", path.display());
        files::fault(&path, text.strip_prefix(&prefix).unwrap_or(&text).to_owned())
    })
}

/// The noise schedule of training.
pub(super) fn schedule(folder: &Path, model: &ModelYaml) -> Result<NoiseSchedule, ModelError> {
    let schedule = model.schedule.build();
    schedule.map_err(|error| files::fault(&folder.join(MODEL_FILE), error.to_string()))
}

pub(super) fn denoiser(
    (folder, model): (&Path, &ModelYaml),
    conditioned: Conditioned,
    schedule: &NoiseSchedule,
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let graph = &model.graphs.denoiser;
    let parts = DenoiserParts {
        spec: spec(model),
        x: graph.inputs.x.clone(),
        t: graph.inputs.t.clone(),
        y: graph.inputs.y.clone(),
        null_class: conditioned.null_class,
        conditions: conditioned.tensors,
        layout: graph.layout,
        output: graph.outputs.prediction.clone(),
        prediction: model.prediction,
        schedule: schedule.clone(),
        time: model.time(),
    };
    let path = folder.join(&graph.file);
    let denoiser = OnnxDenoiser::open(GraphSource::File(&path), parts, options)?;
    Ok(match &model.graphs.train {
        None => denoiser,
        Some(train) => {
            // A graph that cannot be rewritten is "not applicable"; a cache or runtime that fails is an error,
            // or a full disk would drop a method from a run in silence.
            match dropout_graph(to_derive(&folder.join(&train.file), model), options) {
                Ok(derived) => denoiser.with_dropout(Ok(derived)),
                Err(DeriveError::Graph(error)) => denoiser.with_dropout(Err(error.to_string())),
                Err(DeriveError::Model(error)) => return Err(error),
            }
        }
    })
}

/// File of the forward graph and its digest.
pub(super) fn forward<'a>(folder: &Path, model: &'a ModelYaml) -> (PathBuf, &'a str) {
    let name = &model.graphs.denoiser.file;
    (folder.join(name), model.files.get(name).map_or("", |file| file.sha256.as_str()))
}

/// Adds the gradient graphs. The fused one is made where the output is `epsilon_hat` itself: elsewhere its variance
/// is another number.
pub(super) fn with_gradients(
    denoiser: OnnxDenoiser,
    (folder, model): (&Path, &ModelYaml),
    n_draws: &[u32],
    options: &RuntimeOptions,
) -> Result<OnnxDenoiser, ModelError> {
    let path = folder.join(&model.graphs.denoiser.file);
    let forward = to_derive(&path, model);
    let (mut denoiser, derived) = with_products(denoiser, vjp_graph(forward, options))?;
    if model.prediction != Prediction::Epsilon || !derived {
        return Ok(denoiser);
    }
    for n in n_draws {
        match variance_gradient_graph(forward, *n, options) {
            Ok(derived) => denoiser = denoiser.with_variance_gradient(derived, options),
            // Without it the same numbers come from vector-Jacobian products.
            Err(DeriveError::Graph(error)) => tracing::warn!(%error, "no fused variance gradient"),
            Err(DeriveError::Model(error)) => return Err(error),
        }
    }
    Ok(denoiser)
}

/// A graph of the bundle, at the size that its description says.
pub(super) fn to_derive<'a>(path: &'a Path, model: &'a ModelYaml) -> Forward<'a> {
    let graph = &model.graphs.denoiser;
    let [c, h, w] = model.task.shape();
    let axes = match graph.layout {
        Layout::Nchw => [c, h, w],
        Layout::Nhwc => [h, w, c],
    };
    Forward { path, x: &graph.inputs.x, output: &graph.outputs.prediction, axes }
}

/// Adds vector-Jacobian products, or the reason why there are none; says whether there are.
pub(in crate::model) fn with_products(
    denoiser: OnnxDenoiser,
    graph: Result<VjpGraph, DeriveError>,
) -> Result<(OnnxDenoiser, bool), ModelError> {
    match graph {
        Ok(derived) => Ok((denoiser.with_vjp(Ok(derived)), true)),
        Err(DeriveError::Graph(error)) => Ok((denoiser.with_vjp(Err(error.to_string())), false)),
        Err(DeriveError::Model(error)) => Err(error),
    }
}

fn spec(model: &ModelYaml) -> DenoiserSpec {
    let clip_x0 = match (model.sampler.clip_x0, &model.task) {
        (ClipX0Yaml::Unit, _) | (ClipX0Yaml::Auto, TaskYaml::Denoiser { .. }) => true,
        (ClipX0Yaml::Off, _) | (ClipX0Yaml::Auto, TaskYaml::Latent { .. }) => false,
    };
    DenoiserSpec {
        name: model.name.clone(),
        shape: model.task.shape(),
        n_classes: model.task.classes(),
        has_conditions: !model.conditions.is_empty(),
        clip_x0,
        range: range(&model.task),
        dropout_mask_len: None,
        dropout_p: None,
        dropout_reason: None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "one of -1, 0, 1")]
fn range(task: &TaskYaml) -> [f32; 2] {
    task.range().map(|end| end as f32)
}

fn decoder(
    folder: &Path,
    model: &ModelYaml,
    options: &RuntimeOptions,
) -> Result<Box<dyn Decoder>, ModelError> {
    match &model.task {
        task @ TaskYaml::Denoiser { .. } => Ok(Box::new(PixelDecoder::new(range(task)))),
        TaskYaml::Latent { shape, scale, decoder, .. } => {
            let path = folder.join(decoder);
            let name = format!("{} ({decoder})", model.name);
            let source = GraphSource::File(&path);
            let scale = LatentScale::of(*scale);
            Ok(Box::new(OnnxDecoder::open(&name, source, *shape, scale, options)?))
        }
    }
}

/// The encoder of the bundle in `folder`, which was opened before; `None` where it names none.
///
/// # Errors
/// [`ModelError::Bundle`] for a graph that is no encoder, [`ModelError::Runtime`] where the runtime refuses it.
pub fn open_encoder(
    folder: &Path,
    options: &RuntimeOptions,
) -> Result<Option<Box<dyn Encoder>>, ModelError> {
    encoder(folder, &describe(folder)?, options)
}

pub(super) fn encoder(
    folder: &Path,
    model: &ModelYaml,
    options: &RuntimeOptions,
) -> Result<Option<Box<dyn Encoder>>, ModelError> {
    let TaskYaml::Latent { shape, scale, encoder: Some(encoder), .. } = &model.task else {
        return Ok(None);
    };
    let path = folder.join(encoder);
    let name = format!("{} ({encoder})", model.name);
    let source = GraphSource::File(&path);
    Ok(Some(Box::new(OnnxEncoder::open(&name, source, (*shape, *scale), options)?)))
}

/// Word of a prediction, as in `model.yaml`.
pub(in crate::model) fn prediction_word(prediction: Prediction) -> &'static str {
    match prediction {
        Prediction::Epsilon => "epsilon",
        Prediction::X0 => "x0",
        Prediction::V => "v",
        Prediction::Score => "score",
        Prediction::Velocity => "velocity",
        Prediction::Denoised => "denoised",
        Prediction::EdmRaw => "edm_raw",
    }
}
