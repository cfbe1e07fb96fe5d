//! What `dubench sample` samples: a bundle, or a text-to-image pipeline with its prompts.

use std::path::{Path, PathBuf};

use super::arguments::SampleOptions;
use super::error::CliError;
use crate::config::model_yaml::MODEL_FILE;
use crate::config::pipeline::INDEX_FILE;
use crate::config::{CfgYaml, ModelYaml, PipelineCfg, PipelineConfig, snippet};
use crate::model::bundle::{Gradients, SelfTest, open_bundle_as};
use crate::model::onnx::RuntimeOptions;
use crate::model::pipeline::{Pipeline, open_pipeline};
use crate::sampler::SamplerConfig;
use crate::schedule::TimeAxis;
use crate::stage::open::OpenModel;
use crate::uncertainty::EstimatorPlan;

/// Images of a bundle where neither `-n` nor `--starts` says.
const DEFAULT_IMAGES: u64 = 16;

/// A model as its folder describes it.
pub(super) enum Source {
    Bundle(TimeAxis),
    Pipeline(Box<Pipeline>),
}

impl Source {
    /// A pipeline where there is an index of one, else a bundle.
    pub(super) fn of(options: &SampleOptions) -> Result<Self, CliError> {
        let folder = &options.bundle;
        if is_pipeline(folder) {
            let pipeline = Pipeline::read(&config(options)?, Path::new(""))?;
            return Ok(Self::Pipeline(Box::new(pipeline)));
        }
        let axis = ModelYaml::read(&folder.join(MODEL_FILE))?.schedule.axis();
        let texts = options.prompt.iter().chain(&options.negative);
        let file = options.prompts.iter().map(|path| path.display().to_string());
        if let Some(text) = texts.cloned().chain(file).next() {
            let expected = "a folder with model_index.json: this model takes no text";
            return Err(CliError::option("--prompt", &text, expected));
        }
        if let Some(size) = &options.size {
            let expected = "no size: that of this model is fixed by model.yaml";
            return Err(CliError::option("--size", &format!("{size:?}"), expected));
        }
        Ok(Self::Bundle(axis))
    }

    /// What the times of its schedule are.
    pub(super) fn axis(&self) -> TimeAxis {
        match self {
            Self::Bundle(axis) => *axis,
            Self::Pipeline(pipeline) => pipeline.axis(),
        }
    }

    /// The sampler that was asked for, else the model's own.
    pub(super) fn sampler(&self, options: &SampleOptions) -> Result<SamplerConfig, CliError> {
        let text = match (&options.sampler, self) {
            (Some(text), _) => text,
            (None, Self::Bundle(axis)) => default_sampler(*axis),
            (None, Self::Pipeline(pipeline)) => {
                let own = &pipeline.folder.scheduler.sampler;
                return Ok(options.steps.map_or_else(|| own.clone(), |n| own.with_steps(n)));
            }
        };
        Ok(snippet::sampler("--sampler", text, options.steps)?)
    }

    /// Images where nobody says how many.
    pub(super) fn n_images(&self) -> u64 {
        match self {
            Self::Bundle(_) => DEFAULT_IMAGES,
            Self::Pipeline(pipeline) => pipeline.prompts.len() as u64,
        }
    }

    /// The model, ready to run, with the gradient graph where one of `estimators` asks for it.
    pub(super) fn open(
        &self,
        options: &SampleOptions,
        runtime: &RuntimeOptions,
        estimators: &[EstimatorPlan],
    ) -> Result<OpenModel, CliError> {
        let gradients = gradients(estimators);
        let opened = match self {
            Self::Bundle(_) => {
                let cfg = options.cfg.map(|scale| CfgYaml { scale: Some(scale), null: None });
                let asked = (&gradients, cfg.as_ref());
                open_bundle_as(&options.bundle, runtime, SelfTest::Run, asked)?
            }
            Self::Pipeline(pipeline) => {
                open_pipeline(pipeline, runtime, SelfTest::Run, &gradients)?
            }
        };
        Ok(opened.into())
    }

    /// What `sample.json` says of it beyond its name; null for a bundle.
    pub(super) fn about(&self) -> serde_json::Value {
        let Self::Pipeline(pipeline) = self else { return serde_json::Value::Null };
        serde_json::json!({
            "prompts": pipeline.prompts,
            "negative": pipeline.told_negative(),
            "guidance_scale": pipeline.scale,
            "scheduler": pipeline.folder.scheduler.sampler.kind(),
            "safety_checker": "not run",
        })
    }
}

/// Whether a folder is a pipeline and no bundle.
pub(super) fn is_pipeline(folder: &Path) -> bool {
    folder.join(INDEX_FILE).is_file() && !folder.join(MODEL_FILE).is_file()
}

/// The gradient graphs that estimators need: one of them takes seconds to minutes to make.
fn gradients(estimators: &[EstimatorPlan]) -> Gradients {
    if estimators.iter().any(|plan| plan.rule.facts().needs_gradient) {
        return Gradients::Derive { n_draws: Vec::new() };
    }
    Gradients::None
}

/// The sampler of a network whose schedule has these times.
fn default_sampler(axis: TimeAxis) -> &'static str {
    match axis {
        TimeAxis::Steps(_) | TimeAxis::Unread => "ddim",
        TimeAxis::Continuous => "{kind: ddim, grid: {kind: uniform}}",
        TimeAxis::Sigma => "edm_heun",
        TimeAxis::Flow => "flow_euler",
    }
}

fn config(options: &SampleOptions) -> Result<PipelineConfig, CliError> {
    if options.prompt.is_empty() && options.prompts.is_none() {
        let expected = "a text for the pipeline, or --prompts FILE; '' is the empty prompt";
        return Err(CliError::option("--prompt", "nothing", expected));
    }
    if let Some(text) = &options.labels {
        let expected = "--prompt: a pipeline has no classes";
        return Err(CliError::option("--labels", text, expected));
    }
    let size = match options.size.as_deref() {
        None => None,
        Some(&[height, width]) => Some([height, width]),
        Some(other) => {
            let expected = "height and width: 512,512";
            return Err(CliError::option("--size", &format!("{other:?}"), expected));
        }
    };
    if let Some(scale) = options.cfg.filter(|scale| !scale.is_finite()) {
        return Err(CliError::option("--cfg", &scale.to_string(), "a number, 1 for no guidance"));
    }
    let cfg = PipelineCfg { scale: options.cfg, negative: options.negative.clone() };
    let (prompts, prompt_file): (_, Option<PathBuf>) = match &options.prompts {
        Some(file) => (None, Some(file.clone())),
        None => (Some(options.prompt.clone()), None),
    };
    let path = options.bundle.clone();
    Ok(PipelineConfig { path, prompts, prompt_file, cfg: Some(cfg), size })
}
