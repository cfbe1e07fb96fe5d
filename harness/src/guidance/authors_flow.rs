//! The paper's rule on a rectified flow as the released code computes it.

#[cfg(test)]
mod tests;

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::{
    GradientGuidance, Guidance, GuidanceError, MaskRule, MaskStatistic, OpenValues, Path,
    RuleFacts, RuleSettings, RuleValues, settings,
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

    fn open(&mut self) -> OpenValues<'_> {
        OpenValues { n_draws: Some(&mut self.n_draws), mask: None }
    }

    fn facts(&self) -> RuleFacts {
        RuleFacts {
            statistic: MaskStatistic::SampleVariance,
            needs_gradient: true,
            words: Some("velocity taken for epsilon, sigma for alpha_bar".to_owned()),
            published: None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
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
        let (epsilon, x0_hat) = (velocity.view(), x0_hat.view());
        let taken = StepContext { point, epsilon, x0_hat, ..*context };
        let mut velocities = Velocities { network };
        let moved = self.inner.rewrite(&taken, &mut Network::new(&mut velocities))?;
        let (a, s) = (level.a(), level.s());
        Ok(Zip::from(&moved).and(&velocity).and(context.x).and(context.epsilon).map_collect(
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
