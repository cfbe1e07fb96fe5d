//! What every experiment says, whatever it computes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{
    FeaturesConfig, GateConfig, ModelConfig, Preset, PublishedConfig, ReferenceConfig, ScaleConfig,
    StartsConfig,
};
use crate::control::ControlConfig;
use crate::sampler::SamplerConfig;
use crate::uncertainty::{Defaults, EstimatorConfig, Window};

/// An experiment without its protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
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
    /// States and classes by sample id from a file, where not from the seed.
    pub starts: Option<StartsConfig>,
    /// Where left-out values come from.
    pub preset: Preset,
    /// Estimators to compare.
    pub estimators: Vec<EstimatorConfig>,
    /// Controls that they must beat.
    pub controls: Vec<ControlConfig>,
    /// Feature network, for protocols that compare sets of images.
    pub features: Option<FeaturesConfig>,
    /// Reference statistics, for the same protocols.
    pub reference: Option<ReferenceConfig>,
    /// Sizes, by name.
    pub scales: BTreeMap<String, ScaleConfig>,
    /// Bands that numbers must fall into.
    pub gates: Vec<GateConfig>,
    /// Folder of the experiment file, against which relative paths are resolved.
    pub folder: PathBuf,
}

impl Common {
    /// A path of the file, relative to its folder unless absolute.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Values that estimators of a walk of `n_steps` take where the file gives none.
    pub fn defaults(&self, n_steps: u32) -> Defaults {
        self.preset.defaults(n_steps)
    }

    /// Window of an estimator on a walk of `n_steps`, with the preset's where the file gives none.
    pub fn window_of(&self, estimator: &EstimatorConfig, n_steps: u32) -> Window {
        estimator.window(&self.defaults(n_steps))
    }

    /// The model of a scale.
    pub fn model_of<'a>(&'a self, scale: &'a ScaleConfig) -> &'a ModelConfig {
        scale.model.as_ref().unwrap_or(&self.model)
    }

    /// The feature network of a scale, where there is one.
    pub fn features_of<'a>(&'a self, scale: &'a ScaleConfig) -> Option<&'a FeaturesConfig> {
        scale.features.as_ref().or(self.features.as_ref())
    }

    /// The reference of a scale, where there is one.
    pub fn reference_of<'a>(&'a self, scale: &'a ScaleConfig) -> Option<&'a ReferenceConfig> {
        scale.reference.as_ref().or(self.reference.as_ref())
    }

    /// `own`, else the experiment's sampler with the scale's number of steps.
    pub fn sampler_of(&self, own: Option<&SamplerConfig>, scale: &ScaleConfig) -> SamplerConfig {
        match (own, scale.n_steps) {
            (Some(own), _) => own.clone(),
            (None, Some(n_steps)) => self.sampler.with_steps(n_steps),
            (None, None) => self.sampler.clone(),
        }
    }
}
