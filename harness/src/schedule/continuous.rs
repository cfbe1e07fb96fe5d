//! Schedules without training steps: a continuous variance-preserving process, EDM's sigmas, rectified flow.

use serde::{Deserialize, Serialize};

use super::{NoiseLevel, ScheduleError};

/// `d x = -1/2 beta(t) x dt + sqrt(beta(t)) dw` with `beta` linear in `t` in `(0, t_max]` (Eq. 11, arXiv:2011.13456).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VpContinuous {
    pub(super) beta_min: f64,
    pub(super) beta_max: f64,
    pub(super) t_max: f64,
}

impl VpContinuous {
    pub(super) fn check(self) -> Result<Self, ScheduleError> {
        let Self { beta_min, beta_max, t_max } = self;
        let ok = beta_min > 0.0 && beta_min <= beta_max && beta_max.is_finite();
        if ok && t_max > 0.0 && t_max.is_finite() {
            return Ok(self);
        }
        Err(ScheduleError::Range {
            what: format!("beta_min {beta_min}, beta_max {beta_max}, t_max {t_max}"),
            expected: "0 < beta_min <= beta_max and t_max above 0",
        })
    }

    /// `alpha_bar = exp(-t^2 (beta_max - beta_min) / 2 - t beta_min)`.
    pub(super) fn level(self, t: f64) -> NoiseLevel {
        let integral = 0.5 * t * t * (self.beta_max - self.beta_min) + t * self.beta_min;
        NoiseLevel::variance_preserving(libm::exp(-integral))
    }

    /// The time whose level has this `s / a`.
    pub(super) fn time_of_sigma(self, sigma: f64) -> f64 {
        let integral = libm::log1p(sigma * sigma);
        let (spread, start) = (self.beta_max - self.beta_min, self.beta_min);
        // The root of the quadratic in the form that does not cancel.
        2.0 * integral / (start + (start * start + 2.0 * spread * integral).sqrt())
    }
}

/// Noise levels of EDM (arXiv:2206.00364, Table 1): `sigma` itself is the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdmRange {
    /// Smallest `sigma` that is asked, 0.002 in the paper.
    pub sigma_min: f64,
    /// Largest `sigma`, 80 in the paper.
    pub sigma_max: f64,
    /// Exponent of the spacing of steps, 7 in the paper.
    pub rho: f64,
    /// Standard deviation of the data, which scales inputs and outputs of the raw network; 0.5 in the paper.
    pub sigma_data: f64,
}

impl EdmRange {
    pub(super) fn check(self) -> Result<Self, ScheduleError> {
        let Self { sigma_min, sigma_max, rho, sigma_data } = self;
        let ordered = sigma_min > 0.0 && sigma_min < sigma_max && sigma_max.is_finite();
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if ordered && positive(rho) && positive(sigma_data) {
            return Ok(self);
        }
        Err(ScheduleError::Range {
            what: format!(
                "sigma_min {sigma_min}, sigma_max {sigma_max}, rho {rho}, sigma_data {sigma_data}"
            ),
            expected: "0 < sigma_min < sigma_max, and rho and sigma_data above 0",
        })
    }

    /// `sigma_i = (sigma_max^(1/rho) + i / (N - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho` (Eq. 5).
    pub(super) fn sigma(&self, index: u32, n_steps: u32) -> f64 {
        let root = |sigma: f64| libm::pow(sigma, 1.0 / self.rho);
        let share = f64::from(index) / f64::from(n_steps.max(2) - 1);
        let (top, low) = (root(self.sigma_max), root(self.sigma_min));
        libm::pow(top + share * (low - top), self.rho)
    }
}

/// Rectified flow, `x_t = (1 - t) x_0 + t n`, whose steps are drawn towards noise by `shift` (Eq. 23, arXiv:2403.03206).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flow {
    pub(super) shift: f64,
    pub(super) n_train_steps: u32,
}

impl Flow {
    pub(super) fn check(self) -> Result<Self, ScheduleError> {
        let Self { shift, n_train_steps } = self;
        if shift > 0.0 && shift.is_finite() && n_train_steps >= 2 {
            return Ok(self);
        }
        Err(ScheduleError::Range {
            what: format!("shift {shift}, n_train_steps {n_train_steps}"),
            expected: "shift above 0 (1 for none) and 2 or more training steps",
        })
    }

    /// `shift t / (1 + (shift - 1) t)`.
    fn shifted(self, t: f64) -> f64 {
        self.shift * t / (1.0 + (self.shift - 1.0) * t)
    }

    /// Time of step `index` of `n_steps`: equally spaced from 1 to the first training time, then shifted.
    ///
    /// # Why is the last time shifted twice?
    /// The reference scheduler of SD3 takes the ends of its range from its own shifted training times.
    pub(super) fn time(self, index: u32, n_steps: u32) -> f64 {
        let last = self.shifted(1.0 / f64::from(self.n_train_steps));
        let share = f64::from(index) / f64::from(n_steps.max(2) - 1);
        self.shifted(1.0 + share * (last - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continuous_process_is_inverted_by_its_noise() {
        let vp = VpContinuous { beta_min: 0.1, beta_max: 20.0, t_max: 1.0 };
        for t in [1e-3, 0.2, 0.7, 1.0] {
            let sigma = vp.level(t).sigma();
            assert!((vp.time_of_sigma(sigma) - t).abs() < 1e-9, "{t}");
        }
        // A constant rate: alpha_bar is exp(-t).
        let steady = VpContinuous { beta_min: 1.0, beta_max: 1.0, t_max: 10.0 }.check().unwrap();
        assert!((steady.level(2.5).a2() - libm::exp(-2.5)).abs() < 1e-15);
        assert!((steady.time_of_sigma(steady.level(2.5).sigma()) - 2.5).abs() < 1e-12);
        // exp(-(19.9 / 2 + 0.1)) at the end.
        assert!((vp.level(1.0).a2() - libm::exp(-10.05)).abs() < 1e-15);
    }

    #[test]
    fn sigmas_run_from_the_largest_to_the_smallest() {
        let edm = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
        assert!(
            (edm.sigma(0, 18) - 80.0).abs() < 1e-10 && (edm.sigma(17, 18) - 0.002).abs() < 1e-12
        );
        assert!((1..18).all(|i| edm.sigma(i, 18) < edm.sigma(i - 1, 18)));
    }

    #[test]
    fn a_shift_keeps_the_end_and_draws_times_to_noise() {
        let times = |shift| {
            let flow = Flow { shift, n_train_steps: 1000 };
            (0..5).map(|index| flow.time(index, 5)).collect::<Vec<f64>>()
        };
        let (plain, drawn) = (times(1.0), times(3.0));
        assert!((plain[0] - 1.0).abs() < 1e-12 && (plain[4] - 0.001).abs() < 1e-12);
        assert!((drawn[0] - 1.0).abs() < 1e-12 && drawn.iter().zip(&plain).all(|(d, p)| d >= p));
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let edm = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
        assert!(EdmRange { sigma_min: 90.0, ..edm }.check().is_err());
        assert!(EdmRange { rho: 0.0, ..edm }.check().is_err());
        assert!(VpContinuous { beta_min: 0.1, beta_max: 0.05, t_max: 1.0 }.check().is_err());
        assert!(VpContinuous { beta_min: 0.0, beta_max: 1.0, t_max: 1.0 }.check().is_err());
        let message =
            Flow { shift: f64::NAN, n_train_steps: 1000 }.check().unwrap_err().to_string();
        assert!(message.contains("shift above 0"), "{message}");
    }
}
