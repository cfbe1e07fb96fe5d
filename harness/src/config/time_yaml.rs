//! What a network is told of the time.

use serde::{Deserialize, Serialize};

use crate::schedule::{NoisePoint, TimeAxis};

/// What a network is told of the time: `scale * value + offset`, with `value` by `kind`.
///
/// # Examples
/// ```
/// use dubench::config::model_yaml::{TimeKind, TimeYaml};
/// use dubench::schedule::{NoiseSchedule, TimeAxis};
/// use dubench::units::Timestep;
///
/// let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000)?;
/// let time = TimeYaml { kind: TimeKind::TrainStep, offset: 1.0, scale: 1.0 };
/// assert_eq!(time.told(&schedule.at(Timestep(99)), schedule.axis()), 100.0);
/// # Ok::<(), dubench::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeYaml {
    /// Which value.
    pub kind: TimeKind,
    /// Added last. U-ViT counts training steps from 1.
    #[serde(default)]
    pub offset: f64,
    /// Factor of the value. 1000 for a flow whose network counts to 1000.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

/// Which value a network is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// The 0-based training step.
    TrainStep,
    /// A time in (0, 1]: `(t + 1) / T` of training steps, the schedule's own `t` elsewhere.
    Continuous,
    /// The noise-to-signal ratio `s / a`: EDM's `sigma`.
    Sigma,
    /// `ln(s / a) / 4`: what the raw network of EDM takes.
    CNoise,
    /// The time of a flow, `s / (a + s)`.
    Flow,
}

impl TimeYaml {
    /// The 0-based training step as it is.
    pub const TRAIN_STEP: Self = Self { kind: TimeKind::TrainStep, offset: 0.0, scale: 1.0 };

    /// What the network is told at `place` of a schedule with these times.
    pub fn told(&self, place: &NoisePoint, axis: TimeAxis) -> f64 {
        let NoisePoint { t, level } = place;
        let value = match (self.kind, axis) {
            (TimeKind::Continuous, TimeAxis::Steps(n)) => (t + 1.0) / f64::from(n),
            (TimeKind::TrainStep | TimeKind::Continuous, _) | (TimeKind::Flow, TimeAxis::Flow) => {
                *t
            }
            (TimeKind::Sigma, _) => level.sigma(),
            (TimeKind::CNoise, _) => -0.25 * level.log_snr(),
            (TimeKind::Flow, _) => level.s() / (level.a() + level.s()),
        };
        self.scale * value + self.offset
    }

    /// What is wrong with it for a schedule with these times.
    pub(super) fn fault(&self, axis: TimeAxis) -> Option<String> {
        if !(self.scale.is_finite() && self.offset.is_finite() && self.scale != 0.0) {
            let Self { offset, scale, .. } = self;
            return Some(format!(
                "scale {scale}, offset {offset}: expected finite numbers, scale not 0"
            ));
        }
        let counts = self.kind == TimeKind::TrainStep && axis.n_train_steps().is_none();
        counts.then(|| {
            let has = axis.words();
            format!(
                "train_step counts training steps, and the schedule has {has}: write continuous, sigma, c_noise or flow"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{EdmRange, NoiseSchedule};
    use crate::units::Timestep;

    fn told(kind: TimeKind, place: &NoisePoint, axis: TimeAxis) -> f64 {
        TimeYaml { kind, offset: 0.0, scale: 1.0 }.told(place, axis)
    }

    #[test]
    fn each_kind_tells_its_value() {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        let (place, axis) = (schedule.at(Timestep(499)), schedule.axis());
        assert!((told(TimeKind::TrainStep, &place, axis) - 499.0).abs() < 1e-12);
        assert!((told(TimeKind::Continuous, &place, axis) - 0.5).abs() < 1e-12);
        let sigma = ((1.0 - place.level.a2()) / place.level.a2()).sqrt();
        assert!((told(TimeKind::Sigma, &place, axis) - sigma).abs() < 1e-12);
        let range = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
        let edm = NoiseSchedule::edm(range).unwrap();
        let place = edm.place(3.0);
        assert!((told(TimeKind::CNoise, &place, edm.axis()) - 3.0_f64.ln() / 4.0).abs() < 1e-12);
        let flow = NoiseSchedule::flow(3.0, 1000).unwrap();
        let time = TimeYaml { kind: TimeKind::Flow, offset: 0.0, scale: 1000.0 };
        assert!((time.told(&flow.noisiest(), flow.axis()) - 1000.0).abs() < 1e-12);
        assert!((told(TimeKind::Flow, &flow.place(0.25), TimeAxis::Sigma) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn training_steps_of_a_schedule_without_are_refused() {
        assert!(TimeYaml::TRAIN_STEP.fault(TimeAxis::Steps(1000)).is_none());
        assert!(TimeYaml::TRAIN_STEP.fault(TimeAxis::Sigma).unwrap().contains("write continuous"));
        let flat = TimeYaml { scale: 0.0, ..TimeYaml::TRAIN_STEP };
        assert!(flat.fault(TimeAxis::Steps(1000)).unwrap().contains("scale not 0"));
    }
}
