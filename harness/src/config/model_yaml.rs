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
use super::values::{MAX_SIDE, MAX_TRAIN_STEPS};
use super::{CfgYaml, ConditionYaml};
use crate::fault::Fault;
use crate::schedule::{ScheduleConfig, TimeAxis};

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
        let model: Self = read_yaml(path, Role::Bundle)?;
        refuse(path, model.faults())?;
        Ok(model)
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

    /// Faults of schedule and time.
    fn time_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let axis = self.schedule.axis();
        if let TimeAxis::Steps(n) = axis
            && !(2..=MAX_TRAIN_STEPS).contains(&n)
        {
            let message = format!("is {n}, expected 2 to {MAX_TRAIN_STEPS}");
            faults.push(Fault::new("schedule.n_train_steps", message));
        }
        if self.time.is_some() && self.timestep.is_some() {
            faults.push(Fault::new("timestep", "stands beside time: keep time"));
        }
        if let Some(message) = self.time().fault(axis) {
            let missing = if self.time.is_none() { "must be given: " } else { "" };
            faults.push(Fault::new("time", format!("{missing}{message}")));
        }
        if self.prediction == Prediction::EdmRaw && axis != TimeAxis::Sigma {
            let message = "edm_raw is scaled by the sigma_data of an edm schedule: write `schedule: {kind: edm}`";
            faults.push(Fault::new("prediction", message));
        }
        faults
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

    /// Files of values that are fed to the denoiser, with the keys that name them.
    fn tensor_files(&self) -> Vec<(String, &str)> {
        let mut files = Vec::new();
        for (name, condition) in &self.conditions {
            files.push((format!("conditions.{name}.file"), condition.file.as_str()));
            let null = condition.null.as_ref().and_then(|null| null.file.as_deref());
            files.extend(null.map(|file| (format!("conditions.{name}.null.file"), file)));
        }
        let null = self.cfg.as_ref().and_then(|cfg| cfg.null.as_ref());
        let file = null.and_then(|null| null.file.as_deref());
        files.extend(file.map(|file| ("cfg.null.file".to_owned(), file)));
        files
    }

    /// Faults of conditions and of guidance by them.
    fn condition_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let inputs = &self.graphs.denoiser.inputs;
        for (name, condition) in &self.conditions {
            let key = format!("conditions.{name}");
            if [&inputs.x, &inputs.t].contains(&name) || inputs.y.as_ref() == Some(name) {
                let message = "is an input that graphs.denoiser.inputs names: name it once";
                faults.push(Fault::new(&key, message));
            }
            let Some(null) = &condition.null else { continue };
            let null_key = format!("{key}.null");
            faults.extend(null.fault(&null_key));
            if null.label.is_some() {
                let message = "is no class: write {file: NAME.npy} or {zeros: true}";
                faults.push(Fault::new(null_key, message));
            }
        }
        faults.extend(self.cfg.iter().flat_map(|cfg| cfg.faults("cfg")));
        for (key, file) in self.tensor_files() {
            if !self.files.contains_key(file) {
                let message =
                    format!("`{file}` has no entry under files: add its sha256 and bytes");
                faults.push(Fault::new(key, message));
            }
        }
        faults
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = self.time_faults();
        faults.extend(self.condition_faults());
        let mut check = |ok: bool, key: &str, message: String| {
            if !ok {
                faults.push(Fault::new(key, message));
            }
        };
        check(self.format == FORMAT, "format", version(self.format));
        check(!self.name.is_empty(), "name", "is empty: tables need a name".to_owned());
        let [c, h, w] = self.task.shape();
        let shape_key =
            if matches!(self.task, TaskYaml::Latent { .. }) { "shape" } else { "image" };
        let shape = format!("is [{c}, {h}, {w}], expected [c, h, w] of 1 to {MAX_SIDE} each");
        let plain = [c, h, w].iter().all(|axis| (1..=MAX_SIDE).contains(axis));
        check(plain, &format!("task.{shape_key}"), shape);
        let classes = self.task.classes();
        check(
            classes != Some(0),
            "task.classes",
            "is 0: write null for an unconditional network".to_owned(),
        );
        let InputsYaml { x, t, y } = &self.graphs.denoiser.inputs;
        let prediction = &self.graphs.denoiser.outputs.prediction;
        for (key, name) in [("inputs.x", x), ("inputs.t", t), ("outputs.prediction", prediction)] {
            let message = "is null or empty, expected a name of the graph: write it out (\"null\" in quotes where it is called so)";
            check(!name.is_empty(), &format!("graphs.denoiser.{key}"), message.to_owned());
        }
        check(
            classes.is_some() == y.is_some(),
            "graphs.denoiser.inputs.y",
            "must name an input exactly when task.classes is a number".to_owned(),
        );
        match &self.task {
            TaskYaml::Denoiser { range: [low, high], image, .. } => {
                let message = format!("is [{low}, {high}], expected [-1, 1] or [0, 1]");
                let known = [(-1.0, 1.0), (0.0, 1.0)].contains(&(*low, *high));
                check(known, "task.range", message);
                let message = format!("has {} channels, expected 3, or 1 for grey", image[0]);
                check([1, 3].contains(&image[0]), "task.image", message);
            }
            TaskYaml::Latent { scale, .. } => {
                let message = format!("is {scale}, expected a number above 0");
                check(scale.is_finite() && *scale > 0.0, "task.scale", message);
            }
        }
        for (key, file) in self.graph_files() {
            let message = format!("`{file}` has no entry under files: add its sha256 and bytes");
            check(self.files.contains_key(file), key, message);
        }
        for (name, file) in &self.files {
            let message =
                format!("`{}` is no SHA-256: expected 64 lower-case hex digits", file.sha256);
            check(is_sha256(&file.sha256), &format!("files.{name}.sha256"), message);
        }
        faults
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
