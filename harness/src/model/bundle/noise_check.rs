//! Does what the network answers look like noise?
//!
//! A description that names the wrong prediction or the wrong time still runs and gives a table. What tells it is the
//! variance of `epsilon_hat`, which is near 1 for a network that was trained, at any level that is not nearly clean.

use ndarray::{Array4, Axis};

use crate::model::{Denoiser, ModelError, NetworkInput};
use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal};
use crate::schedule::{GridConfig, NoiseLevel, NoisePoint, NoiseSchedule, ScheduleError, transfer};
use crate::units::SampleId;

/// Images that the network makes for itself.
const N_IMAGES: u32 = 2;
/// Steps of their short walk.
const N_STEPS: u32 = 8;
/// Variances that are taken for those of noise. That of a trained network lies in 0.7 to 1.1 at these levels.
const NEAR_ONE: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// What was found at one noise level.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct NoiseCheck {
    /// Time in the schedule's unit.
    pub t: f64,
    /// Weight of the image in `x = a x_0 + s n`.
    pub a: f64,
    /// Weight of the noise.
    pub s: f64,
    /// Mean of `epsilon_hat^2`.
    pub variance: f64,
}

impl NoiseCheck {
    /// What is wrong, and what may be; `None` where nothing is.
    pub fn warning(&self) -> Option<String> {
        let Self { t, a, s, variance } = self;
        if !variance.is_finite() {
            return Some(format!(
                "outputs of the network are not finite at t={t} (a = {a:.4}, s = {s:.4}): its weights are damaged, or its numbers overflow; export it again, in float32 where it is float16"
            ));
        }
        (!NEAR_ONE.contains(variance)).then(|| {
            format!(
                "epsilon_hat has variance {variance:.2e} at t={t} (a = {a:.4}, s = {s:.4}), that of noise is 1, 0.25 to 4 pass: what model.yaml says of prediction, time or schedule may not be this network's"
            )
        })
    }
}

/// A short walk from noise to images, and where the images are noised again.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    start_std: f64,
    places: Vec<NoisePoint>,
    looked: [NoisePoint; 2],
}

impl Walk {
    /// Over a schedule's own grid; looked at in the middle of it and at the noisiest place there is.
    ///
    /// # Errors
    /// [`ScheduleError`] for a schedule without such a grid.
    pub(super) fn over(schedule: &NoiseSchedule) -> Result<Self, ScheduleError> {
        let n_steps = schedule.n_train_steps().map_or(N_STEPS, |n| n.min(N_STEPS));
        let places = GridConfig::own(schedule.axis()).places(schedule, n_steps)?;
        let start_std = schedule.start_std(&places[0].level);
        let looked = [schedule.noisiest(), places[places.len() / 2]];
        Ok(Self { start_std, places, looked })
    }
}

/// Walks from noise to images by plain steps, noises them again, and looks at what the network says there.
///
/// # Errors
/// Those of the network.
pub(super) fn run(denoiser: &mut dyn Denoiser, walk: &Walk) -> Result<Vec<NoiseCheck>, ModelError> {
    let [c, h, w] = denoiser.spec().shape;
    let mut x = noise((c, h, w), 0).mapv(|z| nearest_f32(walk.start_std * f64::from(z)));
    let ends = walk.places[1..].iter().map(|place| place.level).chain([NoiseLevel::CLEAN]);
    for (place, end) in walk.places.iter().zip(ends) {
        let epsilon = ask(denoiser, &x, *place)?;
        x = transfer(&x, &epsilon, &place.level, &end);
    }
    walk.looked
        .into_iter()
        .map(|place| {
            let (a, s) = (place.level.a(), place.level.s());
            let mut state = noise((c, h, w), 1);
            state.zip_mut_with(&x, |n, x0| {
                *n = nearest_f32(a * f64::from(*x0) + s * f64::from(*n));
            });
            let epsilon = ask(denoiser, &state, place)?;
            let squares: f64 = epsilon.iter().map(|e| f64::from(*e).powi(2)).sum();
            Ok(NoiseCheck { t: place.t, a, s, variance: squares / epsilon.len().max(1) as f64 })
        })
        .collect()
}

/// [`run`] over the walk of a schedule.
///
/// # Errors
/// Those of the network, and [`ModelError::Runtime`] for a schedule without a grid of its own.
pub(in crate::model) fn noise_of(
    denoiser: &mut dyn Denoiser,
    schedule: &NoiseSchedule,
) -> Result<Vec<NoiseCheck>, ModelError> {
    let walk = Walk::over(schedule).map_err(|error| ModelError::Runtime {
        context: denoiser.spec().name.clone(),
        message: error.to_string(),
    })?;
    run(denoiser, &walk)
}

fn noise((c, h, w): (usize, usize, usize), draw: u32) -> Array4<f32> {
    let mut states = Array4::zeros((N_IMAGES as usize, c, h, w));
    for (sample, mut row) in (0..).map(SampleId).zip(states.axis_iter_mut(Axis(0))) {
        let mut values = vec![0.0; c * h * w];
        let key = NoiseKey { seed: 0, purpose: Purpose::Initial, sample, step: 0, draw };
        standard_normal(key, &mut values);
        row.iter_mut().zip(values).for_each(|(value, z)| *value = z);
    }
    states
}

fn ask(
    denoiser: &mut dyn Denoiser,
    x: &Array4<f32>,
    place: NoisePoint,
) -> Result<Array4<f32>, ModelError> {
    let conditions = denoiser.spec().some_conditions(N_IMAGES as usize);
    let t = [place; N_IMAGES as usize];
    denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: conditions.as_deref() })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::model::analytic::GaussianDenoiser;
    use crate::schedule::EdmRange;

    fn checks(schedule: &NoiseSchedule) -> Vec<NoiseCheck> {
        let mut model = GaussianDenoiser::new(Array3::zeros((3, 16, 16)), 0.5).unwrap();
        run(&mut model, &Walk::over(schedule).unwrap()).unwrap()
    }

    /// Of `x_0 ~ N(0, tau^2)` the exact `epsilon_hat` has the variance `s^2 / (a^2 tau^2 + s^2)` on noised data. The short walk
    /// makes data that are a little narrower.
    #[test]
    fn the_exact_network_passes_on_every_kind_of_schedule() {
        let range = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
        for schedule in [
            NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap(),
            NoiseSchedule::vp_continuous(0.1, 20.0, 1.0).unwrap(),
            NoiseSchedule::edm(range).unwrap(),
            NoiseSchedule::flow(3.0, 1000).unwrap(),
        ] {
            for check in checks(&schedule) {
                let total = check.a * check.a * 0.25 + check.s * check.s;
                let expected = check.s * check.s / total;
                assert!((check.variance / expected - 1.0).abs() < 0.2, "{check:?} {expected}");
                assert_eq!(check.warning(), None);
            }
        }
    }

    #[test]
    fn what_is_no_noise_is_a_warning() {
        let check = NoiseCheck { t: 80.0, a: 1.0, s: 80.0, variance: 3e-4 };
        let message = check.warning().unwrap();
        assert!(message.contains("variance 3.00e-4 at t=80"), "{message}");
        assert!(NoiseCheck { variance: f64::NAN, ..check }.warning().is_some());
    }
}
