//! The paper's rule on a rectified flow as the released code computes it.

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::{
    GradientGuidance, Guidance, GuidanceError, MaskRule, MaskStatistic, Path, RuleSettings,
    RuleValues, settings,
};
use crate::fault::Fault;
use crate::model::{Denoiser, DenoiserSpec, ModelError, Network, NetworkInput};
use crate::noise::nearest_f32;
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::schedule::{NoiseLevel, TimeAxis};
use crate::uncertainty::{StepContext, Window};
use crate::units::NfeKind;

/// The rule as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorsFlowGradientSettings {
    /// Strength, 0.99 in the released command line.
    #[serde(default = "released_lambda")]
    pub lambda: f64,
    /// Elements above this quantile are rewritten, 0.95 in the paper.
    #[serde(default = "settings::percentile")]
    pub percentile: f64,
    /// The paper's `M`; the scale's, else 5.
    pub n_draws: Option<u32>,
    /// Loop indices that are guided; all where left out.
    pub window: Option<Window>,
}

fn released_lambda() -> f64 {
    0.99
}

impl RuleSettings for AuthorsFlowGradientSettings {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile, n_draws) = (Some(self.lambda), self.percentile, self.n_draws);
        RuleValues { lambda, percentile, window: self.window, n_draws, mask: None }
    }

    fn fill(&mut self, n_draws: u32, _n_images: Option<u64>) {
        self.n_draws = Some(self.n_draws.unwrap_or(n_draws));
    }

    fn statistic(&self) -> MaskStatistic {
        MaskStatistic::SampleVariance
    }

    fn needs_gradient(&self) -> bool {
        true
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn words(&self) -> Option<String> {
        Some("velocity taken for epsilon, sigma for alpha_bar".to_owned())
    }

    fn misfit(&self, axis: TimeAxis) -> Option<String> {
        let fits = matches!(axis, TimeAxis::Flow | TimeAxis::Unread);
        (!fits).then(|| {
            format!(
                "takes the time of a flow for alpha_bar, and the model has {}: use gradient",
                axis.words()
            )
        })
    }

    fn published(&self) -> Option<&'static str> {
        None
    }

    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        if path.schedule.axis() != TimeAxis::Flow {
            return Err(GuidanceError::NotFlow { rule: "authors_flow_gradient" });
        }
        let rule = GradientGuidance::new(self.values().draws(), self.lambda, mask)?;
        Ok(Box::new(AuthorsFlowGradient { inner: rule.with_window(self.window) }))
    }
}

/// Eq. 10 with the velocity `u` in the place of `epsilon` and the time of the flow, `sigma`, in that of `alpha_bar`:
/// `x0_hat = (x - sqrt(1 - sigma) u) / sqrt(sigma)`, noised again by `sqrt(1 - sigma)`, and the variance is that of velocities.
///
/// DIFFERENCE (D30): a state of a flow is `(1 - sigma) x_0 + sigma n`. So `x0_hat` is no clean image here, and the weight of the
/// noise falls where that of the state rises: at the first step, `sigma = 1`, nothing is perturbed and nothing moves. The
/// network itself is asked at the right time.
#[derive(Clone, Debug)]
pub struct AuthorsFlowGradient {
    inner: GradientGuidance,
}

impl Guidance for AuthorsFlowGradient {
    fn name(&self) -> &'static str {
        "authors_flow_gradient"
    }

    fn window(&self) -> Option<Window> {
        self.inner.window()
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let level = context.point.place().level;
        let velocity = velocity(context.epsilon, context.x, &level);
        let alpha_bar = context.point.t.clamp(0.0, 1.0);
        let point = context.point.with_level(NoiseLevel::variance_preserving(alpha_bar));
        let x0_hat = x0_from_epsilon(&point, &context.x, &velocity, ClipX0::Never);
        let StepContext { x, samples, conditions, seed, max_batch, .. } = *context;
        let (epsilon, x0_hat) = (velocity.view(), x0_hat.view());
        let taken = StepContext { point, x, epsilon, x0_hat, samples, conditions, seed, max_batch };
        let mut velocities = Velocities { network };
        let moved = self.inner.rewrite(&taken, &mut Network::new(&mut velocities))?;
        let (a, s) = (level.a(), level.s());
        Ok(Zip::from(&moved).and(&velocity).and(x).and(context.epsilon).map_collect(
            |moved, velocity, x, epsilon| {
                if moved.to_bits() == velocity.to_bits() {
                    return *epsilon;
                }
                nearest_f32((f64::from(*x) + a * f64::from(*moved)) / (a + s))
            },
        ))
    }
}

