//! `beta_t` and `alpha_bar_t` of training.

use std::f64::consts::FRAC_PI_2;

use super::ScheduleError;
use crate::units::Timestep;

/// Offset `s` of the cosine schedule (Nichol and Dhariwal 2021, Eq. 17).
const COSINE_OFFSET: f64 = 0.008;
/// Largest beta of the cosine schedule.
const COSINE_MAX_BETA: f64 = 0.999;

/// The noise schedule of training: `x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) epsilon`.
///
/// `alpha_bar_t` is the product of `1 - beta_s` over `s = 0 ..= t`, so `alpha_bar_0 = 1 - beta_0`.
///
/// # Why f64?
/// A thousand factors near 1 are multiplied: in f32 the last values of a linear schedule are off in
/// the fourth digit, and a sampler amplifies that by `1 / sqrt(alpha_bar_t)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    betas: Vec<f64>,
    alpha_bars: Vec<f64>,
}

impl NoiseSchedule {
    /// `beta_t` equally spaced from `beta_start` to `beta_end` (Ho, Jain, Abbeel 2020).
    ///
    /// # Errors
    /// [`ScheduleError`] unless `0 < beta_start <= beta_end < 1` and `n_train_steps >= 2`.
    ///
    /// # Examples
    /// ```
    /// use dubench::schedule::NoiseSchedule;
    /// use dubench::units::Timestep;
    ///
    /// let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000)?;
    /// assert!((schedule.alpha_bar(Timestep(500)) - 0.077_797).abs() < 1e-6);
    /// # Ok::<(), dubench::schedule::ScheduleError>(())
    /// ```
    pub fn linear(
        beta_start: f64,
        beta_end: f64,
        n_train_steps: u32,
    ) -> Result<Self, ScheduleError> {
        check_beta_range(beta_start, beta_end)?;
        Self::from_betas(equally_spaced(beta_start, beta_end, n_train_steps))
    }

    /// `sqrt(beta_t)` equally spaced: the schedule of latent diffusion (Rombach et al. 2022).
    ///
    /// # Errors
    /// As [`NoiseSchedule::linear`].
    pub fn scaled_linear(
        beta_start: f64,
        beta_end: f64,
        n_train_steps: u32,
    ) -> Result<Self, ScheduleError> {
        check_beta_range(beta_start, beta_end)?;
        let roots = equally_spaced(beta_start.sqrt(), beta_end.sqrt(), n_train_steps);
        Self::from_betas(roots.into_iter().map(|root| root * root).collect())
    }

