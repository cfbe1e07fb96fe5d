//! The experiment file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    ConfigError, ControlConfig, EstimatorConfig, FeaturesConfig, GateConfig, ModelConfig, Preset,
    ProtocolConfig, PublishedConfig, ReferenceConfig, SamplerConfig, ScaleConfig, reader, validate,
};

/// One question, as a person writes it down.
///
/// # Examples
/// ```
/// use dubench::config::Experiment;
/// use std::path::Path;
///
/// let text = "
/// name: tiny
/// question: Does filtering by sample_var lower FID?
/// artefact: table1
/// model: {kind: analytic, shape: [3, 8, 8], mean: 0.1, std: 0.5,
///         schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}
/// sampler: {kind: ddim, n_steps: 50}
/// seed: 0
/// estimators: [{kind: sample_var, window: {start: 45, len: 6}}]
/// controls: [{kind: total_variation}]
/// features: {kind: pixels, grid: 2}
/// reference: {dataset: toy, path: toy.npz}
/// protocol: {kind: filtering}
/// scales: {smoke: {n_pool: 48, n_keep: 40}}
/// ";
/// let error = Experiment::parse(Path::new("tiny.yaml"), text).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "tiny.yaml: estimators[0].window: window 45..=50 ends past the last step 49: \
///      set window.len to 5 or less",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name, and name of the results folder: lower case, digits, `-`.
    pub name: String,
    /// What is asked.
    pub question: String,
    /// Published artefact: `table1`.
    pub artefact: String,
    /// Where the published numbers stand.
    pub published: Option<PublishedConfig>,
    /// Where noise predictions come from.
    pub model: ModelConfig,
    /// How the walk from noise to image goes.
    pub sampler: SamplerConfig,
    /// Master seed: with a sample id it fixes everything that is drawn.
    pub seed: u64,
    /// Where left-out values come from.
    #[serde(default)]
    pub preset: Preset,
    /// Estimators to compare.
    #[serde(default)]
    pub estimators: Vec<EstimatorConfig>,
    /// Controls that they must beat.
    #[serde(default)]
    pub controls: Vec<ControlConfig>,
    /// Feature network, for protocols that compare sets of images.
    pub features: Option<FeaturesConfig>,
    /// Reference statistics, for the same protocols.
    pub reference: Option<ReferenceConfig>,
    /// What is computed.
    pub protocol: ProtocolConfig,
    /// Sizes, by name.
    pub scales: BTreeMap<String, ScaleConfig>,
    /// Bands that numbers must fall into.
    #[serde(default)]
    pub gates: Vec<GateConfig>,
    /// Folder of the experiment file, against which relative paths are resolved.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Experiment {
    /// Reads and checks an experiment file.
    ///
    /// # Errors
    /// [`ConfigError`] with file, key path, accepted values.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::check(path, reader::read_yaml(path)?)
    }

    /// Parses and checks the text of an experiment file; `path` names it in errors, and its folder
    /// is where relative paths start.
    ///
    /// # Errors
    /// [`ConfigError`] with file, key path, accepted values.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::check(path, reader::parse(path, text)?)
    }

    fn check(path: &Path, mut experiment: Self) -> Result<Self, ConfigError> {
        path.parent().unwrap_or(Path::new("")).clone_into(&mut experiment.folder);
        let faults = validate::faults(&experiment);
        if faults.is_empty() {
            return Ok(experiment);
        }
        Err(ConfigError::Invalid { path: path.to_owned(), faults })
    }

    /// A path of the file, relative to its folder unless absolute.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Window of an estimator, with the preset's where the file gives none.
    pub fn window_of(&self, estimator: &EstimatorConfig) -> crate::uncertainty::Window {
        let defaults = self.preset.defaults();
        estimator.window().unwrap_or(match estimator {
            EstimatorConfig::McDropout { .. } => defaults.dropout_window,
            EstimatorConfig::SampleVar { .. } | EstimatorConfig::Centered { .. } => defaults.window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_experiment_is_good_and_keeps_the_published_fraction() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/table1-cifar10.yaml");
        let experiment = Experiment::read(&path).unwrap();
        let names: Vec<&str> = experiment.scales.keys().map(String::as_str).collect();
        assert_eq!(names, ["mini", "paper", "smoke"]);
        for (name, scale) in &experiment.scales {
            let fraction = scale.n_keep.unwrap() as f64 / scale.n_pool as f64;
            assert!((fraction - 5.0 / 6.0).abs() < 1e-3, "{name}: {fraction}");
        }
    }
}
