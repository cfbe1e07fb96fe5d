//! Noise that EDM's samplers add before each step.

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::ancestral::add_noise;
use super::{AncestralNoise, StepPoint, Walk};
use crate::fault::Fault;
use crate::schedule::{GridConfig, NoisePoint, TimeAxis};
use crate::units::StepIndex;

/// `S_churn` and its bounds (Algorithm 2, arXiv:2206.00364), as an experiment writes them.
///
/// # Examples
/// ```
/// use dubench::sampler::Churn;
///
/// let churn: Churn = serde_json::from_str(r#"{"s_churn": 40, "s_min": 0.05, "s_max": 50}"#)?;
/// assert_eq!(churn.gamma(1.0, 256), 40.0 / 256.0);
/// assert_eq!((churn.gamma(0.01, 256), churn.gamma(80.0, 256)), (0.0, 0.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// How much noise in all: each of `N` steps raises its sigma by the factor `1 + S_churn / N`, at most by root 2.
    pub s_churn: f64,
    /// Sigmas below this one are not raised.
    #[serde(default)]
    pub s_min: f64,
    /// Sigmas above this one are not raised; none where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s_max: Option<f64>,
    /// Standard deviation of the noise that is added.
    #[serde(default = "one")]
    pub s_noise: f64,
}

/// The grid of the samplers that raise sigmas.
pub(super) fn karras() -> GridConfig {
    GridConfig::Karras {}
}

fn one() -> f64 {
    1.0
}

impl Churn {
    /// By how much the sigma of a step of `n_steps` is raised, relative to it.
    pub fn gamma(&self, sigma: f64, n_steps: u32) -> f64 {
        let inside = self.s_min <= sigma && self.s_max.is_none_or(|s_max| sigma <= s_max);
        let gamma = (self.s_churn / f64::from(n_steps)).min(std::f64::consts::SQRT_2 - 1.0);
        if inside { gamma } else { 0.0 }
    }

    /// Values that make no churn over times of this kind.
    pub(super) fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !matches!(axis, TimeAxis::Sigma | TimeAxis::Unread) {
            let message =
                format!("raises sigmas, and the model has {}: leave churn out", axis.words());
            faults.push(Fault::new("churn", message));
        }
        let numbers = [
            ("s_churn", Some(self.s_churn)),
            ("s_min", Some(self.s_min)),
            ("s_max", self.s_max),
            ("s_noise", Some(self.s_noise)),
        ];
        for (key, number) in numbers {
            let Some(number) = number.filter(|n| !n.is_finite() || *n < 0.0) else { continue };
            let message = format!("is {number}, expected a number of 0 or more");
            faults.push(Fault::new(format!("churn.{key}"), message));
        }
        if let Some(s_max) = self.s_max.filter(|s_max| *s_max < self.s_min) {
            let message = format!("is {s_max}, below s_min, {}: exchange them", self.s_min);
            faults.push(Fault::new("churn.s_max", message));
        }
        faults
    }
}

/// Places of a walk whose noise may be raised before each step.
///
/// A step ends at the place of the next one and is raised there, so estimators, rules and the network see the raised state
/// under its own level. DIFFERENCE: the first state is drawn at its raised level at once, where the public code draws it below
/// and raises it: the same distribution for `S_noise` = 1.
#[derive(Clone, Debug)]
pub(super) struct Raised {
    /// Places before they are raised.
    places: Vec<NoisePoint>,
    points: Vec<StepPoint>,
    s_noise: f64,
    noise: AncestralNoise,
}

impl Raised {
    pub(super) fn new(places: Vec<NoisePoint>, churn: Option<&Churn>, walk: &Walk<'_>) -> Self {
        let n_steps = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let raised = |place: &NoisePoint| match churn.map(|churn| churn.gamma(place.t, n_steps)) {
            Some(gamma) if gamma > 0.0 => walk.schedule.place(place.t + gamma * place.t),
            _ => *place,
        };
        let points = super::step_points(places.iter().map(raised).collect());
        let noise = AncestralNoise { seed: walk.seed, samples: walk.samples.to_vec() };
        Self { places, points, s_noise: churn.map_or(1.0, |churn| churn.s_noise), noise }
    }

    pub(super) fn points(&self) -> &[StepPoint] {
        &self.points
    }

    /// Where the step `index` ends; `None` behind the last one, at the clean image.
    pub(super) fn end(&self, index: StepIndex) -> Option<NoisePoint> {
        self.places.get(index.0 as usize + 1).copied()
    }

    /// Raises the states at the end of step `index` to where the next one begins.
    ///
    /// # Panics
    /// With churn, when the batch does not have one row a sample id.
    pub(super) fn raise(&self, index: StepIndex, mut x: Array4<f32>) -> Array4<f32> {
        let next = StepIndex(index.0 + 1);
        let (Some(from), Some(to)) = (self.end(index), self.points.get(next.0 as usize)) else {
            return x;
        };
        let fresh = to.level.s2() - from.level.s2();
        if fresh > 0.0 {
            add_noise(&mut x, &self.noise, next, fresh.sqrt() * self.s_noise);
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, axis: TimeAxis) -> String {
        let churn: Churn = serde_json::from_str(text).unwrap();
        churn.faults(axis).iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn sigmas_are_raised_by_root_two_at_most() {
        let churn: Churn = serde_json::from_str(r#"{"s_churn": 80}"#).unwrap();
        assert_eq!(churn.gamma(3.0, 18), std::f64::consts::SQRT_2 - 1.0);
        assert_eq!(churn.gamma(1e9, 800), 0.1);
        assert_eq!(churn.s_noise, 1.0);
    }

    #[test]
    fn what_is_no_churn_is_refused_by_key() {
        assert_eq!(faults(r#"{"s_churn": 40, "s_min": 0.05, "s_max": 50}"#, TimeAxis::Sigma), "");
        let steps = faults(r#"{"s_churn": 40}"#, TimeAxis::Steps(1000));
        assert!(
            steps.contains("churn: raises sigmas, and the model has training steps"),
            "{steps}"
        );
        let negative = faults(r#"{"s_churn": -1, "s_noise": -2}"#, TimeAxis::Sigma);
        assert!(negative.contains("churn.s_churn: is -1"), "{negative}");
        assert!(negative.contains("churn.s_noise: is -2"), "{negative}");
        let order = faults(r#"{"s_churn": 1, "s_min": 2, "s_max": 1}"#, TimeAxis::Sigma);
        assert!(order.contains("churn.s_max: is 1, below s_min, 2"), "{order}");
    }
}
