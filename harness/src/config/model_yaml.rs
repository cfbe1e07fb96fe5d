//! `model.yaml` of a bundle.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ConfigError;
pub use super::graphs_yaml::{
    DenoiserGraphYaml, GraphsYaml, InputsYaml, Layout, OutputsYaml, TrainGraphYaml,
};
use super::precision_yaml::PrecisionYaml;
use super::reader::{parse, read_yaml};
use super::role::Role;
pub use super::task_yaml::TaskYaml;
pub use super::time_yaml::{TimeKind, TimeYaml};
use super::{CfgYaml, ConditionYaml};
use crate::fault::Fault;
use crate::schedule::ScheduleConfig;

/// Name of the description in a bundle.
pub const MODEL_FILE: &str = "model.yaml";

/// Version of this format and of that of feature networks.
pub(super) const FORMAT: u32 = 1;

/// `model.yaml`: all that the harness knows of a model.
///
/// # Examples
/// ```
/// # use std::path::Path;
/// use dubench::config::model_yaml::{ModelYaml, Prediction};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.yaml");
/// # #[expect(clippy::disallowed_methods, reason = "an example")]
/// std::fs::write(&path, r"
/// format: 1
/// name: tiny
/// task: {kind: denoiser, image: [3, 32, 32], range: [-1, 1], classes: null}
/// prediction: epsilon
/// schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
/// timestep: {offset: 0}
/// graphs:
///   denoiser: {file: denoiser.onnx, inputs: {x: sample, t: timestep, y: null}, outputs: {prediction: eps}}
/// files: {denoiser.onnx: {sha256: 0, bytes: 9}}
/// provenance: {licence: MIT}
/// ".replace("sha256: 0", &format!("sha256: '{}'", "0".repeat(64))))?;
/// let model = ModelYaml::read(&path)?;
/// assert_eq!(model.prediction, Prediction::Epsilon);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelYaml {
    /// Format version: 1.
    pub format: u32,
    /// Name in tables.
    pub name: String,
    /// What the network works on.
    pub task: TaskYaml,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Element type in which most weights of the forward graph are computed with; it stands in tables where it is not float32.
    #[serde(default)]
    pub precision: PrecisionYaml,
    /// Element type in which most of them lie in the file, where that is another one.
    #[serde(default)]
    pub storage: Option<PrecisionYaml>,
    /// Noise schedule of training.
    pub schedule: ScheduleConfig,
    /// What the network is told of the time; the training step where left out.
    #[serde(default)]
    pub time: Option<TimeYaml>,
    /// The older word for `time: {kind: train_step, offset}`.
    #[serde(default)]
    pub timestep: Option<TimestepYaml>,
    /// What samplers must know of the model.
    #[serde(default)]
    pub sampler: SamplerYaml,
    /// The graphs.
    pub graphs: GraphsYaml,
    /// Further inputs of the denoiser by name, and the files that hold their values.
    #[serde(default)]
    pub conditions: BTreeMap<String, ConditionYaml>,
    /// Classifier-free guidance, unless an experiment says otherwise.
    #[serde(default)]
    pub cfg: Option<CfgYaml>,
    /// Every file of the bundle, external weights included, with size and hash.
    pub files: BTreeMap<String, FileYaml>,
    /// Where the model comes from: for people, carried into every result.
    #[serde(default)]
    pub provenance: BTreeMap<String, serde_json::Value>,
}

/// What the network predicts, at any noise level `x = a x_0 + s epsilon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The image: `epsilon = (x - a x_0) / s`.
    X0,
    /// `v = a epsilon - s x_0` (Salimans and Ho 2022): `epsilon = (a v + s x) / (a^2 + s^2)`.
    V,
    /// The score, `-epsilon / s`.
    Score,
    /// `u = epsilon - x_0`, the velocity of a rectified flow: `epsilon = (x + a u) / (a + s)`.
    Velocity,
    /// The image as EDM's `D(x; sigma)` gives it, its preconditioning inside the graph: the same as `x0`.
    Denoised,
    /// EDM's raw network `F`, its preconditioning left to us: `D = c_skip x + c_out F(c_in x)` (Eq. 7, arXiv:2206.00364).
    EdmRaw,
}

/// How training times are fed.
///
/// # Why two words?
/// `time` came later and says more; bundles that say `timestep` keep their hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestepYaml {
    /// Added to the 0-based training time before the network sees it. U-ViT counts from 1.
    #[serde(default)]
    pub offset: u32,
}

/// What samplers must know of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerYaml {
    /// Whether `x0_hat` is clipped; `auto` clips pixel models and leaves latent models alone.
    #[serde(default)]
    pub clip_x0: ClipX0Yaml,
}

/// Whether `x0_hat` is clipped to [-1, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipX0Yaml {
    /// By the kind of task.
    #[default]
    Auto,
    /// Always.
    Unit,
    /// Never.
    Off,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileYaml {
    /// SHA-256, 64 hex digits.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
}

impl ModelYaml {
    /// Reads and checks a `model.yaml`.
    ///
    /// # Errors
    /// [`ConfigError`] for an unreadable file, unknown keys, or values that cannot be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let read = read_yaml(path, Role::Bundle)
            .and_then(|model: Self| refuse(path, model.faults()).map(|()| model));
        read.map_err(ConfigError::of_input)
    }

    /// Reads and checks a description that is not in a file yet.
    ///
    /// # Errors
    /// As [`Self::read`], but for those of the disk.
    pub(crate) fn of_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let model: Self = parse(path, text)?;
        refuse(path, model.faults())?;
        Ok(model)
    }

    /// What the network is told of the time.
    pub fn time(&self) -> TimeYaml {
        let older = self.timestep.unwrap_or_default();
        let older = TimeYaml { offset: f64::from(older.offset), ..TimeYaml::TRAIN_STEP };
        self.time.unwrap_or(older)
    }

    /// Files that the graphs name.
    pub fn graph_files(&self) -> Vec<(&'static str, &str)> {
        let mut files = vec![("graphs.denoiser.file", self.graphs.denoiser.file.as_str())];
        files.extend(self.graphs.train.iter().map(|t| ("graphs.train.file", t.file.as_str())));
        if let TaskYaml::Latent { decoder, encoder, .. } = &self.task {
            files.push(("task.decoder", decoder));
            files.extend(encoder.iter().map(|file| ("task.encoder", file.as_str())));
        }
        files
    }
}

pub(super) fn version(got: u32) -> String {
    format!("is {got}, this program reads {FORMAT}: use the program that wrote the file")
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn refuse(path: &Path, faults: Vec<Fault>) -> Result<(), ConfigError> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Invalid { path: path.to_owned(), faults })
}
