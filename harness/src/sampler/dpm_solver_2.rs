//! DPM-Solver-2, single-step (Lu et al. 2022, arXiv:2206.00927).

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::linear::factors;
use super::{
    Ask, ClipX0, LinearStep, Midpoint, Sampler, SamplerError, SamplerSettings, StepPoint, Walk,
    settings, step_points,
};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::schedule::{GridConfig, NoiseLevel, NoisePoint, NoiseSchedule, TimeAxis, transfer};
use crate::units::StepIndex;

/// Single-step DPM-Solver-2 as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpmSolver2Settings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: leading with offset 0; any other grid that fits the schedule will do.
    #[serde(default = "settings::leading")]
    pub grid: GridConfig,
}

impl SamplerSettings for DpmSolver2Settings {
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
        true
    }

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        self.grid.faults(axis, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(self.grid.places(walk.schedule, self.n_steps)?);
        let schedule = walk.schedule.clone();
        Ok(Box::new(DpmSolver2 { points, schedule }))
    }
}

/// Single-step solver of second order (Algorithm 1, arXiv:2206.00927): with `lambda = ln(a / s)` it goes half of the way in
/// `lambda` by `epsilon_hat`, asks there, and takes the whole way by that answer. The last step, to the clean image, is plain.
/// Two evaluations a step, one at the last.
///
/// # What is the network told half of the way?
/// The time whose noise it is ([`NoiseSchedule::at_sigma`]), which lies between two training steps: networks that take whole
/// numbers refuse it.
#[derive(Clone, Debug)]
pub struct DpmSolver2 {
    points: Vec<StepPoint>,
    schedule: NoiseSchedule,
}

impl DpmSolver2 {
    /// Half of the way in `lambda`.
    fn middle(&self, now: &NoiseLevel, next: &NoiseLevel) -> NoisePoint {
        self.schedule.at_sigma((now.sigma() * next.sigma()).sqrt())
    }
}

impl Sampler for DpmSolver2 {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn linear(&self, index: StepIndex) -> Option<LinearStep> {
        let now = self.point(index).level;
        let next = self.points.get(index.0 as usize + 1).map(|point| point.level);
        let to = next.unwrap_or(NoiseLevel::CLEAN);
        let (of_x, of_epsilon) = factors(&now, &to, to.s());
        let midpoint = next.map(|next| {
            let place = self.middle(&now, &next);
            let (of_x, of_epsilon) = factors(&now, &place.level, place.level.s());
            Midpoint { of_x, of_epsilon, place }
        });
        Some(LinearStep { of_x, of_epsilon, noise_variance: 0.0, midpoint })
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index).level;
        let Some(next) = self.points.get(index.0 as usize + 1).map(|point| point.level) else {
            return Ok(transfer(&x, &epsilon, &now, &NoiseLevel::CLEAN));
        };
        let middle = self.middle(&now, &next);
        let ahead = transfer(&x, &epsilon, &now, &middle.level);
        let there = ask(ahead.view(), middle)?;
        // From x, in the direction found half of the way.
        Ok(transfer(&x, &there, &now, &next))
    }
}
