//! Table 2: noise real images, denoise them, and ask whether uncertainty marks the error.

pub mod audit;
mod audit_plot;
mod config;
mod curve_plot;
mod evaluate;
mod faults;
mod input;
mod latent;
mod map_plot;
pub mod maps;
mod report;
mod rows;
mod table;

pub use config::{Reconstruction, ReconstructionArm};

use super::{Evidence, Needs, Numbers, Protocol, ProtocolError, Scope};
use crate::config::{Common, ScaleConfig};
use crate::control::{ControlConfig, ControlPlan, EstimateShiftSettings};
use crate::fault::Fault;
use crate::plan::{ArmPlan, MapsPlan, Start, Work};
use crate::report::Artefact;
use crate::uncertainty::{EstimatorConfig, EstimatorPlan, Window};

/// Method name of the variance of the reconstruction over 3 x 3 pixels.
pub const LOCAL_VARIANCE: &str = "local_variance";
/// Method name of keyed noise in the place of an uncertainty.
pub const CHANCE: &str = "chance";
/// Method name of the error itself in the place of an uncertainty.
pub const ORACLE: &str = "oracle";
/// Method name of the rows that speak of no uncertainty.
pub const RECONSTRUCTION: &str = "reconstruction";

impl Protocol for Reconstruction {
    fn needs(&self) -> Needs<'_> {
        Needs { images: Some(&self.images), ..Needs::default() }
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        faults::faults(self, common)
    }

    fn fill(&mut self, _scale: &ScaleConfig) {}

    /// Denoising starts at loop index `N / 2`; every estimator looks at every executed step.
    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let defaults = common.defaults(common.sampler.n_steps());
        let shift = ControlConfig::EstimateShift(EstimateShiftSettings::default());
        let watch = |configs: &[EstimatorConfig], n_steps: u32, n_draws: Option<u32>| {
            let window = Window { start: n_steps / 2, len: n_steps - n_steps / 2 };
            let resolve = |config| {
                let plan = EstimatorPlan::resolve(config, window, &defaults);
                EstimatorPlan { n_draws: n_draws.unwrap_or(plan.n_draws), ..plan }
            };
            configs.iter().map(resolve).collect()
        };
        let arm = |own: &ReconstructionArm| {
            let sampler = common.sampler_of(own.sampler.as_ref(), scale);
            let n_steps = sampler.n_steps();
            ArmPlan {
                start: Start::Images { noise: own.noise },
                watch: match &own.estimators {
                    Some(own) => watch(own, n_steps, None),
                    None => watch(&common.estimators, n_steps, scale.n_draws),
                },
                controls: vec![ControlPlan::resolve(&shift, &defaults)],
                maps: MapsPlan::Channels { late: self.late },
                ..ArmPlan::new(&own.name, scale.n_of(own.images), sampler)
            }
        };
        self.arms.iter().map(arm).collect()
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        evaluate::evaluate(self, evidence)
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
