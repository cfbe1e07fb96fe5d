//! An estimator: `harness/src/uncertainty/squared_range.rs`, a line in `mod.rs`, a line in `kinds.rs`.
//!
//! It is a function of re-noised predictions, a `PerturbedStatistic`, so it shares their network calls with the others.
//! One that asks the network something else implements `Estimator` itself.

use dubench::fault::Fault;
use dubench::model::DenoiserSpec;
use dubench::uncertainty::{
    Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given, Look,
    PerturbedStatistic, Renoising, StepContext, Window,
};
use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

/// The estimator as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquaredRangeSettings {
    /// Name in tables, draws, steps at which it looks; what is left out is the kind's and the preset's.
    pub name: Option<String>,
    pub n_draws: Option<u32>,
    pub window: Option<Window>,
}

impl EstimatorSettings for SquaredRangeSettings {
    fn take(&mut self) -> Given {
        let (name, n_draws, window) = (self.name.take(), self.n_draws.take(), self.window.take());
        Given { name, n_draws, window }
    }

    fn fill(&mut self, _defaults: &Defaults) {}

    fn default_window(&self, defaults: &Defaults) -> Window {
        defaults.window
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn facts(&self) -> EstimatorFacts {
        EstimatorFacts { needs_gradient: false, signed: false }
    }

    fn not_applicable(&self, _model: &DenoiserSpec) -> Option<String> {
        None
    }

    fn build(&self, look: &Look<'_>) -> Result<Box<dyn Estimator>, EstimatorError> {
        Ok(Box::new(SquaredRange(Renoising::new(look.name, look.window, look.n_draws))))
    }
}

/// `U_t = (max_m e_m - min_m e_m)^2`.
struct SquaredRange(Renoising);

impl PerturbedStatistic for SquaredRange {
    fn renoising(&self) -> &Renoising {
        &self.0
    }

    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32> {
        let mut ends = [f32::INFINITY, f32::NEG_INFINITY].map(|e| context.x.mapv(|_| e));
        for draw in draws {
            ends[0].zip_mut_with(draw, |low, e| *low = low.min(*e));
            ends[1].zip_mut_with(draw, |high, e| *high = high.max(*e));
        }
        (&ends[1] - &ends[0]).mapv(|range| range * range)
    }
}

/// The squared range of three standard normal numbers is `2 + 3 sqrt(3) / pi` on average.
#[test]
fn three_draws_of_a_gaussian_are_as_far_apart_as_three_normal_numbers() {
    use crate::bench::{ddim, read, slope, walk};
    let mut range: crate::Estimators = read("{kind: squared_range, window: {start: 6, len: 2}}");
    let look = Look { name: range.kind(), n_draws: 3, window: range.take().window.unwrap() };
    let watch = &mut [range.build(&look).unwrap()];
    let walked = walk(500, &mut *ddim(10, 0), (watch, None));
    assert_eq!((walked.maps.len(), walked.nfe_estimators), (2, 2 * 3));
    for (_, point, map) in walked.maps {
        let expected =
            (slope(&point) * point.s()).powi(2) * (2.0 + 27_f64.sqrt() / std::f64::consts::PI);
        let mean = map.mapv(f64::from).mean().unwrap();
        assert!((mean / expected - 1.0).abs() < 0.03, "{mean} of {expected}");
    }
}
