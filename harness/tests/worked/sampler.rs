//! A sampler: `harness/src/sampler/trapezoid.rs`, a line in `mod.rs`, a line in `kinds.rs`.

use dubench::fault::Fault;
use dubench::model::ModelError;
use dubench::noise::nearest_f32;
use dubench::sampler::{
    Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk, step_points,
};
use dubench::schedule::{GridConfig, NoiseLevel, TimeAxis, transfer};
use dubench::units::StepIndex;
use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

/// The sampler as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrapezoidSettings {
    /// Number of steps.
    pub n_steps: u32,
}

const GRID: GridConfig = GridConfig::Leading { offset: 0 };

impl SamplerSettings for TrapezoidSettings {
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
        GRID.faults(axis, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let places = GRID.places(walk.schedule, self.n_steps)?;
        Ok(Box::new(Trapezoid { points: step_points(places) }))
    }
}

/// Trapezoidal steps of the probability flow `d(x / a) = epsilon d(s / a)` (Eq. 14, arXiv:2010.02502): each looks ahead to
/// where a plain step would end, asks there too, and goes by the mean of both predictions. The last one is plain.
struct Trapezoid {
    points: Vec<StepPoint>,
}

impl Sampler for Trapezoid {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index).level;
        let Some(next) = self.points.get(index.0 as usize + 1).map(StepPoint::place) else {
            return Ok(transfer(&x, &epsilon, &now, &NoiseLevel::CLEAN));
        };
        let ahead = transfer(&x, &epsilon, &now, &next.level);
        let there = ask(ahead.view(), next)?;
        let mean = Zip::from(epsilon)
            .and(&there)
            .map_collect(|e, there| nearest_f32(0.5 * (f64::from(*e) + f64::from(*there))));
        Ok(transfer(&x, &mean, &now, &next.level))
    }
}

/// The flow maps the law of `x_T` to that of the data: by `TAU / sqrt(a^2 TAU^2 + s^2)` on the Gaussian. Two predictions a
/// step but the last, each counted.
#[test]
fn small_steps_follow_the_flow() {
    use crate::bench::{TAU, read, sampler, walk};
    let trapezoid: crate::Samplers = read("{kind: trapezoid, n_steps: 200}");
    let mut sampler = sampler(&*trapezoid);
    let first = sampler.point(StepIndex(0)).level;
    let walked = walk(2, &mut *sampler, (&mut [], None));
    assert_eq!(walked.nfe_walk, 2 * 200 - 1);
    let factor = TAU / (first.a2() * TAU * TAU + first.s2()).sqrt();
    for (x, end) in walked.first.iter().zip(&walked.last) {
        let ratio = f64::from(*end) / f64::from(*x);
        assert!((ratio / factor - 1.0).abs() < 0.002, "{ratio} of {factor}");
    }
}
