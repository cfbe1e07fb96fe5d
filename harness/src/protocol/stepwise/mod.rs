//! Figures 3 to 5, 8 and 9: the uncertainty along the walk, step by step.
//!
//! Estimators look at every step. Figure 3 is mean and spread over images of the sum of each step's map; that the spread is
//! largest late in the walk is tested by a bootstrap over images. Figures 4 and 5 are maps summed over the walk, Figures 8
//! and 9 maps of single steps, of the first images, so that nobody chose them.

mod evaluate;
mod faults;
mod map_plot;
mod panels;
mod report;
mod spread;
mod spread_plot;
mod step_plot;
mod table;

use serde::{Deserialize, Serialize};

use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::plan::{ArmPlan, MapsPlan, Work};
use crate::report::Artefact;
use crate::uncertainty::{EstimatorConfig, EstimatorPlan, Window};

/// Name of the arm whose scores are kept.
const STEPS: &str = "steps";
/// Name of the arm whose maps are kept.
const MAPS: &str = "maps";

/// The walk as an experiment looks at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stepwise {
    /// Where the paper sees the largest spread.
    #[serde(default)]
    pub peak: PeakConfig,
    /// Resamples of the images behind the test of it.
    #[serde(default = "n_bootstrap")]
    pub n_bootstrap: u32,
    /// Other estimators than the experiment's for the images whose maps are kept: what is too dear for all of them.
    pub map_estimators: Option<Vec<EstimatorConfig>>,
}

/// 2,000 resamples put the ends of a 95 % interval right to a tenth of its width.
fn n_bootstrap() -> u32 {
    2000
}

/// A part of the walk, as fractions of it: 0 is pure noise, 1 the image. "Between 75 % and 90 %" in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeakConfig {
    /// Where it begins.
    pub first: f64,
    /// Where it ends.
    pub last: f64,
}

impl Default for PeakConfig {
    fn default() -> Self {
        Self { first: 0.75, last: 0.9 }
    }
}

impl PeakConfig {
    /// Loop indices of a walk of `n_steps` that lie in it: 37 to 45 of 50.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ..= n_steps")]
    pub fn steps(&self, n_steps: u32) -> std::ops::RangeInclusive<u32> {
        let at = |part: f64| (part.clamp(0.0, 1.0) * f64::from(n_steps)).floor() as u32;
        at(self.first)..=at(self.last).min(n_steps.saturating_sub(1))
    }
}

impl Protocol for Stepwise {
    fn needs(&self) -> Needs<'_> {
        Needs::default()
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, scale: &ScaleConfig) {
        self.n_bootstrap = scale.n_random.unwrap_or(self.n_bootstrap);
    }

    /// Scores of all images; maps of the first ones.
    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let sampler = common.sampler_of(None, scale);
        let n_steps = sampler.n_steps();
        let defaults = common.defaults(n_steps);
        let watch = |configs: &[EstimatorConfig]| {
            let resolve = |config| {
                let plan =
                    EstimatorPlan::resolve(config, Window { start: 0, len: n_steps }, &defaults);
                EstimatorPlan { n_draws: scale.n_draws.unwrap_or(plan.n_draws), ..plan }
            };
            configs.iter().map(resolve).collect()
        };
        let arm = |name: &str, n: u64, maps: MapsPlan, estimators: &[EstimatorConfig]| ArmPlan {
            watch: watch(estimators),
            maps,
            ..ArmPlan::new(name, n, sampler.clone())
        };
        let mapped = self.map_estimators.as_ref().unwrap_or(&common.estimators);
        let n_maps = scale.n_subset.unwrap_or(scale.n_pool);
        vec![
            arm(STEPS, scale.n_pool, MapsPlan::Steps {}, &common.estimators),
            arm(MAPS, n_maps, MapsPlan::StepMaps {}, mapped),
        ]
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        evaluate::evaluate(self, evidence)
    }

    fn remarks(&self, evidence: &dyn Evidence) -> Vec<String> {
        report::remarks(self, evidence)
    }

    fn report(
        &self,
        evidence: &mut dyn Evidence,
        numbers: &Numbers,
    ) -> Result<Vec<Artefact>, ProtocolError> {
        report::report(self, evidence, numbers)
    }

    fn summary(&self, work: &Work) -> Option<String> {
        let maps = work.arms.iter().find(|arm| arm.name == MAPS)?;
        Some(format!("maps of every step of {}", maps.n))
    }
}

#[cfg(test)]
mod tests {
    use super::PeakConfig;

    #[test]
    fn three_quarters_to_nine_tenths_of_fifty_steps_are_37_to_45() {
        assert_eq!(PeakConfig::default().steps(50), 37..=45);
        assert_eq!(PeakConfig { first: 0.9, last: 1.0 }.steps(10), 9..=9);
    }
}
