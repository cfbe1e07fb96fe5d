//! DDIM (Song, Meng, Ermon 2021), deterministic or with keyed noise.

use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use super::ancestral::add_noise;
use super::elementwise::of_both;
use super::end::{final_fault, final_level};
use super::linear::factors;
use super::{
    AncestralNoise, Ask, Clip, ClipX0, FinalAlphaBar, LinearStep, Sampler, SamplerError,
    SamplerSettings, StepPoint, Walk, clean_estimate, settings, step_points,
};
use crate::fault::Fault;
use crate::model::{ModelError, StepKind, StepRule, StepUpdate};
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, NoiseLevel, NoiseSchedule, TimeAxis, TimestepGrid};
use crate::units::StepIndex;

/// DDIM as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DdimSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: leading with offset 0, as the authors' code does on all pixel models.
    #[serde(default = "settings::leading")]
    pub grid: GridConfig,
    /// Whether `x0_hat` is clipped to the range of the model's pixels.
    #[serde(default)]
    pub clip_x0: Clip,
    /// `alpha_bar` after the last step.
    #[serde(default)]
    pub final_alpha_bar: FinalAlphaBar,
    /// Share of fresh noise in a step, in [0, 1]: 0 is deterministic, 1 ancestral.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub eta: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(eta: &f64) -> bool {
    *eta == 0.0
}

impl SamplerSettings for DdimSettings {
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
        let mut faults = self.grid.faults(axis, self.n_steps);
        faults.extend(final_fault(self.final_alpha_bar, axis));
        if !(0.0..=1.0).contains(&self.eta) {
            let message = format!("{} is not in 0 (deterministic) to 1 (ancestral)", self.eta);
            faults.push(Fault::new("eta", message));
        }
        faults
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let places = self.grid.places(walk.schedule, self.n_steps)?;
        let end = final_level(walk.schedule, self.final_alpha_bar)?;
        let ddim = Ddim::over(step_points(places), end, self.clip(walk.clips));
        let noise = AncestralNoise { seed: walk.seed, samples: walk.samples.to_vec() };
        Ok(Box::new(ddim.with_eta(self.eta, noise)?))
    }
}

/// DDIM with `eta = 0` by default (Eq. 12, arXiv:2010.02502):
///
/// ```text
/// x0_hat = (x - s epsilon_hat) / a                                       clipped for pixel models
/// x'     = a' x0_hat + sqrt(s'^2 - sigma^2) epsilon_hat + sigma z
/// sigma  = eta (s' / s) sqrt(s^2 - (a / a')^2 s'^2)
/// ```
///
/// Where the variance is preserved, `sigma` is the paper's `eta sqrt((1 - alpha_bar') / (1 - alpha_bar) (1 - alpha_bar / alpha_bar'))`.
///
/// # Why is `epsilon_hat` not derived again from the clipped `x0_hat`?
/// The reference samplers keep the network's own prediction; deriving it again is another sampler.
#[derive(Clone, Debug)]
pub struct Ddim {
    points: Vec<StepPoint>,
    end: NoiseLevel,
    clip: ClipX0,
    eta: f64,
    noise: Option<AncestralNoise>,
}

impl Ddim {
    /// Deterministic DDIM over `grid`.
    ///
    /// # Errors
    /// [`SamplerError::Schedule`] when the grid reaches past the schedule.
    ///
    /// # Examples
    /// ```
    /// use dubench::sampler::{ClipX0, Ddim, FinalAlphaBar, Sampler};
    /// use dubench::schedule::{NoiseSchedule, TimestepGrid};
    ///
    /// let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000)?;
    /// let grid = TimestepGrid::leading(1000, 50, 0)?;
    /// let sampler = Ddim::new(&schedule, &grid, ClipX0::Unit, FinalAlphaBar::One)?;
    /// assert_eq!(sampler.n_steps(), 50);
    /// # Ok::<(), dubench::sampler::SamplerError>(())
    /// ```
    pub fn new(
        schedule: &NoiseSchedule,
        grid: &TimestepGrid,
        clip: ClipX0,
        final_alpha_bar: FinalAlphaBar,
    ) -> Result<Self, SamplerError> {
        let points = step_points(grid.places(schedule)?);
        Ok(Self::over(points, final_level(schedule, final_alpha_bar)?, clip))
    }

