//! Euler steps over the sigmas of EDM.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::{Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk, step_points};
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
    #[serde(default = "karras")]
    pub grid: GridConfig,
}

fn karras() -> GridConfig {
    GridConfig::Karras {}
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

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        self.grid.faults(axis, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(self.grid.places(walk.schedule, self.n_steps)?);
        Ok(Box::new(EdmEuler { points }))
    }
}

/// Euler's method on the probability flow `d(x / a) = epsilon_hat d(s / a)` (Algorithm 1 without its second part,
/// arXiv:2206.00364), down to the clean image. One evaluation a step.
#[derive(Clone, Debug)]
pub struct EdmEuler {
    points: Vec<StepPoint>,
}

impl Sampler for EdmEuler {
    fn n_steps(&self) -> u32 {
        u32::try_from(self.points.len()).unwrap_or(u32::MAX)
    }

    fn point(&self, index: StepIndex) -> StepPoint {
        self.points[index.0 as usize]
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let next = self.points.get(index.0 as usize + 1).map_or(NoiseLevel::CLEAN, |p| p.level);
        Ok(transfer(&x, &epsilon, &self.point(index).level, &next))
    }
}
