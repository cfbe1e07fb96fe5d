//! What an experiment may say of the propagation.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::model::{WeightDraws, WeightLook};
use crate::sampler::{Clip, SamplerConfig};

/// `BayesDiff` as an experiment writes it. Defaults are those of the released scripts.
///
/// # Examples
/// ```
/// use dubench::propagation::PropagationConfig;
///
/// let config: PropagationConfig = serde_json::from_str("{}").unwrap();
/// assert_eq!((config.n_states, config.skip), (10, 5));
/// let none: PropagationConfig = serde_json::from_str(r#"{"n_states": 0}"#).unwrap();
/// assert!(none.faults()[0].message.contains("expectation over 0 states"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PropagationConfig {
    /// States that expectation and covariance are taken over: the paper's `S`.
    pub n_states: u32,
    /// It looks at every so many steps, the first one included and the last one, to the clean image, left out.
    pub skip: u32,
    /// How the weights of the last layer are looked at.
    pub weights: WeightsConfig,
    /// Which variance a prediction is said to have.
    pub epsilon_variance: EpsilonVariance,
}

impl Default for PropagationConfig {
    fn default() -> Self {
        Self {
            n_states: 10,
            skip: 5,
            weights: WeightsConfig::default(),
            epsilon_variance: EpsilonVariance::default(),
        }
    }
}

/// Which posterior of the last layer, as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PosteriorSettings {
    /// File of `dubench fit-laplace` in the bundle's folder.
    pub file: String,
    /// Standard deviation `sigma` of the noise of the likelihood.
    pub noise: f64,
    /// Precision `gamma` of the prior: that of a weight is `h / sigma^2 + gamma`.
    pub prior_precision: f64,
}

impl Default for PosteriorSettings {
    fn default() -> Self {
        Self { file: "laplace.parquet".to_owned(), noise: 1.0, prior_precision: 1.0 }
    }
}

impl PosteriorSettings {
    /// Values that make no posterior, keys relative to its own.
    pub fn faults(&self) -> Vec<Fault> {
        let values = [("noise", self.noise), ("prior_precision", self.prior_precision)];
        let odd = values.into_iter().filter(|(_, value)| !(*value > 0.0 && value.is_finite()));
        odd.map(|(key, value)| Fault::new(key, format!("{value} is no positive number"))).collect()
    }
}

/// How the weights of the last layer are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WeightsConfig {
    /// By so many draws.
    Draws {
        /// Number of draws.
        n: u32,
    },
    /// In closed form: what infinitely many draws give.
    Exact {},
}

impl Default for WeightsConfig {
    fn default() -> Self {
        Self::Draws { n: 100 }
    }
}

impl WeightsConfig {
    /// Look number `index` of a step, with draws of its own.
    pub(super) fn look(self, seed: u64, step: u32, index: u32) -> WeightLook {
        match self {
            Self::Exact {} => WeightLook::Exact,
            Self::Draws { n } => {
                WeightLook::Draws(WeightDraws { seed, step, first: index.saturating_mul(n), n })
            }
        }
    }
}

/// Which variance a prediction is said to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpsilonVariance {
    /// That over the weights, at the state of the trajectory: what `BayesDiff` takes.
    #[default]
    Weights,
    /// That, and the variance over states of the mean over weights: the law of total variance. It costs no evaluation more.
    Total,
}

impl PropagationConfig {
    /// Values that make no propagation, keys relative to its own.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let least = if self.epsilon_variance == EpsilonVariance::Total { 2 } else { 1 };
        if !(least..=1024).contains(&self.n_states) {
            let message = format!(
                "there is no expectation over {} states: set {least} or more (at most 1024), the released code has 10",
                self.n_states
            );
            faults.push(Fault::new("n_states", message));
        }
        if self.skip == 0 {
            let message =
                "it looks at every `skip`-th step: set 1 for all of them, the released code has 5";
            faults.push(Fault::new("skip", message));
        }
        if let WeightsConfig::Draws { n } = self.weights
            && !(2..=100_000).contains(&n)
        {
            let message = format!(
                "a variance needs 2 draws or more (at most 100000), got {n}: the released code has 100, {{kind: exact}} needs none"
            );
            faults.push(Fault::new("weights.n", message));
        }
        faults
    }
}

/// Why moments cannot be carried along a walk, keys relative to the sampler's.
pub fn sampler_faults(sampler: &SamplerConfig) -> Vec<Fault> {
    let clip = match sampler {
        SamplerConfig::Ddim(settings) => settings.clip_x0,
        SamplerConfig::Ddpm(settings) => settings.clip_x0,
        SamplerConfig::DpmSolver2(_) => Clip::Off,
        SamplerConfig::DpmSolverPp2m(_)
        | SamplerConfig::Pndm(_)
        | SamplerConfig::EdmEuler(_)
        | SamplerConfig::EdmHeun(_)
        | SamplerConfig::FlowEuler(_) => {
            let message = format!(
                "{} is none of the samplers that bayesdiff carries moments along: ddim, ddpm, dpm_solver_2",
                sampler.kind()
            );
            return vec![Fault::new("kind", message)];
        }
    };
    match clip {
        Clip::Off => Vec::new(),
        Clip::FollowModel => {
            let message =
                "bayesdiff carries moments along a walk that does not clip: set clip_x0: off";
            vec![Fault::new("clip_x0", message)]
        }
    }
}
