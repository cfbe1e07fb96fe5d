//! Arms: the one shape of work. An arm says where trajectories start, how they walk, who watches and who guides.

use serde::{Deserialize, Serialize};

use crate::control::ControlPlan;
use crate::guidance::RuleConfig;
use crate::propagation::{self, PropagationConfig};
use crate::sampler::SamplerConfig;
use crate::uncertainty::EstimatorPlan;

/// Trajectories of the samples `0 .. n`, with every value resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmPlan {
    /// Name in tables; arms of one sampler have different ones.
    pub name: String,
    /// Samples `0 .. n`.
    pub n: u64,
    /// Where they start.
    pub start: Start,
    /// How they walk.
    pub sampler: SamplerConfig,
    /// Estimators that look on.
    pub watch: Vec<EstimatorPlan>,
    /// Controls that look on.
    pub controls: Vec<ControlPlan>,
    /// What is kept of the maps.
    pub maps: MapsPlan,
    /// Rule that rewrites the predictions; none for an unguided arm.
    pub guide: Option<RuleConfig>,
    /// Moments that are carried along, which moves the trajectory; none for every other arm. Such an arm has no rule and
    /// nobody that looks on, and its score is called as the arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagate: Option<PropagationConfig>,
    /// Number of the draw of last-layer weights that the whole walk goes by; none for the weights of the network. Such an arm
    /// has no rule, nobody that looks on, and no moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<u32>,
}

impl ArmPlan {
    /// An arm from noise that nobody looks at and nothing guides: what others say, they say beside it.
    pub fn new(name: &str, n: u64, sampler: SamplerConfig) -> Self {
        Self {
            name: name.to_owned(),
            n,
            start: Start::Noise {},
            sampler,
            watch: Vec::new(),
            controls: Vec::new(),
            maps: MapsPlan::Summed {},
            guide: None,
            propagate: None,
            weights: None,
        }
    }

    /// Names of all that look on, estimators first.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        let estimators = self.watch.iter().map(|estimator| estimator.name.as_str());
        let controls = self.controls.iter().map(|control| control.name.as_str());
        estimators.chain(controls).chain(self.propagate.map(|_| self.name.as_str()))
    }

    /// Kind of a method by its name: what labels and published numbers hang on.
    pub fn kind_of(&self, method: &str) -> Option<&'static str> {
        let estimator = self.watch.iter().find(|estimator| estimator.name == method);
        let control = || self.controls.iter().find(|control| control.name == method);
        let kind = estimator.map(|estimator| estimator.rule.kind());
        let carried = || self.propagate.filter(|_| self.name == method);
        kind.or_else(|| control().map(|control| control.rule.kind()))
            .or_else(|| carried().map(|_| propagation::METHOD))
    }
}

/// Where the trajectories of an arm start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Start {
    /// At pure noise, at the first step.
    Noise {},
    /// At real images, noised, at loop index `N / 2`.
    Images {
        /// How noisy the images are made.
        noise: NoiseLevel,
    },
}

/// What an arm keeps of the maps of those that look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MapsPlan {
    /// `[h, w]`: summed over the estimator's window and over channels.
    Summed {},
    /// `[c, h, w]`: summed over the estimator's window, and once more over its late steps.
    Channels {
        /// Training times of the late steps.
        late: LateWindow,
    },
    /// As `Summed`, and the score of every single step.
    Steps {},
    /// As `Steps`, and `[c, h, w]` of every single step: fifty times the size.
    StepMaps {},
}

/// How noisy real images are made when denoising starts at loop index `N / 2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseLevel {
    /// As noisy as the sampler expects there: training time `t_{N/2}`.
    #[default]
    Match,
    /// Half of the training times, the paper's `T / 2`, whatever the sampler expects.
    HalfT,
    /// DIFFERENCE (D18): training time `N / 2`, a loop index taken for a time: nearly clean images under a network that is
    /// told they are noisy. Its numbers are judged as the released code judges them.
    AuthorsCode,
}

impl NoiseLevel {
    /// Name, as in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::HalfT => "half_t",
            Self::AuthorsCode => "authors_code",
        }
    }
}

/// Training times `last ..= first`: the steps 45 to 48 of 50 visit 80, 60, 40 and 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateWindow {
    /// Noisiest training time of the window.
    pub first: u32,
    /// Cleanest training time of the window.
    pub last: u32,
}

impl Default for LateWindow {
    fn default() -> Self {
        Self { first: 80, last: 20 }
    }
}

impl LateWindow {
    /// Whether training time `t` is inside.
    pub fn contains(&self, t: f64) -> bool {
        (f64::from(self.last)..=f64::from(self.first)).contains(&t)
    }
}
