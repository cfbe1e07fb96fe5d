//! The guidance protocol as an experiment writes it.

use serde::{Deserialize, Serialize};

use crate::config::ArmImages;
use crate::guidance::{Direction, GradientSettings, MaskConfig, RuleConfig};
use crate::sampler::SamplerConfig;

/// Arms over the same `x_T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guidance {
    /// What is done to the starts. Every guided arm needs an unguided one of its sampler.
    pub arms: Vec<GuidanceArm>,
    /// Strengths and percentiles of the paper's rule, crossed.
    pub sweep: Option<SweepConfig>,
    /// Steps of a scale that cannot afford the experiment's own: a scale says it, a file does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_steps: Option<u32>,
}

/// One rule under one sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceArm {
    /// Name in tables; two arms of one sampler have different ones.
    pub name: String,
    /// Another sampler than the experiment's.
    pub sampler: Option<SamplerConfig>,
    /// How the prediction is rewritten; left out in an unguided arm.
    pub rule: Option<RuleConfig>,
    /// How many of the starts it takes.
    #[serde(default)]
    pub images: ArmImages,
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

/// One cell of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepCell {
    /// Strength.
    pub lambda: f64,
    /// Percentile of the mask.
    pub percentile: f64,
}

impl SweepConfig {
    /// The cells, strength by strength.
    pub fn cells(&self) -> impl Iterator<Item = SweepCell> {
        let cell = |lambda| {
            self.percentiles
                .iter()
                .map(move |percentile| SweepCell { lambda, percentile: *percentile })
        };
        self.lambdas.iter().copied().flat_map(cell)
    }

    /// The rule of a cell.
    pub fn rule(&self, SweepCell { lambda, percentile }: SweepCell) -> RuleConfig {
        RuleConfig::Gradient(GradientSettings {
            lambda,
            percentile,
            mask: MaskConfig::default(),
            n_draws: self.n_draws,
            direction: Direction::Ascent,
            window: None,
        })
    }
}
