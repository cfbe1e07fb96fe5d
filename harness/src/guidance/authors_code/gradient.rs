//! The gradient rule as the released code computes it.

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::loop_index::{LoopIndexAlpha, steps_alone};
use crate::fault::Fault;
use crate::guidance::error::{check_draws, check_lambda};
use crate::guidance::gradient::moved;
use crate::guidance::variance_gradient::pull_back;
use crate::guidance::{
    Guidance, GuidanceError, GuidedStatistic, MaskRule, MaskStatistic, OpenValues, Path, RuleFacts,
    RuleSettings, RuleValues, settings, variance_gradient,
};
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::schedule::TimeAxis;
use crate::uncertainty::{CleanEstimate, Perturbation, StepContext, Window};

/// The gradient as the released code computes it, as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorsGradientSettings {
    /// Strength, 0.1 in the released command line.
    #[serde(default = "released_lambda")]
    pub lambda: f64,
    /// Elements above this quantile are rewritten, 0.95 in the paper.
    #[serde(default = "settings::percentile")]
    pub percentile: f64,
    /// The paper's `M`; the scale's, else 5.
    pub n_draws: Option<u32>,
    /// Batch of the run to imitate, 128 in the released configurations. A number, never the batch of this run.
    #[serde(default = "released_batch")]
    pub batch_size: u32,
    /// Loop indices that are guided: the first three where left out, as in the released configurations.
    #[serde(default = "super::first_steps")]
    pub window: Window,
}

fn released_lambda() -> f64 {
    0.1
}

fn released_batch() -> u32 {
    128
}

impl RuleSettings for AuthorsGradientSettings {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile) = (Some(self.lambda), self.percentile);
        RuleValues {
            lambda,
            percentile,
            window: Some(self.window),
            n_draws: self.n_draws,
            mask: None,
        }
    }

    fn open(&mut self) -> OpenValues<'_> {
        OpenValues { n_draws: Some(&mut self.n_draws), mask: None }
    }

    fn facts(&self) -> RuleFacts {
        RuleFacts {
            statistic: MaskStatistic::Centered,
            needs_gradient: true,
            words: Some(format!(
                "divided by a batch of {}, noise level at the loop index",
                self.batch_size
            )),
            published: None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let message = "an empty batch: give that of the run to imitate, 128";
        let fault = || Fault::new("batch_size", message);
        (self.batch_size == 0).then(fault).into_iter().collect()
    }

    fn misfit(&self, axis: TimeAxis) -> Option<String> {
        steps_alone(axis)
    }

    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let setting = (self.values().draws(), self.lambda, self.batch_size);
        let rule = Box::new(AuthorsGradient::new(setting, mask, self.window)?);
        Ok(Box::new(LoopIndexAlpha::new(rule, path.schedule.clone(), path.clip)?))
    }
}

/// `epsilon' = epsilon + (lambda / B) mask d (sum U + sum epsilon / (c h w)) / d x_t` with the centered `U`.
///
/// DIFFERENCE (D10): the scalar is a mean over the batch, so the gradient carries a factor `1 / B` that no table states.
///
/// DIFFERENCE (D11): the variable is `x_t`, and the gradient of the mean of `epsilon_t` was put into the same
/// place before, so it is added. The second one flows through the whole network like the first.
#[derive(Clone, Debug)]
pub struct AuthorsGradient {
    perturbation: Perturbation,
    mask: MaskRule,
    lambda: f64,
    batch_size: u32,
    window: Window,
}

impl AuthorsGradient {
    /// The released class-conditional rule with `n_draws` draws, strength `lambda` (0.1 in its command
    /// line) and the batch size of the run to imitate (128).
    ///
    /// # Errors
    /// [`GuidanceError`] without a draw, for a `lambda` that is not finite or an empty batch.
    pub fn new(
        (n_draws, lambda, batch_size): (u32, f64, u32),
        mask: MaskRule,
        window: Window,
    ) -> Result<Self, GuidanceError> {
        check_draws("authors-code", n_draws, 1)?;
        check_lambda(lambda)?;
        if batch_size == 0 {
            return Err(GuidanceError::EmptyBatch);
        }
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        Ok(Self { perturbation, mask, lambda, batch_size, window })
    }
}

impl Guidance for AuthorsGradient {
    fn name(&self) -> &'static str {
        "authors_gradient"
    }

    fn window(&self) -> Option<Window> {
        Some(self.window)
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let setting = (GuidedStatistic::Centered, self.perturbation);
        let gradient = variance_gradient(context, network, setting)?;
        let n_elements = context.x.len() as f64 / context.x.shape()[0].max(1) as f64;
        let stray = 1.0 / n_elements;
        let cotangent = gradient.score.mapv(|value| nearest_f32(value + stray));
        let through = pull_back(context, network, (&context.x, &cotangent))?;
        let total = reaching_x(context, &gradient.states) + through.mapv(f64::from);
        let mask = self.mask.mask(context.point.index, &gradient.u)?;
        Ok(moved(context, &total, &mask, self.lambda / f64::from(self.batch_size)))
    }
}

/// `d x_hat / d x_t` at fixed `epsilon_t` is 1, or 0 where `x0_hat` was clipped.
fn reaching_x(context: &StepContext<'_>, states: &Array4<f64>) -> Array4<f64> {
    let free = x0_from_epsilon(&context.point, &context.x, &context.epsilon, ClipX0::Never);
    ndarray::Zip::from(states)
        .and(&free)
        .and(context.x0_hat)
        .map_collect(|g, free, used| if free.to_bits() == used.to_bits() { *g } else { 0.0 })
}
