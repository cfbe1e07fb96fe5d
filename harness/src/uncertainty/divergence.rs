//! What "aleatoric" means in closed form: the posterior variance of the clean image, by random probes of the Jacobian.

use ndarray::{Array4, Axis, Zip, concatenate, s};
use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::micro_batch::conditions_of;
use super::perturb::draws_of;
use super::{
    Defaults, Estimator, EstimatorError, EstimatorFacts, EstimatorSettings, Given, Look,
    PerturbedStatistic, StepContext, Window, in_batches, mean_over_draws,
};
use crate::fault::Fault;
use crate::model::{DenoiserSpec, ModelError, Network, NetworkInput};
use crate::noise::{NoiseKey, Purpose, dropout_mask, nearest_f32};
use crate::units::NfeKind;

/// The divergence as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DivergenceSettings {
    /// Name in tables, `divergence` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Probes, at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

impl EstimatorSettings for DivergenceSettings {
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
        EstimatorFacts { needs_gradient: true, signed: true }
    }

    fn not_applicable(&self, _model: &DenoiserSpec) -> Option<String> {
        None
    }

    fn build(&self, look: &Look<'_>) -> Result<Box<dyn Estimator>, EstimatorError> {
        Ok(Box::new(Divergence::new(look.window, look.n_draws)?.named(look.name)))
    }
}

/// `U_t = (s / a)^2 (1 - s diag(J))` with `J = d epsilon / d x` at `x_t`: for an exact network the variance of every element of
/// `x_0` given `x_t`, since `Cov(x_0 | x_t) = (s^2 / a) d x0_hat / d x` (the second-order formula of Tweedie and Miyasawa) and
/// `x0_hat = (x - s epsilon) / a`. The diagonal is the mean over `M` probes of `v * (J^T v)` with signs `v` (Hutchinson
/// 1989), which is unbiased, and exact where `J` is diagonal.
///
/// Units are those of squared `x_0`, not of squared `epsilon`. A network that is no exact denoiser, and too few probes, give
/// elements below zero; they are kept, since cutting them would shift every mean. A probe is one forward and one reverse pass.
#[derive(Clone, Debug)]
pub struct Divergence {
    name: String,
    window: Window,
    n_draws: u32,
}

impl Divergence {
    /// The estimator over `window` with `n_draws` probes.
    ///
    /// # Errors
    /// [`EstimatorError`] without a probe.
    ///
    /// # Examples
    /// ```
    /// use dubench::uncertainty::{Divergence, Window};
    ///
    /// assert!(Divergence::new(Window { start: 45, len: 4 }, 1).is_ok());
    /// assert!(Divergence::new(Window { start: 45, len: 4 }, 0).is_err());
    /// ```
    pub fn new(window: Window, n_draws: u32) -> Result<Self, EstimatorError> {
        check_draws("divergence", n_draws, 1)?;
        Ok(Self { name: "divergence".to_owned(), window, n_draws })
    }

    /// The same under another name, for tables with several settings.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// Signs of draw `row / b` for batch row `row % b`, `[rows, c, h, w]`.
fn probes(context: &StepContext<'_>, rows: std::ops::Range<usize>) -> Array4<f32> {
    let (b, c, h, w) = context.x.dim();
    let mut signs = Array4::zeros((rows.len(), c, h, w));
    let mut bits = vec![0; c * h * w];
    for (mut sign, row) in signs.outer_iter_mut().zip(rows) {
        let key = NoiseKey {
            seed: context.seed,
            purpose: Purpose::Probe,
            sample: context.samples[row % b],
            step: context.point.index.0,
            draw: u32::try_from(row / b).unwrap_or(u32::MAX),
        };
        dropout_mask(key, 0.5, &mut bits);
        sign.iter_mut().zip(&bits).for_each(|(sign, bit)| *sign = f32::from(*bit) * 2.0 - 1.0);
    }
    signs
}

impl Estimator for Divergence {
    fn name(&self) -> &str {
        &self.name
    }

    fn window(&self) -> Window {
        self.window
    }

