//! Models and feature networks of an experiment, opened: that their files hold what their descriptions promise is
//! checked here. [`super::identities`] names them without that.

use crate::config::model_yaml::MODEL_FILE;
use crate::config::{ExtractorYaml, FeaturesConfig, ModelConfig, ModelYaml};
use crate::experiment::{Experiment, Plan};
use crate::model::bundle::files::check_present;
use crate::model::bundle::{
    Gradients, Opened, SelfTest, open_bundle_as, open_encoder, with_posterior, with_steps,
};
use crate::model::clip::ClipScore;
use crate::model::onnx::{OnnxExtractor, RuntimeOptions, StepGraphs, environment};
use crate::model::pipeline::{self, Pipeline, open_pipeline};
use crate::model::{Fisher, ModelError};
use crate::propagation::METHOD;
use crate::store::Provenance;

use super::pixels::PixelFeatures;
use super::{OpenModel, analytic, inputs, step_graphs};
use crate::stage::StageError;
use crate::stage::features::OpenExtractor;

/// Opens the model of a plan, with the gradient graphs that its rules ask for; a bundle is checked and tests itself.
///
/// # Errors
/// [`StageError::Model`] for a bundle that is broken or a runtime that is missing.
pub fn open_model(
    experiment: &Experiment,
    plan: &Plan,
    options: &RuntimeOptions,
) -> Result<OpenModel, StageError> {
    open_model_as(experiment, plan, options, SelfTest::Run)
}

/// As [`open_model`], with or without the test of itself.
///
/// # Errors
/// As [`open_model`].
pub fn open_model_as(
    experiment: &Experiment,
    plan: &Plan,
    options: &RuntimeOptions,
    self_test: SelfTest,
) -> Result<OpenModel, StageError> {
    let config = experiment.model_of(inputs::scale_of(experiment, &plan.scale)?);
    let n_draws = plan.gradient_draws();
    let gradients = if n_draws.is_empty() && !plan.watches_gradients() {
        Gradients::None
    } else {
        Gradients::Derive { n_draws }
    };
    let asked = (options, self_test, &gradients);
    let mut model = match options.step_graphs {
        StepGraphs::Off => open_network(experiment, config, asked)?,
        StepGraphs::On => open_stepping(experiment, (plan, config), asked)?,
    };
    model.starts = inputs::starts(experiment)?.map(|(_, file)| file);
    if let Some(images) = experiment.protocol.needs().images {
        model.images = Some(inputs::images(experiment, images)?);
        if let ModelConfig::Bundle { path, .. } = config {
            model.encoder = open_encoder(&experiment.resolve(path), options)?;
        }
    }
    Ok(model)
}

/// Holds the files behind parts that were found, and that nobody opened for that, against what the plan was made of. A file that is
/// missing contradicts nothing: parts may be put together where no network is.
///
/// # Errors
/// [`StageError::Model`] for a file with another size or hash than its description promises.
pub fn check_files(experiment: &Experiment, scale: &str) -> Result<(), StageError> {
    let sizes = inputs::scale_of(experiment, scale)?;
    // A pipeline is named by the hashes of its files themselves.
    if let ModelConfig::Bundle { path, .. } = experiment.model_of(sizes) {
        let folder = experiment.resolve(path);
        check_present(&folder, &ModelYaml::read(&folder.join(MODEL_FILE))?)?;
    }
    if let Some(FeaturesConfig::Extractor { path, .. }) = experiment.features_of(sizes) {
        OnnxExtractor::check_present(&experiment.resolve(path))?;
    }
    Ok(())
}

/// The network of a plan with graphs of whole steps, which have the bits of separate calls.
fn open_stepping(
    experiment: &Experiment,
    (plan, config): (&Plan, &ModelConfig),
    (options, self_test, gradients): (&RuntimeOptions, SelfTest, &Gradients),
) -> Result<OpenModel, StageError> {
    let ModelConfig::Bundle { path, cfg, precision } = config else {
        let reason = "it is no bundle: networks in closed form and pipelines have no graph of whole steps: leave it out";
        return Err(step_graphs::refusal(&experiment.name, reason));
    };
    let options = RuntimeOptions { precision: *precision, ..options.clone() };
    let folder = experiment.resolve(path);
    let opened = open_bundle_as(&folder, &options, self_test, (gradients, cfg.as_ref()))?;
    let opened = differentiable(opened, gradients)?;
    let mut opened = with_uncertain_weights(experiment, (config, &options), opened)?;
    let name = opened.spec.name.clone();
    if opened.guidance.is_some() {
        let reason = "classifier-free guidance mixes two of its predictions: leave it out, or set model.cfg.scale: 1";
        return Err(step_graphs::refusal(&name, reason));
    }
    if opened.provenance.self_test.is_some_and(|report| !report.is_invariant()) {
        let reason =
            "its rows depend on the batch around them, which is another one there: leave it out";
        return Err(step_graphs::refusal(&name, reason));
    }
    let stepped = step_graphs::stepped(plan, (&opened.spec, &opened.schedule))?;
    let kinds = step_graphs::kinds(&stepped);
    opened.denoiser = with_steps(opened.denoiser, (&folder, &kinds), &options)?;
    let mut model: OpenModel = opened.into();
    if self_test == SelfTest::Run {
        step_graphs::require_equal_bits(&stepped, plan, &mut model)?;
    }
    Ok(model)
}

