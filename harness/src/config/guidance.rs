//! Table 3: the same starts, sampled with and without guidance by uncertainty.

use serde::{Deserialize, Serialize};

use super::{ArmImages, MaskConfig, SamplerConfig};
use crate::uncertainty::Window;

/// The guidance protocol: arms over the same `x_T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceConfig {
    /// What is done to the starts. Every guided arm needs an unguided one of its sampler.
    pub arms: Vec<GuidanceArm>,
    /// Strengths and percentiles of the paper's rule, crossed.
    pub sweep: Option<SweepConfig>,
}

/// One rule under one sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceArm {
    /// Name in tables; two arms of one sampler have different ones.
    pub name: String,
    /// Another sampler than the experiment's.
    pub sampler: Option<SamplerConfig>,
    /// How the prediction is rewritten.
    pub rule: RuleConfig,
    /// How many of the starts it takes.
    #[serde(default)]
    pub images: ArmImages,
}

/// A guidance rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RuleConfig {
    /// None: the baseline.
    Unguided {},
    /// A step along the gradient of the variance (Eq. 10, arXiv:2412.00205).
    Gradient {
        /// Strength, 1 in the paper.
        #[serde(default = "lambda")]
        lambda: f64,
        /// Elements above this quantile move, 0.95 in the paper.
        #[serde(default = "percentile")]
        percentile: f64,
        /// Where the threshold comes from: the map itself, or a generated set.
        #[serde(default, skip_serializing_if = "MaskConfig::is_per_image")]
        mask: MaskConfig,
        /// The paper's `M`; the scale's, else 5.
        n_draws: Option<u32>,
        /// Towards more or towards less uncertainty.
        #[serde(default)]
        direction: DirectionConfig,
        /// Loop indices that are guided; all where left out.
        window: Option<Window>,
    },
    /// Shrinkage of uncertain predictions, a rule of the released code.
    Posterior {
        /// As in the gradient rule.
        #[serde(default = "percentile")]
        percentile: f64,
        /// As in the gradient rule.
        #[serde(default, skip_serializing_if = "MaskConfig::is_per_image")]
        mask: MaskConfig,
        /// As in the gradient rule.
        n_draws: Option<u32>,
        /// As in the gradient rule.
        window: Option<Window>,
    },
    /// Random steps of the size of the uncertainty, a rule of the released code.
    SecondOrder {
        /// Strength.
        #[serde(default = "lambda")]
        lambda: f64,
        /// As in the gradient rule.
        #[serde(default = "percentile")]
        percentile: f64,
        /// As in the gradient rule.
        #[serde(default, skip_serializing_if = "MaskConfig::is_per_image")]
        mask: MaskConfig,
        /// As in the gradient rule.
        n_draws: Option<u32>,
        /// As in the gradient rule.
        window: Option<Window>,
    },
    /// The gradient as the released code computes it: with respect to `x_t`, divided by a batch size, noise level
    /// read at the loop index.
    AuthorsGradient {
        /// Strength, 0.1 in the released command line.
        #[serde(default = "released_lambda")]
        lambda: f64,
        /// As in the gradient rule.
        #[serde(default = "percentile")]
        percentile: f64,
        /// As in the gradient rule.
        n_draws: Option<u32>,
        /// Batch of the run to imitate, 128 in the released configurations. A number, never the batch of this run.
        #[serde(default = "released_batch")]
        batch_size: u32,
        /// The first three steps where left out, as in the released configurations.
        #[serde(default = "first_steps")]
        window: Window,
    },
    /// The posterior rule as the released code computes it: the last draw alone, noise level read at the loop index.
    AuthorsPosterior {
        /// As in the gradient rule.
        #[serde(default = "percentile")]
        percentile: f64,
        /// As in the gradient rule.
        n_draws: Option<u32>,
        /// As in the released gradient.
        #[serde(default = "first_steps")]
        window: Window,
    },
}

fn lambda() -> f64 {
    1.0
}

fn percentile() -> f64 {
    0.95
}

fn released_lambda() -> f64 {
    0.1
}

fn released_batch() -> u32 {
    128
}

fn first_steps() -> Window {
    Window { start: 0, len: 3 }
}

/// Uphill or downhill in uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectionConfig {
    /// Towards more: Eq. 10.
    #[default]
    Ascent,
    /// Towards less: the older files of the released code.
    Descent,
}

impl RuleConfig {
    /// Whether the prediction stays as it is.
    pub fn is_unguided(&self) -> bool {
        matches!(self, Self::Unguided {})
    }

    /// Whether it asks for gradients through the network.
    pub fn needs_gradients(&self) -> bool {
        matches!(self, Self::Gradient { .. } | Self::AuthorsGradient { .. })
    }

    /// Strength, percentile and window, as far as the rule has them.
    pub fn values(&self) -> (Option<f64>, Option<f64>, Option<Window>) {
        match self {
            Self::Unguided {} => (None, None, None),
            Self::Gradient { lambda, percentile, window, .. }
            | Self::SecondOrder { lambda, percentile, window, .. } => {
                (Some(*lambda), Some(*percentile), *window)
            }
            Self::Posterior { percentile, window, .. } => (None, Some(*percentile), *window),
            Self::AuthorsGradient { lambda, percentile, window, .. } => {
                (Some(*lambda), Some(*percentile), Some(*window))
            }
            Self::AuthorsPosterior { percentile, window, .. } => {
                (None, Some(*percentile), Some(*window))
            }
        }
    }

    /// Where its threshold comes from; `None` for rules that take the map at hand and nothing else.
    pub fn mask(&self) -> Option<&MaskConfig> {
        match self {
            Self::Gradient { mask, .. }
            | Self::Posterior { mask, .. }
            | Self::SecondOrder { mask, .. } => Some(mask),
            Self::Unguided {} | Self::AuthorsGradient { .. } | Self::AuthorsPosterior { .. } => {
                None
            }
        }
    }

    /// Number of draws, as far as the file gives it.
    pub fn n_draws(&self) -> Option<u32> {
        match self {
            Self::Unguided {} => None,
            Self::Gradient { n_draws, .. }
            | Self::Posterior { n_draws, .. }
            | Self::SecondOrder { n_draws, .. }
            | Self::AuthorsGradient { n_draws, .. }
            | Self::AuthorsPosterior { n_draws, .. } => *n_draws,
        }
    }

    /// The same with `n` draws where the file gives none, and with `n_images` in a threshold set that has no size.
    #[must_use]
    pub fn resolved(&self, n: u32, n_images: Option<u64>) -> Self {
        let mut rule = self.clone();
        match &mut rule {
            Self::Unguided {} => {}
            Self::Gradient { n_draws, mask, .. }
            | Self::Posterior { n_draws, mask, .. }
            | Self::SecondOrder { n_draws, mask, .. } => {
                *n_draws = Some(n_draws.unwrap_or(n));
                *mask = mask.resolved(n_images, *n_draws);
            }
            Self::AuthorsGradient { n_draws, .. } | Self::AuthorsPosterior { n_draws, .. } => {
                *n_draws = Some(n_draws.unwrap_or(n));
            }
        }
        rule
    }
}

/// Every strength with every percentile, by the paper's rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// Another sampler than the experiment's.
    pub sampler: Option<SamplerConfig>,
    /// Strengths.
    pub lambdas: Vec<f64>,
    /// Percentiles.
    pub percentiles: Vec<f64>,
    /// The paper's `M`; the scale's, else 5.
    pub n_draws: Option<u32>,
    /// How many of the starts each cell takes.
    #[serde(default)]
    pub images: ArmImages,
}