    fn estimate(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let b = context.x.shape()[0];
        let total = b * self.n_draws as usize;
        let stacked = in_batches(total, context.max_batch, |rows| {
            let signs = probes(context, rows.clone());
            let times = vec![context.point.place(); rows.len()];
            let classes = conditions_of(context.conditions, rows.clone());
            let views: Vec<_> =
                rows.map(|row| context.x.slice(s![row % b..=row % b, .., .., ..])).collect();
            let x = concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
                context: "stacking states for divergence".to_owned(),
                message: error.to_string(),
            })?;
            let input = NetworkInput { x: x.view(), t: &times, y: classes.as_deref() };
            let (_, mut pulled) = network.epsilon_vjp(NfeKind::Estimator, input, signs.view())?;
            pulled.zip_mut_with(&signs, |value, sign| *value *= sign);
            Ok(pulled)
        })?;
        let diagonal = mean_over_draws(&draws_of(&stacked, b));
        let (a, s) = (context.point.a(), context.point.s());
        let scale = (s / a).powi(2);
        Ok(Zip::from(&diagonal).map_collect(|j| nearest_f32(scale * (1.0 - s * j))))
    }

    fn as_perturbed(&self) -> Option<&dyn PerturbedStatistic> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ndarray::Array3;

    use super::*;
    use crate::model::Denoiser;
    use crate::model::analytic::{GaussianDenoiser, MixtureDenoiser};
    use crate::sampler::StepPoint;
    use crate::schedule::{NoisePoint, NoiseSchedule};
    use crate::units::{SampleId, StepIndex, Timestep};

    const WINDOW: Window = Window { start: 45, len: 4 };
    const TAU: f64 = 0.3;

    fn at(t: u32) -> NoisePoint {
        NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap().at(Timestep(t))
    }

    /// Two states of `[1, 2, 2]` at training time `t`, looked at in calls of `max_batch` rows.
    fn estimate(
        model: &mut dyn Denoiser,
        (t, n_draws, max_batch): (u32, u32, usize),
    ) -> (Array4<f32>, crate::units::Nfe) {
        let x = states();
        let zeros = Array4::zeros(x.raw_dim());
        let samples = [SampleId(3), SampleId(8)];
        let context = StepContext {
            point: StepPoint::new(StepIndex(45), at(t)),
            x: x.view(),
            epsilon: zeros.view(),
            x0_hat: zeros.view(),
            samples: &samples,
            conditions: None,
            seed: 4,
            max_batch: NonZeroUsize::new(max_batch).unwrap(),
        };
        let mut network = Network::new(model);
        let map = Divergence::new(WINDOW, n_draws).unwrap().estimate(&context, &mut network);
        (map.unwrap(), network.nfe())
    }

    fn states() -> Array4<f32> {
        Array4::from_shape_fn((2, 1, 2, 2), |(n, _, i, j)| {
            0.3 * n as f32 + 0.2 * i as f32 - 0.1 * j as f32
        })
    }

    /// `Var(x_0 | x_t) = s^2 tau^2 / (a^2 tau^2 + s^2)` of `x_0 ~ N(mu, tau^2)`, whatever the probes.
    #[test]
    fn on_a_gaussian_it_is_the_posterior_variance() {
        for t in [20, 80, 480] {
            let mut model = GaussianDenoiser::new(Array3::from_elem((1, 2, 2), 0.2), TAU).unwrap();
            let (map, nfe) = estimate(&mut model, (t, 1, 8));
            let (a, s) = (at(t).level.a(), at(t).level.s());
            let expected = s * s * TAU * TAU / (a * a * TAU * TAU + s * s);
            for value in &map {
                assert!(
                    (f64::from(*value) / expected - 1.0).abs() < 1e-4,
                    "t = {t}: {value}, {expected}"
                );
            }
            assert_eq!((nfe.estimator, nfe.gradient), (2, 2));
        }
    }

    /// The diagonal of the Jacobian, one direction a call.
    #[test]
    fn on_a_mixture_probes_go_to_the_diagonal() {
        let ramp = |scale: f32| {
            Array3::from_shape_fn((1, 2, 2), |(_, i, j)| scale * (i as f32 - 0.5 * j as f32))
        };
        let mut model = MixtureDenoiser::new(vec![ramp(0.9), ramp(-0.7)], TAU).unwrap();
        let (t, x) = (300, states());
        let (a, s) = (at(t).level.a(), at(t).level.s());
        let n_draws = 4000;
        let (map, _) = estimate(&mut model, (t, n_draws, 64));
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut one = Array4::zeros(x.raw_dim());
            one.slice_mut(s![.., 0, i, j]).fill(1.0);
            let input = NetworkInput { x: x.view(), t: &[at(t), at(t)], y: None };
            let (_, slope) = model.epsilon_vjp(input, one.view()).unwrap();
            for row in 0..2 {
                let expected = (s / a).powi(2) * (1.0 - s * f64::from(slope[[row, 0, i, j]]));
                let got = f64::from(map[[row, 0, i, j]]);
                // The standard error of a probe is the size of the rest of the row: below 0.5 here.
                assert!(
                    (got - expected).abs() < 4.0 * 0.5 / f64::from(n_draws).sqrt(),
                    "{got}, {expected}"
                );
            }
        }
    }

    #[test]
    fn calls_of_any_size_give_the_same_bits() {
        let ramp = |scale: f32| {
            Array3::from_shape_fn((1, 2, 2), |(_, i, j)| scale * (i as f32 - 0.5 * j as f32))
        };
        let mut model = MixtureDenoiser::new(vec![ramp(0.9), ramp(-0.7)], TAU).unwrap();
        let (whole, _) = estimate(&mut model, (80, 5, 64));
        for max_batch in [1, 3] {
            assert_eq!(estimate(&mut model, (80, 5, max_batch)).0, whole);
        }
    }
}
