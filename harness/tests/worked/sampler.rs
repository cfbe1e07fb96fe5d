//! A sampler: `harness/src/sampler/euler.rs`, a line in `mod.rs`, a line in `kinds.rs`.

use dubench::fault::Fault;
use dubench::noise::nearest_f32;
use dubench::sampler::{
    ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk, step_points, x0_from_epsilon,
};
use dubench::schedule::GridConfig;
use dubench::units::StepIndex;
use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

/// The sampler as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EulerSettings {
    /// Number of steps.
    pub n_steps: u32,
}

const GRID: GridConfig = GridConfig::Leading { offset: 0 };

impl SamplerSettings for EulerSettings {
    fn n_steps(&self) -> u32 {
        self.n_steps
    }

    fn set_steps(&mut self, n_steps: u32) {
        self.n_steps = n_steps;
    }

    fn clip(&self, _clips: bool) -> ClipX0 {
        ClipX0::Never
    }

    fn faults(&self, n_train_steps: u32) -> Vec<Fault> {
        GRID.faults(n_train_steps, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let grid = GRID.build(walk.schedule.n_train_steps(), self.n_steps)?;
        Ok(Box::new(Euler { points: step_points(walk.schedule, &grid)? }))
    }
}

/// Euler steps of the probability-flow ODE `d(x / a) = epsilon d(s / a)` (Eq. 14, arXiv:2010.02502), down to `s = 0`.
struct Euler {
    points: Vec<StepPoint>,
}

impl Sampler for Euler {
    fn n_steps(&self) -> u32 {
        u32::try_from(self.points.len()).unwrap_or(u32::MAX)
    }

    fn point(&self, index: StepIndex) -> StepPoint {
        self.points[index.0 as usize]
    }

    fn x0_hat(
        &self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
    ) -> Array4<f32> {
        x0_from_epsilon(&self.point(index), &x, &epsilon, ClipX0::Never)
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
    ) -> Array4<f32> {
        let (a, s) = (self.point(index).a(), self.point(index).s());
        let next = self.points.get(index.0 as usize + 1);
        let (a_next, s_next) = next.map_or((1.0, 0.0), |next| (next.a(), next.s()));
        let by = s_next / a_next - s / a;
        let moved = |x: &f32, e: &f32| a_next * (f64::from(*x) / a + by * f64::from(*e));
        Zip::from(x).and(epsilon).map_collect(|x, e| nearest_f32(moved(x, e)))
    }
}

/// The flow maps the law of `x_T` to that of the data: by `TAU / sqrt(a^2 TAU^2 + s^2)` on the Gaussian.
#[test]
fn small_steps_follow_the_flow() {
    use crate::bench::{TAU, read, sampler, walk};
    let euler: crate::Samplers = read("{kind: euler, n_steps: 500}");
    let mut sampler = sampler(&*euler);
    let first = sampler.point(StepIndex(0));
    let walked = walk(2, &mut *sampler, (&mut [], None));
    let factor = TAU / (first.alpha_bar * TAU * TAU + 1.0 - first.alpha_bar).sqrt();
    for (x, end) in walked.first.iter().zip(&walked.last) {
        let ratio = f64::from(*end) / f64::from(*x);
        assert!((ratio / factor - 1.0).abs() < 0.01, "{ratio} of {factor}");
    }
}