    /// Deterministic DDIM over any places, to the level `end`.
    pub fn over(points: Vec<StepPoint>, end: NoiseLevel, clip: ClipX0) -> Self {
        Self { points, end, clip, eta: 0.0, noise: None }
    }

    /// The same rule with `eta` in [0, 1] and noise keyed by (seed, sample, step).
    ///
    /// # Errors
    /// [`SamplerError::Eta`] outside that range.
    pub fn with_eta(mut self, eta: f64, noise: AncestralNoise) -> Result<Self, SamplerError> {
        if !(0.0..=1.0).contains(&eta) {
            return Err(SamplerError::Eta { got: eta });
        }
        self.eta = eta;
        self.noise = (eta > 0.0).then_some(noise);
        Ok(self)
    }

    /// Variance of the noise of a step.
    fn noise_variance(&self, now: &NoiseLevel, next: &NoiseLevel) -> f64 {
        self.eta.powi(2) * next.s2() / now.s2() * now.variance_from(next)
    }

    /// Weight of `epsilon_hat` in the state that step `index` ends at.
    fn toward(&self, index: StepIndex) -> f64 {
        let (now, next) = (self.points[index.0 as usize].level, self.next_level(index));
        (next.s2() - self.noise_variance(&now, &next)).max(0.0).sqrt()
    }

    /// Level of the state that step `index` ends at.
    pub fn next_level(&self, index: StepIndex) -> NoiseLevel {
        self.points.get(index.0 as usize + 1).map_or(self.end, |point| point.level)
    }
}

impl Sampler for Ddim {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn clip(&self) -> ClipX0 {
        self.clip
    }

    fn linear(&self, index: StepIndex) -> Option<LinearStep> {
        let (now, next) = (self.point(index).level, self.next_level(index));
        let noise_variance = self.noise_variance(&now, &next);
        let toward = self.toward(index);
        let (of_x, of_epsilon) = factors(&now, &next, toward);
        let step = LinearStep { of_x, of_epsilon, noise_variance, midpoint: None };
        (self.clip == ClipX0::Never).then_some(step)
    }

    /// None with `eta > 0`, which adds keyed noise.
    fn step_kind(&self, n_draws: u32) -> Option<StepKind> {
        let kind = StepKind { n_draws, clip: self.clip.range(), rule: StepRule::Ddim };
        self.noise.is_none().then_some(kind)
    }

