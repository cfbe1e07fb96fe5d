//! Schedules of training steps.

use super::{NoiseLevel, ScheduleError};

/// `beta_t` and the products `alpha_bar_t` of `1 - beta`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrainSteps {
    pub(super) betas: Vec<f64>,
    pub(super) alpha_bars: Vec<f64>,
}

/// `ln(s / a)` of a training step.
fn log_sigma(alpha_bar: f64) -> f64 {
    0.5 * libm::log((1.0 - alpha_bar) / alpha_bar)
}

impl TrainSteps {
    /// The steps of these `beta_t`.
    pub(super) fn from_betas(betas: Vec<f64>) -> Result<Self, ScheduleError> {
        if let Some((t, beta)) = betas.iter().enumerate().find(|(_, b)| !(**b > 0.0 && **b < 1.0)) {
            return Err(ScheduleError::Range {
                what: format!("beta {beta} at t={t}"),
                expected: "values in (0, 1)",
            });
        }
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

    /// Algorithm 1 of arXiv:2305.08891, held at [`NoiseLevel::LEAST_SIGNAL`].
    pub(super) fn rescaled(&self) -> Self {
        let roots: Vec<f64> = self.alpha_bars.iter().map(|value| value.sqrt()).collect();
        let (first, last) = (roots[0], roots[roots.len() - 1]);
        let scaled = |root: f64| (root - last) * first / (first - last);
        let held = |root: f64| scaled(root).max(NoiseLevel::LEAST_SIGNAL).powi(2);
        let alpha_bars: Vec<f64> = roots.into_iter().map(held).collect();
        let before = std::iter::once(1.0).chain(alpha_bars.iter().copied());
        let betas = alpha_bars.iter().zip(before).map(|(now, before)| 1.0 - now / before).collect();
        Self { betas, alpha_bars }
    }

    /// The level at `t`, which may lie between two steps.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held between 0 and the number of training steps, which is a u32"
    )]
    pub(super) fn level(&self, t: f64) -> NoiseLevel {
        let alpha_bars = &self.alpha_bars;
        let t = t.clamp(0.0, alpha_bars.len() as f64 - 1.0);
        let (low, share) = (t.floor() as usize, t - t.floor());
        if share == 0.0 {
            return NoiseLevel::variance_preserving(alpha_bars[low]);
        }
        let [below, above] = [low, low + 1].map(|at| log_sigma(alpha_bars[at]));
        let sigma = libm::exp(below + share * (above - below));
        NoiseLevel::variance_preserving(1.0 / (1.0 + sigma * sigma))
    }

    /// The step, whole or not, whose `ln(s / a)` is that of `sigma`.
    pub(super) fn step_of_sigma(&self, sigma: f64) -> f64 {
        let alpha_bars = &self.alpha_bars;
        let wanted = libm::log(sigma);
        let below = alpha_bars.partition_point(|alpha_bar| log_sigma(*alpha_bar) <= wanted);
        let low = below.saturating_sub(1).min(alpha_bars.len() - 2);
        let [from, to] = [low, low + 1].map(|at| log_sigma(alpha_bars[at]));
        // Steps that are held at the least signal share a level: any of them will do.
        let share = if to > from { (wanted - from) / (to - from) } else { 0.0 };
        low as f64 + share.clamp(0.0, 1.0)
    }
}
