//! `beta_t` and `alpha_bar_t` of training.

#[cfg(test)]
mod tests;

use std::f64::consts::FRAC_PI_2;

use super::continuous::{EdmRange, Flow, VpContinuous};
use super::train_steps::TrainSteps;
use super::{NoiseLevel, NoisePoint, ScheduleError, TimeAxis};
use crate::units::Timestep;

/// Offset `s` of the cosine schedule (Nichol and Dhariwal 2021, Eq. 17).
const COSINE_OFFSET: f64 = 0.008;
/// Largest beta of the cosine schedule.
pub(super) const COSINE_MAX_BETA: f64 = 0.999;

/// The noise schedule of training: how noisy a state `x_t = a x_0 + s n` is at a time `t`.
///
/// Of a schedule of training steps `a = sqrt(alpha_bar_t)`, `s = sqrt(1 - alpha_bar_t)`, and `alpha_bar_t` is the product of `1 - beta_s` over `s = 0 ..= t`, so `alpha_bar_0 = 1 - beta_0`.
///
/// # Why f64?
/// A thousand factors near 1 are multiplied: in f32 the last values of a linear schedule are off in
/// the fourth digit, and a sampler amplifies that by `1 / sqrt(alpha_bar_t)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    process: Process,
}

/// What the times of a schedule mean.
#[derive(Clone, Debug, PartialEq)]
enum Process {
    /// Training steps `0 .. T`.
    Steps(TrainSteps),
    Continuous(VpContinuous),
    Edm(EdmRange),
    Flow(Flow),
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
        Self::squared_cosine(n_train_steps, COSINE_MAX_BETA)
    }

    /// The cosine schedule with another largest `beta`.
    ///
    /// # Errors
    /// [`ScheduleError`] below 2 steps or for a cap outside (0, 1).
    pub fn squared_cosine(n_train_steps: u32, max_beta: f64) -> Result<Self, ScheduleError> {
        if !(max_beta > 0.0 && max_beta < 1.0) {
            return Err(ScheduleError::Range {
                what: format!("max_beta {max_beta}"),
                expected: "a value in (0, 1)",
            });
        }
        let g = |u: f64| libm::cos((u + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2).powi(2);
        let n = f64::from(n_train_steps);
        let beta = |t: u32| (1.0 - g((f64::from(t) + 1.0) / n) / g(f64::from(t) / n)).min(max_beta);
        Self::from_betas((0..n_train_steps).map(beta).collect())
    }

    /// The schedule of these `beta_t`.
    ///
    /// # Errors
    /// [`ScheduleError`] below two of them, for one outside (0, 1), or where no signal is left.
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, ScheduleError> {
        Ok(Self { process: Process::Steps(TrainSteps::from_betas(betas)?) })
    }

    /// The same with `sqrt(alpha_bar)` shifted and scaled so that the first one stays and the last one is 0 (Algorithm 1,
    /// arXiv:2305.08891), held at [`NoiseLevel::LEAST_SIGNAL`] for the reason given there. Schedules without training
    /// steps stay as they are.
    #[must_use]
    pub fn rescaled_to_zero_terminal_snr(self) -> Self {
        match self.process {
            Process::Steps(steps) => Self { process: Process::Steps(steps.rescaled()) },
            process => Self { process },
        }
    }

    /// A continuous variance-preserving process on `(0, t_max]`: `alpha_bar = exp(-t^2 (beta_max - beta_min) / 2 - t beta_min)`
    /// (arXiv:2011.13456).
    ///
    /// # Errors
    /// [`ScheduleError::Range`] unless `0 < beta_min <= beta_max` and `t_max > 0`.
    pub fn vp_continuous(beta_min: f64, beta_max: f64, t_max: f64) -> Result<Self, ScheduleError> {
        let process = VpContinuous { beta_min, beta_max, t_max }.check()?;
        Ok(Self { process: Process::Continuous(process) })
    }

    /// `a = 1`, `s = sigma` over the range of EDM (arXiv:2206.00364).
    ///
    /// # Errors
    /// [`ScheduleError::Range`] for a range that is empty or not positive.
    pub fn edm(range: EdmRange) -> Result<Self, ScheduleError> {
        Ok(Self { process: Process::Edm(range.check()?) })
    }

    /// Rectified flow: `a = 1 - t`, `s = t`; `shift` draws the times of steps towards noise, `n_train_steps` says how close
    /// to 0 the last one comes (`1 / n_train_steps`).
    ///
    /// # Errors
    /// [`ScheduleError::Range`] unless `shift > 0` and there are two steps or more.
    pub fn flow(shift: f64, n_train_steps: u32) -> Result<Self, ScheduleError> {
        Ok(Self { process: Process::Flow(Flow { shift, n_train_steps }.check()?) })
    }

    /// What its times are.
    pub fn axis(&self) -> TimeAxis {
        match &self.process {
            Process::Steps(steps) => {
                TimeAxis::Steps(u32::try_from(steps.betas.len()).unwrap_or(u32::MAX))
            }
            Process::Continuous(_) => TimeAxis::Continuous,
            Process::Edm(_) => TimeAxis::Sigma,
            Process::Flow(_) => TimeAxis::Flow,
        }
    }

    /// Number of training steps `T`; `None` where time is continuous.
    pub fn n_train_steps(&self) -> Option<u32> {
        self.axis().n_train_steps()
    }

    /// Last training step, `T - 1`; `None` where time is continuous.
    pub fn last(&self) -> Option<Timestep> {
        self.n_train_steps().map(|n| Timestep(n - 1))
    }

    /// The noisiest time of training.
    pub fn noisiest(&self) -> NoisePoint {
        self.place(match &self.process {
            Process::Steps(steps) => steps.betas.len() as f64 - 1.0,
            Process::Continuous(vp) => vp.t_max,
            Process::Edm(range) => range.sigma_max,
            Process::Flow(_) => 1.0,
        })
    }

    /// Noise at time `t`. Between two training steps `ln(s / a)` is interpolated; times outside act as the nearer end.
    pub fn level(&self, t: f64) -> NoiseLevel {
        match &self.process {
            Process::Steps(steps) => steps.level(t),
            Process::Continuous(vp) => vp.level(t),
            Process::Edm(_) => NoiseLevel::exploding(t),
            Process::Flow(_) => NoiseLevel::flow(t),
        }
    }

    /// A time with its noise.
    pub fn place(&self, t: f64) -> NoisePoint {
        NoisePoint { t, level: self.level(t) }
    }

    /// A training step with its noise.
    ///
    /// # Panics
    /// As [`NoiseSchedule::alpha_bar`].
    pub fn at(&self, t: Timestep) -> NoisePoint {
        let level = NoiseLevel::variance_preserving(self.alpha_bar(t));
        NoisePoint { t: f64::from(t.0), level }
    }

    /// The place whose noise-to-signal ratio `s / a` is `sigma`: the inverse of [`NoiseSchedule::level`].
    pub fn at_sigma(&self, sigma: f64) -> NoisePoint {
        let preserving = || NoiseLevel::variance_preserving(1.0 / (1.0 + sigma * sigma));
        match &self.process {
            Process::Steps(steps) => {
                NoisePoint { t: steps.step_of_sigma(sigma), level: preserving() }
            }
            Process::Continuous(vp) => {
                NoisePoint { t: vp.time_of_sigma(sigma), level: preserving() }
            }
            Process::Edm(_) => self.place(sigma),
            Process::Flow(_) => self.place(sigma / (1.0 + sigma)),
        }
    }

    /// Time of step `index` of `n_steps` as the schedule itself spaces them: EDM's sigmas, the shifted times of a flow;
    /// `None` for the others, which a grid must space.
    pub fn own_time(&self, index: u32, n_steps: u32) -> Option<f64> {
        match &self.process {
            Process::Edm(range) => Some(range.sigma(index, n_steps)),
            Process::Flow(flow) => Some(flow.time(index, n_steps)),
            Process::Steps(_) | Process::Continuous(_) => None,
        }
    }

    /// Standard deviation of the states that sampling starts from at the level `first`: 1, or `s` where noise explodes.
    pub fn start_std(&self, first: &NoiseLevel) -> f64 {
        match &self.process {
            Process::Edm(_) => first.s(),
            Process::Steps(_) | Process::Continuous(_) | Process::Flow(_) => 1.0,
        }
    }

    /// EDM's range of `sigma`; `None` for other schedules.
    pub fn edm_range(&self) -> Option<EdmRange> {
        match &self.process {
            Process::Edm(range) => Some(*range),
            Process::Steps(_) | Process::Continuous(_) | Process::Flow(_) => None,
        }
    }

    /// `alpha_bar_t`, in (0, 1).
    ///
    /// # Panics
    /// When `t` lies past [`NoiseSchedule::last`], which a schedule without training steps does not have. Samplers check
    /// their grid once, when they are built.
    pub fn alpha_bar(&self, t: Timestep) -> f64 {
        let alpha_bars: &[f64] = match &self.process {
            Process::Steps(steps) => &steps.alpha_bars,
            Process::Continuous(_) | Process::Edm(_) | Process::Flow(_) => &[],
        };
        alpha_bars[t.0 as usize]
    }

    /// `beta_t`, in (0, 1).
    ///
    /// # Panics
    /// As [`NoiseSchedule::alpha_bar`].
    pub fn beta(&self, t: Timestep) -> f64 {
        let betas: &[f64] = match &self.process {
            Process::Steps(steps) => &steps.betas,
            Process::Continuous(_) | Process::Edm(_) | Process::Flow(_) => &[],
        };
        betas[t.0 as usize]
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