    /// `beta_t = min(1 - g((t + 1) / T) / g(t / T), 0.999)` with
    /// `g(u) = cos^2((u + 0.008) / 1.008 * pi / 2)` (Nichol and Dhariwal 2021, Eq. 17).
    ///
    /// # Errors
    /// [`ScheduleError::TooFewTrainSteps`] below 2.
    pub fn cosine(n_train_steps: u32) -> Result<Self, ScheduleError> {
        let g = |u: f64| libm::cos((u + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2).powi(2);
        let n = f64::from(n_train_steps);
        let beta =
            |t: u32| (1.0 - g((f64::from(t) + 1.0) / n) / g(f64::from(t) / n)).min(COSINE_MAX_BETA);
        Self::from_betas((0..n_train_steps).map(beta).collect())
    }

    fn from_betas(betas: Vec<f64>) -> Result<Self, ScheduleError> {
        if betas.len() < 2 {
            return Err(ScheduleError::TooFewTrainSteps {
                got: u32::try_from(betas.len()).unwrap_or(0),
            });
        }
        let alpha_bars: Vec<f64> = betas
            .iter()
            .scan(1.0, |product: &mut f64, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect();
        match (0_u32..).zip(&alpha_bars).find(|(_, value)| **value < f64::MIN_POSITIVE) {
            Some((t, value)) => Err(ScheduleError::NoSignal { t, value: *value }),
            None => Ok(Self { betas, alpha_bars }),
        }
    }

    /// Number of training steps `T`.
    pub fn n_train_steps(&self) -> u32 {
        u32::try_from(self.betas.len()).unwrap_or(u32::MAX)
    }

    /// Last training time, `T - 1`.
    pub fn last(&self) -> Timestep {
        Timestep(self.n_train_steps() - 1)
    }

    /// `alpha_bar_t`, in (0, 1).
    ///
    /// # Panics
    /// When `t` lies past [`NoiseSchedule::last`]. Samplers check their grid once, when they are built.
    pub fn alpha_bar(&self, t: Timestep) -> f64 {
        self.alpha_bars[t.0 as usize]
    }

    /// `beta_t`, in (0, 1).
    ///
    /// # Panics
    /// As [`NoiseSchedule::alpha_bar`].
    pub fn beta(&self, t: Timestep) -> f64 {
        self.betas[t.0 as usize]
    }
}

fn check_beta_range(start: f64, end: f64) -> Result<(), ScheduleError> {
    if start > 0.0 && start <= end && end < 1.0 {
        return Ok(());
    }
    Err(ScheduleError::Beta { start, end })
}

fn equally_spaced(start: f64, end: f64, n: u32) -> Vec<f64> {
    let step = (end - start) / f64::from(n.max(2) - 1);
    (0..n).map(|index| start + step * f64::from(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [u32; 12] = [0, 4, 10, 25, 40, 49, 60, 80, 100, 480, 500, 980];

    fn assert_anchors(schedule: &NoiseSchedule, expected: [f64; 12]) {
        for (t, expected) in TIMES.into_iter().zip(expected) {
            let got = schedule.alpha_bar(Timestep(t));
            assert!((got - expected).abs() < 5.1e-7, "t={t}: {got}, expected {expected}");
        }
    }

    #[test]
    fn cosine_has_the_published_values() {
        let schedule = NoiseSchedule::cosine(1000).unwrap();
        assert_anchors(
            &schedule,
            [
                0.999_959, 0.999_745, 0.999_279, 0.997_350, 0.994_335, 0.992_007, 0.988_637,
                0.981_040, 0.971_576, 0.523_448, 0.492_285, 0.000_877,
            ],
        );
        assert!(schedule.alpha_bar(Timestep(999)) < 1e-8);
        assert!((schedule.beta(Timestep(999)) - 0.999).abs() < 1e-15);
    }

    #[test]
    fn linear_has_the_published_values() {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        assert_anchors(
            &schedule,
            [
                0.999_900, 0.999_301, 0.997_807, 0.990_965, 0.979_767, 0.971_016, 0.958_321,
                0.929_897, 0.895_142, 0.094_869, 0.077_797, 0.000_059,
            ],
        );
        assert!((schedule.alpha_bar(Timestep(999)) - 0.000_040).abs() < 5.1e-7);
    }

    #[test]
    fn scaled_linear_has_the_published_values() {
        let schedule = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
        assert_anchors(
            &schedule,
            [
                0.999_150, 0.995_710, 0.990_431, 0.976_606, 0.961_886, 0.952_626, 0.940_875,
                0.918_307, 0.894_223, 0.303_694, 0.276_333, 0.005_844,
            ],
        );
        assert!((schedule.alpha_bar(Timestep(999)) - 0.004_660).abs() < 5.1e-7);
    }

    #[test]
    fn alpha_bar_falls_and_starts_at_one_minus_beta() {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        assert!((schedule.alpha_bar(Timestep(0)) - (1.0 - 1e-4)).abs() < 1e-15);
        assert!(
            (1..1000)
                .all(|t| schedule.alpha_bar(Timestep(t)) < schedule.alpha_bar(Timestep(t - 1)))
        );
        assert_eq!(schedule.last(), Timestep(999));
    }

    #[test]
    fn impossible_schedules_are_refused_with_the_reason() {
        for (start, end) in [(0.0, 0.02), (0.02, 1e-4), (1e-4, 1.0), (f64::NAN, 0.02)] {
            assert!(matches!(
                NoiseSchedule::linear(start, end, 1000),
                Err(ScheduleError::Beta { .. })
            ));
        }
        assert_eq!(NoiseSchedule::cosine(1), Err(ScheduleError::TooFewTrainSteps { got: 1 }));
        let message = NoiseSchedule::linear(0.9, 0.99, 1000).unwrap_err().to_string();
        assert!(message.contains("expected a value in (0, 1)"), "{message}");
    }
}
