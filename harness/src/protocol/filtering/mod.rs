//! Table 1: discard the images that a score calls uncertain, and ask whether FID improves.

mod bayesdiff;
mod between;
mod curve_plot;
mod evaluate;
#[cfg(test)]
pub(crate) mod example;
mod faults;
mod judged;
mod kid;
mod measured;
mod negatives;
mod report;
mod rows;
pub mod study;
mod sweep_plot;
mod table;
#[cfg(test)]
mod tests;

pub(super) use faults::{is_taken, pool_faults};
use serde::{Deserialize, Serialize};

use super::generative::GenerativeUncertainty;
use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
pub use bayesdiff::{BayesDiff, BayesDiffArm};

use crate::control::ControlPlan;
use crate::fault::Fault;
use crate::plan::{ArmPlan, Work};
use crate::report::Artefact;
use crate::uncertainty::EstimatorPlan;

/// Name of the one arm.
const POOL: &str = "pool";

/// The filter as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filtering {
    /// Random subsets that make the null distribution at `n_keep`.
    #[serde(default = "n_random")]
    pub n_random: u32,
    /// Curve of FID over the fraction discarded.
    #[serde(default)]
    pub curve: CurveConfig,
    /// Images kept; a scale says it, a file does not.
    #[serde(default)]
    pub n_keep: u64,
    /// `BayesDiff`, in arms of its own; left out for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bayesdiff: Option<BayesDiff>,
    /// Generative uncertainty, which walks from the starts of the pool by other weights; left out for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generative_uncertainty: Option<GenerativeUncertainty>,
}

/// 200 subsets resolve p-values to 0.005 and the null's standard deviation to 5 %.
fn n_random() -> u32 {
    200
}

/// Points of the curve of FID over the fraction discarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurveConfig {
    /// The points stand at `i / n_parts`, for `i = 0 ..= n_points`. 12 parts put a point on the
    /// paper's one sixth.
    pub n_parts: u32,
    /// Points beyond 0; 6 of 12 parts end at one half.
    pub n_points: u32,
    /// Random subsets at each point, for the band. Fewer than at `n_keep`: only mean and spread are drawn.
    pub n_random: u32,
}

impl Default for CurveConfig {
    fn default() -> Self {
        Self { n_parts: 12, n_points: 6, n_random: 20 }
    }
}

/// The pool that all methods of an experiment rank. Protocols that ask for it with the same methods share its parts.
pub(super) fn pool_arm(Scope { common, scale }: Scope<'_>) -> ArmPlan {
    let n_steps = common.sampler.n_steps();
    let defaults = common.defaults(n_steps);
    let resolve =
        |config| EstimatorPlan::resolve(config, common.window_of(config, n_steps), &defaults);
    let controls = common.controls.iter();
    ArmPlan {
        watch: common.estimators.iter().map(resolve).collect(),
        controls: controls.map(|config| ControlPlan::resolve(config, &defaults)).collect(),
        ..ArmPlan::new(POOL, scale.n_pool, common.sampler.clone())
    }
}

impl Protocol for Filtering {
    fn needs(&self) -> Needs<'_> {
        let bayesdiff = self.bayesdiff.as_ref().map(BayesDiff::need);
        let generative = || self.generative_uncertainty.as_ref().map(GenerativeUncertainty::need);
        let posterior = bayesdiff.or_else(generative);
        Needs { features: true, statistics: true, posterior, ..Needs::default() }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, scale: &ScaleConfig) {
        self.n_random = scale.n_random.unwrap_or(self.n_random);
        self.n_keep = scale.n_keep.unwrap_or(self.n_keep);
    }

    /// One arm: all methods rank the same images. `BayesDiff`, which moves trajectories, has arms of its own behind it, and
    /// generative uncertainty those that it compares with.
    fn arms(&self, scope: Scope<'_>) -> Vec<ArmPlan> {
        let mut arms = vec![pool_arm(scope)];
        arms.extend(self.bayesdiff.iter().flat_map(|bayesdiff| bayesdiff.arms(scope)));
        arms.extend(self.generative_uncertainty.iter().flat_map(|own| own.arms(scope)));
        arms
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

    fn summary(&self, _work: &Work) -> Option<String> {
        Some(format!("{} kept", self.n_keep))
    }
}
