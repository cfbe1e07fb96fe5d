//! Heun steps over the sigmas of EDM: the sampler of the paper.

use ndarray::{Array4, ArrayRef4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::churn::{self, Churn, Raised};
use super::{Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, NoiseLevel, TimeAxis, transfer};
use crate::units::StepIndex;

/// Heun's method as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmHeunSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: EDM's sigmas; any other grid that fits the schedule will do.
    #[serde(default = "churn::karras")]
    pub grid: GridConfig,
    /// Noise that is added before steps; none where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
}

impl SamplerSettings for EdmHeunSettings {
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
        let mut faults = self.grid.faults(axis, self.n_steps);
        faults.extend(self.churn.iter().flat_map(|churn| churn.faults(axis)));
        faults
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let places = self.grid.places(walk.schedule, self.n_steps)?;
        Ok(Box::new(EdmHeun { path: Raised::new(places, self.churn.as_ref(), walk) }))
    }
}

/// Heun's method on the probability flow `d(x / a) = epsilon_hat d(s / a)` (Algorithm 1, arXiv:2206.00364), down to the clean
/// image; with `churn`, Algorithm 2. Two evaluations a step, one at the last: there `s = 0`, where no network is asked.
#[derive(Clone, Debug)]
pub struct EdmHeun {
    path: Raised,
}

impl Sampler for EdmHeun {
    fn points(&self) -> &[StepPoint] {
        self.path.points()
    }

    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index).level;
        let Some(next) = self.path.end(index) else {
            return Ok(transfer(&x, &epsilon, &now, &NoiseLevel::CLEAN));
        };
        let ahead = transfer(&x, &epsilon, &now, &next.level);
        let there = ask(ahead.view(), next)?;
        let mean = mean_of(&epsilon, &there);
        Ok(self.path.raise(index, transfer(&x, &mean, &now, &next.level)))
    }
}

/// Mean of two predictions.
pub(super) fn mean_of(a: &ArrayRef4<f32>, b: &ArrayRef4<f32>) -> Array4<f32> {
    Zip::from(a).and(b).map_collect(|a, b| nearest_f32(0.5 * (f64::from(*a) + f64::from(*b))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{EdmRange, NoisePoint, NoiseSchedule};

    /// Error at the end against the exact flow of `x_0 ~ N(0, 0.25)`, which scales `x` with `sqrt(0.25 + sigma^2)`.
    fn error(n_steps: u32) -> f64 {
        let range = EdmRange { sigma_min: 0.5, sigma_max: 20.0, rho: 7.0, sigma_data: 0.5 };
        let schedule = NoiseSchedule::edm(range).unwrap();
        let places = churn::karras().places(&schedule, n_steps).unwrap();
        let (clips, samples) = (ClipX0::Never, &[]);
        let walk = Walk { schedule: &schedule, clips, seed: 0, samples };
        let mut heun = EdmHeun { path: Raised::new(places, None, &walk) };
        let gaussian = |x: &ndarray::ArrayView4<'_, f32>, s: f64| {
            x.mapv(|x| nearest_f32(s * f64::from(x) / (0.25 + s * s)))
        };
        let mut x = Array4::from_elem((1, 1, 1, 1), 20.0);
        for index in (0..n_steps - 1).map(StepIndex) {
            let epsilon = gaussian(&x.view(), heun.point(index).s());
            let mut ask = |x: ArrayView4<'_, f32>, at: NoisePoint| Ok(gaussian(&x, at.level.s()));
            x = heun.step(index, x.view(), epsilon.view(), &mut ask).unwrap();
        }
        let exact = 20.0 * (0.5 / 400.25_f64).sqrt();
        f64::from(x[[0, 0, 0, 0]]) / exact - 1.0
    }

    #[test]
    fn the_error_on_the_gaussian_flow_is_of_second_order() {
        let [few, many] = [21, 41].map(|n_steps| error(n_steps).abs());
        assert!(few < 0.02 && few / many > 3.0 && few / many < 5.5, "{few} {many}");
    }
}