    fn update(&self, index: StepIndex) -> Option<StepUpdate<'_>> {
        let next = self.next_level(index);
        let update =
            StepUpdate::Ddim { clip: self.clip.range(), a: next.a(), s: self.toward(index) };
        self.noise.is_none().then_some(update)
    }

    /// # Panics
    /// With `eta > 0`, when the batch does not have one row a sample id.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let (now, next) = (self.point(index).level, self.next_level(index));
        let variance = self.noise_variance(&now, &next);
        let (a, toward) = (next.a(), self.toward(index));
        let clean = clean_estimate(&self.point(index), self.clip);
        let mut moved = of_both(&x, &epsilon, |x, e| {
            nearest_f32(a * f64::from(clean(x, e)) + toward * f64::from(e))
        });
        if let Some(noise) = &self.noise {
            add_noise(&mut moved, noise, index, variance.sqrt());
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::no_more;
    use crate::units::{SampleId, Timestep};

    fn sampler(n_steps: u32, clip: ClipX0) -> Ddim {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        let grid = TimestepGrid::leading(1000, n_steps, 0).unwrap();
        Ddim::new(&schedule, &grid, clip, FinalAlphaBar::One).unwrap()
    }

    fn one(value: f32) -> Array4<f32> {
        Array4::from_elem((1, 1, 1, 1), value)
    }

    /// For `x_0 ~ N(0, tau^2)` the noise prediction is linear in `x`, so each DDIM step multiplies by
    /// `(a a' tau^2 + s s') / (a^2 tau^2 + s^2)`.
    #[test]
    fn gaussian_denoiser_makes_every_step_a_known_factor() {
        let tau = 0.5_f64;
        let mut ddim = sampler(50, ClipX0::Never);
        let mut x = one(1.3);
        let mut expected = f64::from(1.3_f32);
        for index in (0..50).map(StepIndex) {
            let point = ddim.point(index);
            let (a, s) = (point.a(), point.s());
            let variance = a * a * tau * tau + s * s;
            let next = ddim.next_level(index);
            let epsilon = x.mapv(|x| nearest_f32(s * f64::from(x) / variance));
            x = ddim.step(index, x.view(), epsilon.view(), &mut no_more).unwrap();
            expected *= (a * next.a() * tau * tau + s * next.s()) / variance;
        }
        let got = f64::from(x[[0, 0, 0, 0]]);
        assert!((got - expected).abs() < 1e-5 * expected.abs(), "{got}, expected {expected}");
    }

    #[test]
    fn clipping_moves_x0_hat_and_keeps_epsilon() {
        let mut ddim = sampler(50, ClipX0::Unit);
        let index = StepIndex(10);
        let (x, epsilon) = (one(3.0), one(-1.0));
        assert_eq!(ddim.x0_hat(index, x.view(), epsilon.view()), one(1.0));
        let next = ddim.next_level(index);
        let expected = nearest_f32(next.a() - next.s());
        let moved = ddim.step(index, x.view(), epsilon.view(), &mut no_more).unwrap();
        assert_eq!(moved, one(expected));
    }

    #[test]
    fn last_step_ends_at_x0_hat_or_at_the_first_training_state() {
        let schedule = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
        let grid = TimestepGrid::leading(1000, 50, 1).unwrap();
        let end = FinalAlphaBar::FirstTrainStep;
        let latent = Ddim::new(&schedule, &grid, ClipX0::Never, end).unwrap();
        assert_eq!(latent.point(StepIndex(49)).t, 1.0);
        let first = schedule.at(Timestep(0)).level;
        assert_eq!(latent.next_level(StepIndex(49)), first);
        let mut pixel = sampler(50, ClipX0::Unit);
        let (x, epsilon) = (one(0.4), one(0.2));
        let x0_hat = pixel.x0_hat(StepIndex(49), x.view(), epsilon.view());
        let end = pixel.step(StepIndex(49), x.view(), epsilon.view(), &mut no_more).unwrap();
        assert_eq!(end, x0_hat);
    }

    #[test]
    fn noise_of_eta_belongs_to_the_sample_and_has_the_stated_variance() {
        let (n, index) = (4000_u64, StepIndex(20));
        let samples: Vec<SampleId> = (0..n).map(SampleId).collect();
        let noise = AncestralNoise { seed: 3, samples };
        let mut batch = sampler(50, ClipX0::Never).with_eta(1.0, noise).unwrap();
        let x = Array4::from_elem((4000, 1, 1, 1), 0.5);
        let moved = batch.step(index, x.view(), x.view(), &mut no_more).unwrap();
        let alone = AncestralNoise { seed: 3, samples: vec![SampleId(17)] };
        let mut single = sampler(50, ClipX0::Never).with_eta(1.0, alone).unwrap();
        let half = one(0.5);
        let row = single.step(index, half.view(), half.view(), &mut no_more).unwrap();
        assert_eq!(row[[0, 0, 0, 0]].to_bits(), moved[[17, 0, 0, 0]].to_bits());
        let (now, next) = (batch.point(index).level.a2(), batch.next_level(index).a2());
        let expected = (1.0 - next) / (1.0 - now) * (1.0 - now / next);
        let mean = moved.iter().map(|v| f64::from(*v)).sum::<f64>() / 4000.0;
        let got = moved.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 3999.0;
        assert!(
            (got / expected - 1.0).abs() < 4.0 * f64::sqrt(2.0 / 4000.0),
            "{got} of {expected}"
        );
    }

    #[test]
    fn eta_out_of_range_is_refused() {
        let noise = AncestralNoise { seed: 0, samples: vec![] };
        let error = sampler(5, ClipX0::Never).with_eta(1.5, noise).unwrap_err();
        assert_eq!(error, SamplerError::Eta { got: 1.5 });
    }
}