/// `u = epsilon_hat - x0_hat` of a state `x = a x_0 + s n`.
fn velocity(
    epsilon: ArrayView4<'_, f32>,
    x: ArrayView4<'_, f32>,
    level: &NoiseLevel,
) -> Array4<f32> {
    let (a, s) = (level.a(), level.s());
    Zip::from(epsilon)
        .and(x)
        .map_collect(|e, x| nearest_f32(((a + s) * f64::from(*e) - f64::from(*x)) / a))
}

/// A network as one that predicts velocities. Evaluations are counted by the network within.
struct Velocities<'n, 'd> {
    network: &'n mut Network<'d>,
}

/// `u` of each row, or `J_u^T v` where `epsilon` is `J_epsilon^T v` and `x` is `v`: one line in both.
fn by_rows(answer: &mut Array4<f32>, x: ArrayView4<'_, f32>, input: &NetworkInput<'_>) {
    for ((mut row, x), place) in answer.outer_iter_mut().zip(x.outer_iter()).zip(input.t) {
        let (a, s) = (place.level.a(), place.level.s());
        row.zip_mut_with(&x, |value, x| {
            *value = nearest_f32(((a + s) * f64::from(*value) - f64::from(*x)) / a);
        });
    }
}

impl Denoiser for Velocities<'_, '_> {
    fn spec(&self) -> &DenoiserSpec {
        self.network.spec()
    }