fn open_network(
    experiment: &Experiment,
    config: &ModelConfig,
    (options, self_test, gradients): (&RuntimeOptions, SelfTest, &Gradients),
) -> Result<OpenModel, StageError> {
    match config {
        ModelConfig::Analytic(gaussian) => analytic(gaussian),
        ModelConfig::Bundle { path, cfg, precision } => {
            let asked = (gradients, cfg.as_ref());
            let options = RuntimeOptions { precision: *precision, ..options.clone() };
            let folder = experiment.resolve(path);
            let opened = open_bundle_as(&folder, &options, self_test, asked)?;
            let opened = differentiable(opened, gradients)?;
            Ok(with_uncertain_weights(experiment, (config, &options), opened)?.into())
        }
        ModelConfig::Pipeline(config) => {
            let pipeline = Pipeline::read(config, &experiment.folder)?;
            let opened = open_pipeline(&pipeline, options, self_test, gradients)?;
            Ok(differentiable(opened, gradients)?.into())
        }
    }
}

/// Refuses a network without the gradients that rules ask for: half of the arms are no experiment, so before any work.
fn differentiable(opened: Opened, gradients: &Gradients) -> Result<Opened, StageError> {
    if *gradients != Gradients::None
        && let Some(reason) = opened.denoiser.gradient_unavailable()
    {
        let model = opened.provenance.name;
        let method = "a gradient";
        return Err(ModelError::NotApplicable { method, model, reason }.into());
    }
    Ok(opened)
}

/// The bundle with the posterior of its last layer, where the experiment asks for one.
fn with_uncertain_weights(
    experiment: &Experiment,
    (config, options): (&ModelConfig, &RuntimeOptions),
    mut opened: Opened,
) -> Result<Opened, StageError> {
    let (Some((path, file, need)), ModelConfig::Bundle { path: folder, .. }) =
        (inputs::posterior(experiment, config)?, config)
    else {
        return Ok(opened);
    };
    if opened.guidance.is_some() && need.method == METHOD {
        let model = opened.provenance.name;
        let reason = "classifier-free guidance mixes two predictions of the same weights, whose variances do not add up: set model.cfg.scale: 1";
        let (method, reason) = (METHOD, reason.to_owned());
        return Err(ModelError::NotApplicable { method, model, reason }.into());
    }
    tracing::info!(path = %path.display(), n_images = file.n_images, "posterior of the last layer");
    let fisher = Fisher { weight: file.weight, bias: file.bias, n_images: file.n_images };
    let scales = (need.settings.noise, need.settings.prior_precision);
    let folder = experiment.resolve(folder);
    opened.denoiser = with_posterior(opened.denoiser, &folder, (&fisher, scales), options)?;
    Ok(opened)
}

/// Opens the feature network of an experiment, and the real images that go through it at a scale.
///
/// # Errors
/// [`StageError::Model`] for a network that is missing, damaged, or no such network, [`StageError::Images`] for a data set
/// that is none.
pub fn open_extractor(
    experiment: &Experiment,
    plan: &Plan,
    options: &RuntimeOptions,
) -> Result<OpenExtractor, StageError> {
    let source = plan.real.as_ref().map(|_| inputs::real_source(experiment, &plan.scale));
    let real = source.transpose()?;
    let sizes = inputs::scale_of(experiment, &plan.scale)?;
    let provenance = || -> Result<Provenance, StageError> {
        let runtime = environment::runtime(options.library.as_deref())?;
        let device = options.device_text();
        Ok(Provenance::new(format!("onnxruntime {}", runtime.version), device))
    };
    match inputs::features_config(experiment, sizes)? {
        FeaturesConfig::Pixels { grid } => Ok(OpenExtractor {
            extractor: Box::new(PixelFeatures::new(*grid)),
            provenance: Provenance::new("none", "cpu"),
            real,
        }),
        FeaturesConfig::Extractor { path, preprocess, .. } => {
            let extractor = OnnxExtractor::open(&experiment.resolve(path), *preprocess, options)?;
            Ok(OpenExtractor { extractor: Box::new(extractor), provenance: provenance()?, real })
        }
        FeaturesConfig::Clip { path } => {
            let (folder, prompts) = inputs::clip(experiment, sizes, path)?;
            let extractor = ClipScore::open(&folder, &prompts, options)?;
            Ok(OpenExtractor { extractor: Box::new(extractor), provenance: provenance()?, real })
        }
    }
}

/// Bytes of the larger of the experiment's two networks, as promised by their descriptions.
///
/// # Errors
/// [`StageError::Config`] for a description that is missing or wrong.
pub fn weight_bytes(experiment: &Experiment, scale: &str) -> Result<u64, StageError> {
    let model = match experiment.model_of(inputs::scale_of(experiment, scale)?) {
        ModelConfig::Analytic(_) => 0,
        ModelConfig::Pipeline(config) => {
            pipeline::weight_bytes(&Pipeline::read(config, &experiment.folder)?)?
        }
        ModelConfig::Bundle { path, .. } => {
            let model = ModelYaml::read(&experiment.resolve(path).join(MODEL_FILE))?;
            model.files.values().map(|file| file.bytes).sum()
        }
    };
    let sizes = inputs::scale_of(experiment, scale)?;
    let extractor = match experiment.features_of(sizes) {
        None | Some(FeaturesConfig::Pixels { .. }) => 0,
        Some(FeaturesConfig::Clip { path }) => {
            ClipScore::weight_bytes(&inputs::clip(experiment, sizes, path)?.0)?
        }
        Some(FeaturesConfig::Extractor { path, .. }) => {
            ExtractorYaml::read(&experiment.resolve(path))?.file.bytes
        }
    };
    Ok(model.max(extractor))
}
