//! What can be wrong with a `model.yaml`.

use super::graphs_yaml::InputsYaml;
use super::model_yaml::{FORMAT, ModelYaml, Prediction, is_sha256, version};
use super::task_yaml::TaskYaml;
use super::values::{MAX_SIDE, MAX_TRAIN_STEPS};
use crate::fault::Fault;
use crate::schedule::TimeAxis;

/// Faults so far.
struct Faults(Vec<Fault>);

impl Faults {
    fn unless(&mut self, ok: bool, key: &str, message: impl Into<String>) {
        if !ok {
            self.0.push(Fault::new(key, message));
        }
    }
}

impl ModelYaml {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults(self.time_faults());
        faults.0.extend(self.condition_faults());
        faults.unless(self.format == FORMAT, "format", version(self.format));
        faults.unless(!self.name.is_empty(), "name", "is empty: tables need a name");
        self.check_sizes(&mut faults);
        self.check_names(&mut faults);
        self.check_values(&mut faults);
        self.check_files(&mut faults);
        faults.0
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

    /// Shape and number of classes.
    fn check_sizes(&self, faults: &mut Faults) {
        let [c, h, w] = self.task.shape();
        let key = match self.task {
            TaskYaml::Latent { .. } => "task.shape",
            TaskYaml::Denoiser { .. } => "task.image",
        };
        let message = format!("is [{c}, {h}, {w}], expected [c, h, w] of 1 to {MAX_SIDE} each");
        let plain = [c, h, w].iter().all(|axis| (1..=MAX_SIDE).contains(axis));
        faults.unless(plain, key, message);
        let message = "is 0: write null for an unconditional network";
        faults.unless(self.task.classes() != Some(0), "task.classes", message);
    }

    /// Names of inputs and outputs.
    fn check_names(&self, faults: &mut Faults) {
        let InputsYaml { x, t, y } = &self.graphs.denoiser.inputs;
        let prediction = &self.graphs.denoiser.outputs.prediction;
        for (key, name) in [("inputs.x", x), ("inputs.t", t), ("outputs.prediction", prediction)] {
            let message = "is null or empty, expected a name of the graph: write it out (\"null\" in quotes where it is called so)";
            faults.unless(!name.is_empty(), &format!("graphs.denoiser.{key}"), message);
        }
        let message = "must name an input exactly when task.classes is a number";
        let agree = self.task.classes().is_some() == y.is_some();
        faults.unless(agree, "graphs.denoiser.inputs.y", message);
    }

    /// Range and channels of images, scale of latents.
    fn check_values(&self, faults: &mut Faults) {
        match &self.task {
            TaskYaml::Denoiser { range: [low, high], image, .. } => {
                let message = format!("is [{low}, {high}], expected [-1, 1] or [0, 1]");
                let known = [(-1.0, 1.0), (0.0, 1.0)].contains(&(*low, *high));
                faults.unless(known, "task.range", message);
                let message = format!("has {} channels, expected 3, or 1 for grey", image[0]);
                faults.unless([1, 3].contains(&image[0]), "task.image", message);
            }
            TaskYaml::Latent { scale, .. } => {
                let message = format!("is {scale}, expected a number above 0");
                faults.unless(scale.is_finite() && *scale > 0.0, "task.scale", message);
            }
        }
    }

    /// Files of the graphs, and hashes of all files.
    fn check_files(&self, faults: &mut Faults) {
        for (key, file) in self.graph_files() {
            let message = format!("`{file}` has no entry under files: add its sha256 and bytes");
            faults.unless(self.files.contains_key(file), key, message);
        }
        for (name, file) in &self.files {
            let message =
                format!("`{}` is no SHA-256: expected 64 lower-case hex digits", file.sha256);
            faults.unless(is_sha256(&file.sha256), &format!("files.{name}.sha256"), message);
        }
    }
}
