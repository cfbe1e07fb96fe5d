//! Table 3: sample the same starts with and without guidance by uncertainty, and ask whether FID moves.

mod config;
mod effect_plot;
mod evaluate;
mod faults;
mod input;
mod kid;
mod paired;
mod report;
mod rows;
mod samples;
mod sheet_plot;
mod sweep_plot;
mod table;

pub use config::{Guidance, GuidanceArm, SweepCell, SweepConfig};
pub(super) use faults::rule as rule_faults;
pub(super) use report::words as rule_words;

use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::guidance::RuleConfig;
use crate::plan::{ArmPlan, Work};
use crate::report::Artefact;
use crate::sampler::SamplerConfig;

/// Kind of the row of an arm without a rule.
const UNGUIDED: &str = "unguided";

impl Guidance {
    /// Place of an arm in the sweep; `None` for the arms that the file lists.
    fn cell(&self, arm: usize) -> Option<SweepCell> {
        self.sweep.as_ref()?.cells().nth(arm.checked_sub(self.arms.len())?)
    }
}

impl Protocol for Guidance {
    fn needs(&self) -> Needs<'_> {
        Needs { features: true, statistics: true, ..Needs::default() }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, scale: &ScaleConfig) {
        self.n_steps = scale.n_steps;
    }

    /// The arms that the file lists, then the cells of the sweep.
    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let n_draws = scale.n_draws.unwrap_or(common.defaults(common.sampler.n_steps()).n_draws);
        let arm =
            |name: String, n: u64, sampler: Option<&SamplerConfig>, rule: Option<&RuleConfig>| {
                ArmPlan {
                    guide: rule.map(|rule| rule.resolved(n_draws, scale.n_threshold_images)),
                    ..ArmPlan::new(&name, n, common.sampler_of(sampler, scale))
                }
            };
        let mut arms: Vec<ArmPlan> = self
            .arms
            .iter()
            .map(|own| {
                let n = scale.n_of(own.images);
                arm(own.name.clone(), n, own.sampler.as_ref(), own.rule.as_ref())
            })
            .collect();
        if let Some(sweep) = &self.sweep {
            let n = scale.n_of(sweep.images);
            arms.extend(sweep.cells().map(|cell| {
                let name = format!("sweep lambda={} percentile={}", cell.lambda, cell.percentile);
                arm(name, n, sweep.sampler.as_ref(), Some(&sweep.rule(cell)))
            }));
        }
        arms
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        evaluate::evaluate(self, evidence)
    }

    fn summary(&self, _work: &Work) -> Option<String> {
        None
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
}
