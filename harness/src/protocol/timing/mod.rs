//! Tables 5 and 6: what looking on costs, in seconds, beside what it costs in evaluations.
//!
//! One arm without estimation, and one an estimator, over the same samples; a block is a repeat. `generate` takes the times:
//! one network, a warm-up, the arms of each repeat in a keyed random order, the load of other processes beside every block.
//! Baseline and estimators walk by the same sampler.
//!
//! DIFFERENCE (timing): the released script has no warm-up, times the run with estimation first, and takes another sampler
//! for the baseline of its second-order rows; for them ratios mean something else.

mod evaluate;
mod faults;
mod report;
mod stats;
mod table;
mod time_plot;

use serde::{Deserialize, Serialize};

use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope, WallTimes};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::plan::{ArmPlan, Work};
use crate::report::Artefact;
use crate::uncertainty::EstimatorPlan;

/// Name of the arm and method that nobody watches.
pub const WITHOUT: &str = "without_uncertainty";
/// Name of the published column with estimation.
const WITH: &str = "with_uncertainty";
/// Measured over predicted ratio that an estimator may reach.
const TARGET: f64 = 1.05;

/// The timing as an experiment writes it. Sizes are those of the scale: a block is a repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {}

impl Protocol for Timing {
    fn needs(&self) -> Needs<'_> {
        Needs { wall_times: WallTimes::Evidence, ..Needs::default() }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(common)
    }

    fn fill(&mut self, _scale: &ScaleConfig) {}

    /// Nobody, and each estimator alone.
    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let n_steps = common.sampler.n_steps();
        let defaults = common.defaults(n_steps);
        let without = ArmPlan::new(WITHOUT, scale.n_pool, common.sampler.clone());
        let watched = common.estimators.iter().map(|config| {
            let window = common.window_of(config, n_steps);
            let plan = EstimatorPlan::resolve(config, window, &defaults);
            ArmPlan { name: plan.name.clone(), watch: vec![plan], ..without.clone() }
        });
        [without.clone()].into_iter().chain(watched).collect()
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        evaluate::evaluate(evidence)
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

    fn summary(&self, work: &Work) -> Option<String> {
        let n = work.arms.first().map_or(0, |arm| arm.n.div_ceil(u64::from(work.block_size)));
        Some(format!("{n} repeats of {} images", work.block_size))
    }
}
