//! Euler steps over the sigmas of EDM.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::churn::{self, Churn, Raised};
use super::{Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::schedule::{GridConfig, NoiseLevel, TimeAxis, transfer};
use crate::units::StepIndex;

/// Euler's method as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmEulerSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: EDM's sigmas; any other grid that fits the schedule will do.
    #[serde(default = "churn::karras")]
    pub grid: GridConfig,
    /// Noise that is added before steps; none where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
}

impl SamplerSettings for EdmEulerSettings {
    fn n_steps(&self) -> u32 {
        self.n_steps
    }

    fn set_steps(&mut self, n_steps: u32) {
        self.n_steps = n_steps;
    }

    fn clip(&self, _clips: ClipX0) -> ClipX0 {
        ClipX0::Never
    }

    fn asks(&self) -> bool {
        false
    }

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        let mut faults = self.grid.faults(axis, self.n_steps);
        faults.extend(self.churn.iter().flat_map(|churn| churn.faults(axis)));
        faults
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let places = self.grid.places(walk.schedule, self.n_steps)?;
        Ok(Box::new(EdmEuler { path: Raised::new(places, self.churn.as_ref(), walk) }))
    }
}

/// Euler's method on the probability flow `d(x / a) = epsilon_hat d(s / a)` (Algorithm 1 without its second part,
/// arXiv:2206.00364), down to the clean image; with `churn`, Algorithm 2 so. One evaluation a step.
#[derive(Clone, Debug)]
pub struct EdmEuler {
    path: Raised,
}

impl Sampler for EdmEuler {
    fn points(&self) -> &[StepPoint] {
        self.path.points()
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let end = self.path.end(index).map_or(NoiseLevel::CLEAN, |place| place.level);
        Ok(self.path.raise(index, transfer(&x, &epsilon, &self.point(index).level, &end)))
    }
}
