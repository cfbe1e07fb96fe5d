//! DDPM's ancestral sampling (Ho, Jain, Abbeel 2020), over any number of steps.

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::ancestral::add_noise;
use super::{
    AncestralNoise, Ask, Clip, ClipX0, LinearStep, Sampler, SamplerError, SamplerSettings,
    StepPoint, Walk, settings, step_points,
};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, NoiseLevel, TimeAxis};
use crate::units::StepIndex;

/// Ancestral sampling as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DdpmSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: leading with offset 0; any other grid that fits the schedule will do.
    #[serde(default = "settings::leading")]
    pub grid: GridConfig,
    /// Whether `x0_hat` is clipped to [-1, 1].
    #[serde(default)]
    pub clip_x0: Clip,
    /// Variance of the noise of a step.
    #[serde(default)]
    pub variance: StepVariance,
}

/// Variance of the noise of a step, with `v = s^2 - (a / a')^2 s'^2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepVariance {
    /// `v s'^2 / s^2`: right for data of one point.
    #[default]
    Small,
    /// `v`: right for data of unit variance.
    Large,
}

impl SamplerSettings for DdpmSettings {
    fn n_steps(&self) -> u32 {
        self.n_steps
    }

    fn set_steps(&mut self, n_steps: u32) {
        self.n_steps = n_steps;
    }

    fn clip(&self, clips: ClipX0) -> ClipX0 {
        self.clip_x0.of_model(clips)
    }

    fn asks(&self) -> bool {
        false
    }

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        self.grid.faults(axis, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(self.grid.places(walk.schedule, self.n_steps)?);
        let noise = AncestralNoise { seed: walk.seed, samples: walk.samples.to_vec() };
        let (clip, variance) = (self.clip(walk.clips), self.variance);
        Ok(Box::new(Ddpm { points, clip, variance, noise }))
    }
}

/// Ancestral sampling (Eq. 7, arXiv:2006.11239, for any levels): with `v = s^2 - (a / a')^2 s'^2`, the variance between the two
/// levels,
///
/// ```text
/// x' = (a' v / s^2) x0_hat + (a / a') (s'^2 / s^2) x + sigma z
/// ```
///
/// and no noise at the last step. One evaluation a step; `z` belongs to the sample and the step.
#[derive(Clone, Debug)]
pub struct Ddpm {
    points: Vec<StepPoint>,
    clip: ClipX0,
    variance: StepVariance,
    noise: AncestralNoise,
}

impl Ddpm {
    /// Variance of the noise of a step that is not the last.
    fn noise_variance(&self, now: &NoiseLevel, to: &NoiseLevel) -> f64 {
        let fresh = now.variance_from(to);
        match self.variance {
            StepVariance::Small => fresh * to.s2() / now.s2(),
            StepVariance::Large => fresh,
        }
    }
}

impl Sampler for Ddpm {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn clip(&self) -> ClipX0 {
        self.clip
    }

    fn linear(&self, index: StepIndex) -> Option<LinearStep> {
        let now = self.point(index).level;
        let next = self.points.get(index.0 as usize + 1).map(|point| point.level);
        let to = next.unwrap_or(NoiseLevel::CLEAN);
        // With x0_hat = (x - s epsilon) / a both terms in x add up to a' / a.
        let of_x = to.a() / now.a();
        let of_epsilon = -of_x * now.variance_from(&to) / now.s();
        let noise_variance = next.map_or(0.0, |to| self.noise_variance(&now, &to));
        let step = LinearStep { of_x, of_epsilon, noise_variance, midpoint: None };
        (self.clip == ClipX0::Never).then_some(step)
    }

    /// # Panics
    /// When the batch does not have one row a sample id.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index).level;
        let next = self.points.get(index.0 as usize + 1).map(|point| point.level);
        let to = next.unwrap_or(NoiseLevel::CLEAN);
        let fresh = now.variance_from(&to);
        let of_x0 = to.a() * fresh / now.s2();
        let of_x = now.a() / to.a() * to.s2() / now.s2();
        let x0_hat = self.x0_hat(index, x, epsilon);
        let mut moved = Zip::from(&x0_hat)
            .and(x)
            .map_collect(|x0, x| nearest_f32(of_x0 * f64::from(*x0) + of_x * f64::from(*x)));
        if next.is_some() {
            let variance = self.noise_variance(&now, &to);
            add_noise(&mut moved, &self.noise, index, variance.sqrt());
        }
        Ok(moved)
    }
}
