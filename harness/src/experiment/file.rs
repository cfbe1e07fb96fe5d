//! The experiment file.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{
    Common, ConfigError, FeaturesConfig, GateConfig, ModelConfig, Preset, PublishedConfig,
    ReferenceConfig, Role, ScaleConfig, StartsConfig, extends, reader, validate,
};
use crate::control::ControlConfig;
use crate::fault::Fault;
use crate::protocol::ProtocolConfig;
use crate::sampler::SamplerConfig;
use crate::uncertainty::EstimatorConfig;

/// One question: what every experiment says, and the protocol that answers it.
///
/// # Examples
/// ```
/// use dubench::experiment::Experiment;
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
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What every experiment says.
    pub common: Common,
    /// What is computed.
    pub protocol: ProtocolConfig,
}

impl Deref for Experiment {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    question: String,
    artefact: String,
    published: Option<PublishedConfig>,
    model: ModelConfig,
    sampler: SamplerConfig,
    seed: u64,
    starts: Option<StartsConfig>,
    #[serde(default)]
    preset: Preset,
    #[serde(default)]
    estimators: Vec<EstimatorConfig>,
    #[serde(default)]
    controls: Vec<ControlConfig>,
    features: Option<FeaturesConfig>,
    reference: Option<ReferenceConfig>,
    protocol: ProtocolConfig,
    scales: BTreeMap<String, ScaleConfig>,
    #[serde(default)]
    gates: Vec<GateConfig>,
}

impl Written {
    fn in_folder(self, folder: PathBuf) -> Experiment {
        let common = Common {
            name: self.name,
            question: self.question,
            artefact: self.artefact,
            published: self.published,
            model: self.model,
            sampler: self.sampler,
            seed: self.seed,
            starts: self.starts,
            preset: self.preset,
            estimators: self.estimators,
            controls: self.controls,
            features: self.features,
            reference: self.reference,
            scales: self.scales,
            gates: self.gates,
            folder,
        };
        Experiment { common, protocol: self.protocol }
    }
}

impl Experiment {
    /// Reads and checks an experiment file. It may say `extends: FILE`, and then only what differs from that one.
    ///
    /// # Errors
    /// [`ConfigError`] with file, key path, accepted values.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, &reader::read_text(path, Role::Experiment)?)
    }

    /// Parses and checks the text of an experiment file; `path` names it in errors, and its folder
    /// is where relative paths start.
    ///
    /// # Errors
    /// [`ConfigError`] with file, key path, accepted values.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::check(path, extends::parse(path, text)?)
    }

    fn check(path: &Path, written: Written) -> Result<Self, ConfigError> {
        let experiment = written.in_folder(path.parent().unwrap_or(Path::new("")).to_owned());
        let mut faults = validate::faults(&experiment.common);
        faults.extend(experiment.protocol.faults(&experiment.common));
        faults.extend(experiment.real_faults());
        faults.extend(experiment.agreement_faults());
        if faults.is_empty() {
            return Ok(experiment);
        }
        Err(ConfigError::Invalid { path: path.to_owned(), faults })
    }

    /// CLIP exports where images have no prompts, or nobody asks how they agree.
    fn agreement_faults(&self) -> Vec<Fault> {
        let asked = self.protocol.needs().agreement;
        let fault = |(key, scale): (&String, &ScaleConfig)| {
            if !matches!(self.features_of(scale), Some(FeaturesConfig::Clip { .. })) {
                return None;
            }
            let of_text = matches!(self.model_of(scale), ModelConfig::Pipeline(_));
            let message = match (asked, of_text) {
                (true, true) => return None,
                (true, false) => {
                    "the model has no prompts that a CLIP score could hold images against: leave it out"
                }
                (false, _) => {
                    "a CLIP score holds images against their prompts, which protocol pairs alone reports: name a network of kind extractor"
                }
            };
            Some(Fault::new(format!("scales.{key}: features"), message))
        };
        self.scales.iter().filter_map(fault).collect()
    }

    /// Scales that draw real images for nobody, and those that draw none where the protocol cannot do without.
    fn real_faults(&self) -> Vec<Fault> {
        let needs = self.protocol.needs();
        let fault = |(key, scale): (&String, &ScaleConfig)| {
            let message = match scale.n_real {
                Some(_) if !needs.features => {
                    "this protocol looks at no features of real images: leave it out"
                }
                None if needs.reference_features => {
                    "this protocol holds images against real ones: say how many are drawn"
                }
                _ => return None,
            };
            Some(Fault::new(format!("scales.{key}.n_real"), message))
        };
        self.scales.iter().filter_map(fault).collect()
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
