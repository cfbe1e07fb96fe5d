//! What a bundle is and can do, for people and for `--format json`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use super::conditions::Conditioned;
use super::noise_check::{self, NoiseCheck, Walk};
use super::{Gradients, files, open, precision};
use crate::config::model_yaml::{MODEL_FILE, TimeYaml};
use crate::graph::{Model, dropout};
use crate::model::onnx::session::Port;
use crate::model::onnx::{RuntimeOptions, SelfTestReport};
use crate::model::{Denoiser, ModelError};
use crate::schedule::{ScheduleConfig, ScheduleError};

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PortSummary {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Dimensions; null for a symbolic one.
    pub dims: Vec<Option<usize>>,
}

/// A `Dropout` node of the train-mode graph.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SiteSummary {
    /// Name of the node.
    pub node: String,
    /// Its dropout probability; a site of 0 drops nothing, whatever the run's p is.
    pub p: f32,
}

/// A bundle in short.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Name in tables.
    pub name: String,
    /// `[c, h, w]` of the state.
    pub shape: [usize; 3],
    /// Number of classes.
    pub n_classes: Option<u32>,
    /// What the network predicts.
    pub prediction: &'static str,
    /// Noise schedule of training.
    pub schedule: ScheduleConfig,
    /// What the network is told of the time.
    pub time: TimeYaml,
    /// Whether samplers clip `x0_hat`.
    pub clip_x0: bool,
    /// Inputs of the forward graph.
    pub inputs: Vec<PortSummary>,
    /// Outputs of the forward graph.
    pub outputs: Vec<PortSummary>,
    /// Element type in which most weights are computed with.
    pub precision: &'static str,
    /// Element type in which most weights lie in the file.
    pub storage: &'static str,
    /// Elements of one image's dropout mask; null where MC-Dropout is not applicable.
    pub dropout_mask_len: Option<usize>,
    /// Dropout probability of training, where all sites share it.
    pub dropout_p: Option<f32>,
    /// Dropout sites of the train-mode graph, those of p = 0 included; empty where MC-Dropout is not applicable.
    pub dropout_sites: Vec<SiteSummary>,
    /// Why MC-Dropout is not applicable.
    pub dropout_reason: Option<String>,
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
    /// File name to SHA-256, all checked.
    pub files: BTreeMap<String, String>,
    /// `provenance` of `model.yaml`.
    pub provenance: BTreeMap<String, serde_json::Value>,
}

/// Bytes of working values for each image of a call; null where they cannot be told, or nobody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryPerImage {
    /// Predictions.
    pub forward: Option<NonZeroUsize>,
    /// Vector-Jacobian products.
    pub vjp: Option<NonZeroUsize>,
}

/// Opens the bundle in `folder` and tells what it is. `gradients` asks whether it has some, which means to derive them.
///
/// # Errors
/// As [`super::open_bundle_with`].
pub fn inspect(
    folder: &Path,
    options: &RuntimeOptions,
    gradients: &Gradients,
) -> Result<Summary, ModelError> {
    let model = open::describe(folder)?;
    let files = files::check(folder, &model)?;
    let precision = precision::check(folder, &model)?;
    let schedule = model
        .schedule
        .build()
        .map_err(|error| files::fault(&folder.join(MODEL_FILE), error.to_string()))?;
    let conditioned = Conditioned::read(folder, &model)?;
    conditioned.scale(folder, &model.cfg.clone().unwrap_or_default())?;
    let mut denoiser = open::denoiser((folder, &model), conditioned, &schedule, options)?;
    if let Gradients::Derive { n_draws } = gradients {
        denoiser = open::with_gradients(denoiser, (folder, &model), n_draws, options)?;
    }
    // Nothing of it is told: that it is an encoder is what opening checks.
    open::encoder(folder, &model, options)?;
    let asked = *gradients != Gradients::None;
    let fault = |error: ScheduleError| files::fault(&folder.join(MODEL_FILE), error.to_string());
    let self_test = open::self_tested(&mut denoiser, (folder, &model), &schedule)?;
    let walk = Walk::over(&schedule).map_err(fault)?;
    let noise = noise_check::run(&mut denoiser, &walk)?;
    let time = model.time();
    let sites = match (&model.graphs.train, denoiser.dropout_unavailable()) {
        (Some(train), None) => sites(&folder.join(&train.file))?,
        _ => Vec::new(),
    };
    let (forward, digest) = open::forward(folder, &model);
    let memory = denoiser.memory_per_image((&forward, digest), options)?;
    let spec = denoiser.spec().clone();
    Ok(Summary {
        name: model.name,
        shape: spec.shape,
        n_classes: spec.n_classes,
        prediction: open::prediction_word(model.prediction),
        schedule: model.schedule,
        time,
        clip_x0: spec.clip_x0,
        inputs: denoiser.session().inputs().iter().map(PortSummary::of).collect(),
        outputs: denoiser.session().outputs().iter().map(PortSummary::of).collect(),
        precision: precision.computed.as_str(),
        storage: precision.stored.as_str(),
        dropout_mask_len: spec.dropout_mask_len,
        dropout_p: spec.dropout_p,
        dropout_sites: sites,
        dropout_reason: denoiser.dropout_unavailable(),
        memory: MemoryPerImage { forward: memory.forward, vjp: memory.vjp },
        gradient_reason: denoiser.gradient_unavailable().filter(|_| asked),
        self_test,
        warnings: noise.iter().filter_map(NoiseCheck::warning).collect(),
        noise,
        files,
        provenance: model.provenance,
    })
}

fn sites(train: &Path) -> Result<Vec<SiteSummary>, ModelError> {
    let sites = Model::read(train).and_then(|model| dropout::sites(&model));
    let sites = sites.map_err(|error| files::fault(train, error.to_string()))?;
    Ok(sites.into_iter().map(|site| SiteSummary { node: site.node, p: site.p }).collect())
}

impl PortSummary {
    /// Of a port of a session.
    pub(in crate::model) fn of(port: &Port) -> Self {
        Self { name: port.name.clone(), dtype: port.dtype.to_string(), dims: port.dims.clone() }
    }
}
