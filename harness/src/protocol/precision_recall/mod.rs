//! Table 4: precision, recall, density and coverage of the images that a score keeps, against real ones.

mod evaluate;
mod faults;
mod rankings;
mod report;
mod rows;
mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::filtering::pool_arm;
use super::generative::GenerativeUncertainty;
use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::plan::{ArmPlan, Work};
use crate::report::Artefact;

/// The table as an experiment writes it. Its pool is that of a filter with the same methods, image for image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionRecall {
    /// Which neighbour a ball reaches to.
    #[serde(default = "k")]
    pub k: u32,
    /// Random subsets that make the null distribution at `n_keep`.
    #[serde(default = "n_random")]
    pub n_random: u32,
    /// Images kept; a scale says it, a file does not.
    #[serde(default)]
    pub n_keep: u64,
    /// Generative uncertainty, which walks from the starts of the pool by other weights; left out for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generative_uncertainty: Option<GenerativeUncertainty>,
}

/// The default of the released code's command line; its configurations have 5.
fn k() -> u32 {
    3
}

/// 200 subsets resolve p-values to 0.005.
fn n_random() -> u32 {
    200
}

impl Protocol for PrecisionRecall {
    fn needs(&self) -> Needs<'_> {
        Needs {
            features: true,
            statistics: true,
            reference_features: true,
            posterior: self.generative_uncertainty.as_ref().map(GenerativeUncertainty::need),
            ..Needs::default()
        }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, scale: &ScaleConfig) {
        self.n_random = scale.n_random.unwrap_or(self.n_random);
        self.n_keep = scale.n_keep.unwrap_or(self.n_keep);
    }

    fn arms(&self, scope: Scope<'_>) -> Vec<ArmPlan> {
        let mut arms = vec![pool_arm(scope)];
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