    fn evaluations_a_row(&self) -> u64 {
        self.network.evaluations_a_row()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let mut answer = self.network.epsilon(NfeKind::Estimator, input)?;
        by_rows(&mut answer, input.x, &input);
        Ok(answer)
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let (mut answer, mut product) =
            self.network.epsilon_vjp(NfeKind::Estimator, input, cotangent)?;
        by_rows(&mut answer, input.x, &input);
        by_rows(&mut product, cotangent, &input);
        Ok((answer, product))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ndarray::{Array3, Array4};

    use super::*;
    use crate::guidance::RuleConfig;
    use crate::model::analytic::MixtureDenoiser;
    use crate::sampler::StepPoint;
    use crate::schedule::{NoisePoint, NoiseSchedule};
    use crate::uncertainty::{
        CleanEstimate, Perturbation, draws_of, perturbed_states, variance_over_draws,
    };
    use crate::units::{SampleId, StepIndex};

    const SAMPLES: [SampleId; 1] = [SampleId(3)];

    /// Two images that differ in every element, by so little that neither is certain.
    fn mixture() -> MixtureDenoiser {
        let image = |sign: f32| {
            Array3::from_shape_fn((1, 2, 3), |(_, i, j)| {
                0.3 * i as f32 + sign * (0.3 + 0.1 * j as f32)
            })
        };
        MixtureDenoiser::new(vec![image(1.0), image(-1.0)], 0.25).unwrap()
    }

    fn rule(lambda: f64) -> Box<dyn Guidance> {
        let text = format!(
            r#"{{"kind": "authors_flow_gradient", "lambda": {lambda}, "percentile": 0.0}}"#
        );
        let rule: RuleConfig = serde_json::from_str(&text).unwrap();
        let schedule = NoiseSchedule::flow(3.0, 1000).unwrap();
        rule.resolved(4, None)
            .guidance(None, &Path { schedule: &schedule, clip: ClipX0::Never })
            .unwrap()
    }

    /// What the rule sees at a time of the flow, and what it makes of it, as velocities.
    fn guided(sigma: f64, lambda: f64) -> (StepPoint, [Array4<f32>; 3]) {
        let mut model = mixture();
        let point =
            StepPoint::new(StepIndex(2), NoiseSchedule::flow(3.0, 1000).unwrap().place(sigma));
        let x =
            Array4::from_shape_fn((1, 1, 2, 3), |(_, _, i, j)| (1.3 * i as f32 + j as f32).sin());
        let t = [point.place()];
        let epsilon = model.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
        let x0_hat = x0_from_epsilon(&point, &x, &epsilon, ClipX0::Never);
        let context = StepContext {
            point,
            x: x.view(),
            epsilon: epsilon.view(),
            x0_hat: x0_hat.view(),
            samples: &SAMPLES,
            conditions: None,
            seed: 5,
            max_batch: NonZeroUsize::new(8).unwrap(),
        };
        let moved = rule(lambda).rewrite(&context, &mut Network::new(&mut model)).unwrap();
        let level = point.place().level;
        let [before, after] = [&epsilon, &moved].map(|e| velocity(e.view(), x.view(), &level));
        (point, [x, before, after])
    }

    /// Sum of the variance of velocities over draws, as a function of the trajectory's own velocity `u`.
    fn total(point: StepPoint, x: &Array4<f32>, u: &Array4<f32>, place: NoisePoint) -> f64 {
        let mut model = mixture();
        let point = point.with_level(NoiseLevel::variance_preserving(place.t));
        let x0_hat = x0_from_epsilon(&point, x, u, ClipX0::Never);
        let context = StepContext {
            point,
            x: x.view(),
            epsilon: u.view(),
            x0_hat: x0_hat.view(),
            samples: &SAMPLES,
            conditions: None,
            seed: 5,
            max_batch: NonZeroUsize::new(8).unwrap(),
        };
        let clean = CleanEstimate::FollowSampler;
        let states = perturbed_states(&context, Perturbation { n_draws: 4, clean });
        let t = vec![place; 4];
        let e = model.epsilon(NetworkInput { x: states.view(), t: &t, y: None }).unwrap();
        let u = velocity(e.view(), states.view(), &place.level);
        variance_over_draws(&draws_of(&u, 1)).iter().map(|u| f64::from(*u)).sum()
    }

    #[test]
    fn velocities_move_along_the_slope_of_the_variance_of_velocities() {
        let (point, [x, before, after]) = guided(0.6, 1.0);
        let place = point.place();
        let mut n_moved = 0;
        for at in ndarray::indices(before.raw_dim()) {
            let step = f64::from(after[at] - before[at]);
            if step == 0.0 {
                continue;
            }
            n_moved += 1;
            let shifted = |h: f32| {
                let mut u = before.clone();
                u[at] += h;
                total(point, &x, &u, place)
            };
            let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            // In f64 the difference is within 1e-5 of that of a tenth of its step; the rest is f32.
            assert!((step - slope).abs() < 1e-3, "{at:?}: {step} {slope}");
            assert!(slope.abs() > 5e-3, "{at:?}: nothing to see in {slope}");
        }
        // All but the least of the map, which a quantile of 0 leaves out.
        assert_eq!(n_moved, 5);
    }

    #[test]
    fn nothing_moves_at_the_first_step_and_what_does_not_move_keeps_its_bits() {
        let (_, [.., before, after]) = guided(1.0, 1.0);
        assert_eq!(before, after);
        let (_, [.., before, after]) = guided(0.6, 0.0);
        assert_eq!(before, after);
    }

    #[test]
    fn a_model_that_is_no_flow_is_refused() {
        let rule: RuleConfig =
            serde_json::from_str(r#"{"kind": "authors_flow_gradient"}"#).unwrap();
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        let path = Path { schedule: &schedule, clip: ClipX0::Never };
        let Err(error) = rule.resolved(5, None).guidance(None, &path) else { panic!("no flow") };
        assert!(error.to_string().contains("authors_flow_gradient"), "{error}");
        assert!(error.to_string().contains("use gradient"), "{error}");
    }
}
