//! `BayesDiff` in a filter: arms of their own, each judged against random subsets of its own pool.

use serde::{Deserialize, Serialize};

use super::{Filtering, POOL};
use crate::config::Common;
use crate::config::values;
use crate::fault::Fault;
use crate::plan::ArmPlan;
use crate::propagation::{METHOD, NEGATIVE, PosteriorSettings, PropagationConfig, sampler_faults};
use crate::protocol::{PosteriorNeed, Scope};

/// `BayesDiff` as a filter writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BayesDiff {
    /// Posterior of the last layer.
    #[serde(default)]
    pub posterior: PosteriorSettings,
    /// One pool each.
    pub arms: Vec<BayesDiffArm>,
}

/// One arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BayesDiffArm {
    /// Name in tables.
    pub name: String,
    /// How moments are carried.
    #[serde(default)]
    pub rule: PropagationConfig,
}

impl BayesDiff {
    /// What it reads beyond the parts of its arms.
    pub(super) fn need(&self) -> PosteriorNeed<'_> {
        PosteriorNeed { method: METHOD, settings: &self.posterior }
    }

    /// The arms at a scale: the sampler and the starts of the pool, the trajectories their own.
    pub(super) fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let arm = |arm: &BayesDiffArm| ArmPlan {
            propagate: Some(arm.rule),
            ..ArmPlan::new(&arm.name, scale.n_pool, common.sampler.clone())
        };
        self.arms.iter().map(arm).collect()
    }

    /// What keeps it from running, `taken` the names that others have.
    pub(super) fn faults(&self, common: &Common, taken: &dyn Fn(&str) -> bool) -> Vec<Fault> {
        let key = "protocol.bayesdiff";
        let mut faults: Vec<Fault> = sampler_faults(&common.sampler)
            .into_iter()
            .map(|fault| fault.below("sampler"))
            .collect();
        let posterior = self.posterior.faults().into_iter();
        faults.extend(posterior.map(|fault| fault.below(&format!("{key}.posterior"))));
        if self.arms.is_empty() {
            let message = "there is no arm: write arms: [{name: bayesdiff}]";
            faults.push(Fault::new(format!("{key}.arms"), message));
        }
        for (index, arm) in self.arms.iter().enumerate() {
            let key = format!("{key}.arms[{index}]");
            let name = format!("{key}.name");
            values::name(&name, &arm.name, &mut faults);
            let before = self.arms[..index].iter().any(|other| other.name == arm.name);
            if before || arm.name == POOL || arm.name == NEGATIVE || taken(&arm.name) {
                let message =
                    format!("{:?} is taken: give every method and arm a name of its own", arm.name);
                faults.push(Fault::new(name, message));
            }
            let rule = arm.rule.faults().into_iter();
            faults.extend(rule.map(|fault| fault.below(&format!("{key}.rule"))));
        }
        faults
    }
}

/// What must stand under the tables of a filter with such arms.
pub(super) fn remark(filter: &Filtering) -> Option<String> {
    filter.bayesdiff.as_ref().map(|_| {
        "BayesDiff draws predictions, so it walks to other images: each of its arms is a pool of its own, held against random \
         subsets of that pool. Compare Δ, Δ∞ and p between the tables, not FID. NFE says what each method asks for: the paper \
         sets 20 further evaluations against BayesDiff's total."
            .to_owned()
    })
}
