//! Figures 1, 6, 7, 10, 12 and 13: the same prompts and starts with and without guidance, side by side, with numbers.
//!
//! Pictures persuade whoever looks at them, so each pair has numbers beside it: scores of the images, their differences
//! paired over starts, and how far the rule moved the predictions. It needs no reference, and no feature network either: where
//! the experiment names a CLIP export, how well images agree with their prompts is one more score.

mod evaluate;
mod faults;
mod prompts;
mod report;
mod sheet_plot;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
use crate::control::ControlPlan;
use crate::fault::Fault;
use crate::guidance::RuleConfig;
use crate::plan::{ArmPlan, Work};
use crate::report::Artefact;
use crate::uncertainty::EstimatorPlan;

/// Name and kind of the arm without a rule.
const UNGUIDED: &str = "unguided";

/// How well an image agrees with its prompt.
const CLIP_SCORE: &str = "clip_score";

/// Pairs of images from the same starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// Guided arms; the unguided one is always there.
    pub arms: Vec<PairArm>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairArm {
    /// Name in tables.
    pub name: String,
    /// How the prediction is rewritten.
    pub rule: RuleConfig,
}

impl Protocol for Pairs {
    fn needs(&self) -> Needs<'_> {
        Needs { agreement: true, ..Needs::default() }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, _scale: &ScaleConfig) {}

    /// The unguided arm, which the estimators watch, then the guided ones. Controls judge the images of all.
    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let sampler = common.sampler_of(None, scale);
        let n_steps = sampler.n_steps();
        let mut defaults = common.defaults(n_steps);
        defaults.n_draws = scale.n_draws.unwrap_or(defaults.n_draws);
        let watch = |e| EstimatorPlan::resolve(e, common.window_of(e, n_steps), &defaults);
        let controls: Vec<ControlPlan> =
            common.controls.iter().map(|c| ControlPlan::resolve(c, &defaults)).collect();
        let arm = |name: &str, rule: Option<&RuleConfig>| ArmPlan {
            controls: controls.clone(),
            guide: rule.map(|rule| rule.resolved(defaults.n_draws, scale.n_threshold_images)),
            ..ArmPlan::new(name, scale.n_pool, sampler.clone())
        };
        let unguided =
            ArmPlan { watch: common.estimators.iter().map(watch).collect(), ..arm(UNGUIDED, None) };
        let guided = self.arms.iter().map(|own| arm(&own.name, Some(&own.rule)));
        std::iter::once(unguided).chain(guided).collect()
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        evaluate::evaluate(evidence)
    }

    fn summary(&self, _work: &Work) -> Option<String> {
        None
    }

    fn remarks(&self, evidence: &dyn Evidence) -> Vec<String> {
        report::remarks(evidence)
    }

    fn report(
        &self,
        evidence: &mut dyn Evidence,
        numbers: &Numbers,
    ) -> Result<Vec<Artefact>, ProtocolError> {
        report::report(evidence, numbers)
    }
}
