//! Euler steps of a rectified flow.

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::{Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk, step_points};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, TimeAxis};
use crate::units::StepIndex;

/// Euler's method on a flow as an experiment writes it. Its times are those of the model's schedule, with its `shift`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowEulerSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
}

const GRID: GridConfig = GridConfig::FlowShift {};

impl SamplerSettings for FlowEulerSettings {
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
        if matches!(axis, TimeAxis::Flow | TimeAxis::Unread) {
            return GRID.faults(axis, self.n_steps);
        }
        let message =
            format!("flow_euler is for rectified flows, and the model has {}", axis.words());
        vec![Fault::new("kind", message)]
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(GRID.places(walk.schedule, self.n_steps)?);
        Ok(Box::new(FlowEuler { points }))
    }
}

/// `x' = x + (t' - t) u` with the velocity `u = epsilon_hat - x0_hat` (arXiv:2209.03003), from `t = 1` to 0. One evaluation a
/// step.
///
/// # Why not the level's own `a` and `s`?
/// At `t = 1` the level keeps a little signal ([`crate::schedule::NoiseLevel::flow`]) so that `u` can be told from
/// `epsilon_hat`; the step itself goes by the time.
#[derive(Clone, Debug)]
pub struct FlowEuler {
    points: Vec<StepPoint>,
}

impl Sampler for FlowEuler {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index);
        let by = self.points.get(index.0 as usize + 1).map_or(0.0, |next| next.t) - now.t;
        // u = epsilon - (x - s epsilon) / a
        let velocity = |x: f64, e: f64| ((now.a() + now.s()) * e - x) / now.a();
        Ok(Zip::from(x).and(epsilon).map_collect(|x, e| {
            let (x, e) = (f64::from(*x), f64::from(*e));
            nearest_f32(x + by * velocity(x, e))
        }))
    }
}
