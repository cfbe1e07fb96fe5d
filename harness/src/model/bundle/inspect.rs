//! What a bundle is and can do, for people and for `--format json`.

use std::collections::BTreeMap;
use std::path::Path;

use super::conditions::Conditioned;
use super::network_summary::{Measured, NetworkSummary, Said};
use super::noise_check::{self, Walk};
use super::{Gradients, files, open, precision};
use crate::config::model_yaml::{MODEL_FILE, ModelYaml, TimeYaml};
use crate::graph::{Model, dropout};
use crate::model::onnx::{OnnxDenoiser, RuntimeOptions};
use crate::model::{Denoiser, ModelError};
use crate::schedule::{NoiseSchedule, ScheduleError};

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
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSummary,
    /// Number of classes.
    pub n_classes: Option<u32>,
    /// What the network is told of the time.
    pub time: TimeYaml,
    /// Whether samplers clip `x0_hat`.
    pub clip_x0: bool,
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
    /// `provenance` of `model.yaml`.
    pub provenance: BTreeMap<String, serde_json::Value>,
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
    let (mut denoiser, schedule) = network((folder, &model), options, gradients)?;
    // Nothing of it is told: that it is an encoder is what opening checks.
    open::encoder(folder, &model, options)?;
    let fault = |error: ScheduleError| files::fault(&folder.join(MODEL_FILE), error.to_string());
    let self_test = open::self_tested(&mut denoiser, (folder, &model), &schedule)?;
    let walk = Walk::over(&schedule).map_err(fault)?;
    let noise = noise_check::run(&mut denoiser, &walk)?;
    let time = model.time();
    let dropout_reason = denoiser.dropout_unavailable();
    let dropout_sites = match (&model.graphs.train, &dropout_reason) {
        (Some(train), None) => sites(&folder.join(&train.file))?,
        _ => Vec::new(),
    };
    let (forward, digest) = open::forward(folder, &model);
    let memory = denoiser.memory_per_image((&forward, digest), options)?;
    let spec = denoiser.spec();
    let (n_classes, clip_x0) = (spec.n_classes, spec.clip_x0);
    let (dropout_mask_len, dropout_p) = (spec.dropout_mask_len, spec.dropout_p);
    let prediction = open::prediction_word(model.prediction);
    let said = Said { name: model.name, prediction, schedule: model.schedule, files };
    let measured = Measured { self_test, noise, memory };
    let network = NetworkSummary::of(&denoiser, said, measured, gradients);
    let provenance = model.provenance;
    Ok(Summary {
        network,
        n_classes,
        time,
        clip_x0,
        precision: precision.computed.as_str(),
        storage: precision.stored.as_str(),
        dropout_mask_len,
        dropout_p,
        dropout_sites,
        dropout_reason,
        provenance,
    })
}

/// The network and its schedule, with gradients where they are asked for.
fn network(
    (folder, model): (&Path, &ModelYaml),
    options: &RuntimeOptions,
    gradients: &Gradients,
) -> Result<(OnnxDenoiser, NoiseSchedule), ModelError> {
    let schedule = open::schedule(folder, model)?;
    let conditioned = Conditioned::read(folder, model)?;
    conditioned.scale(folder, &model.cfg.clone().unwrap_or_default())?;
    let mut denoiser = open::denoiser((folder, model), conditioned, &schedule, options)?;
    if let Gradients::Derive { n_draws } = gradients {
        denoiser = open::with_gradients(denoiser, (folder, model), n_draws, options)?;
    }
    Ok((denoiser, schedule))
}

fn sites(train: &Path) -> Result<Vec<SiteSummary>, ModelError> {
    let sites = Model::read(train).and_then(|model| dropout::sites(&model));
    let sites = sites.map_err(|error| ModelError::of_graph(train, &error))?;
    Ok(sites.into_iter().map(|site| SiteSummary { node: site.node, p: site.p }).collect())
}
