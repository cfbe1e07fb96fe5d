//! What the released guidance code does differently from the paper, as rules of their own.
//!
//! | # | the paper | here |
//! |---|---|---|
//! | D9 | ascent | [`AuthorsGradient`] ascends; [`super::Direction::Descent`] is the older files' choice |
//! | D10 | strength lambda | lambda divided by the batch size of the run to imitate, given as a number |
//! | D11 | gradient with respect to `epsilon_t` | with respect to `x_t`, through the network |
//! | D12 | percentile of the map | [`super::StepThresholds::Pixel`] by [`super::dataset_pixel`] |
//! | D13 | all steps | a window: the first three steps in the shipped configurations |
//! | D15 | `alpha_bar` at the training time | [`LoopIndexAlpha`]: at the loop index |
//! | D17 | gradient | [`posterior`]: the rule of the shipped configurations |
//!
//! D14 (a quarter of the steps) and D16 (DDIM for every model) are settings of the sampler.
//!
//! # What is left out?
//! The released posterior sums predictions over the *batch axis*, so each image would change with its
//! neighbours. A row here depends on itself alone: the rule is the released one at batch size 1.

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::error::{check_draws, check_lambda};
use super::gradient::moved;
use super::posterior::Observations;
use super::variance_gradient::pull_back;
use super::{
    Guidance, GuidanceError, GuidedStatistic, MaskRule, MaskStatistic, Path, PosteriorGuidance,
    RuleSettings, RuleValues, settings, variance_gradient,
};
use crate::fault::Fault;
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::schedule::{NoiseSchedule, TimeAxis};
use crate::uncertainty::{CleanEstimate, Perturbation, StepContext, Window};
use crate::units::Timestep;

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
    #[serde(default = "first_steps")]
    pub window: Window,
}

fn released_lambda() -> f64 {
    0.1
}

fn released_batch() -> u32 {
    128
}

fn first_steps() -> Window {
    Window { start: 0, len: 3 }
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

    fn fill(&mut self, n_draws: u32, _n_images: Option<u64>) {
        self.n_draws = Some(self.n_draws.unwrap_or(n_draws));
    }

    fn statistic(&self) -> MaskStatistic {
        MaskStatistic::Centered
    }

    fn needs_gradient(&self) -> bool {
        true
    }

    fn faults(&self) -> Vec<Fault> {
        let message = "an empty batch: give that of the run to imitate, 128";
        let fault = || Fault::new("batch_size", message);
        (self.batch_size == 0).then(fault).into_iter().collect()
    }

    fn words(&self) -> Option<String> {
        Some(format!("divided by a batch of {}, noise level at the loop index", self.batch_size))
    }

    fn misfit(&self, axis: TimeAxis) -> Option<String> {
        steps_alone(axis)
    }

    fn published(&self) -> Option<&'static str> {
        None
    }

    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let setting = (self.values().draws(), self.lambda, self.batch_size);
        let rule = Box::new(AuthorsGradient::new(setting, mask, self.window)?);
        Ok(Box::new(LoopIndexAlpha::new(rule, path.schedule.clone(), path.clip)?))
    }
}

/// Why a rule that reads the noise level at a training step does not fit.
fn steps_alone(axis: TimeAxis) -> Option<String> {
    let fits = axis.n_train_steps().is_some() || axis == TimeAxis::Unread;
    (!fits).then(|| {
        format!(
            "reads the noise level at a training step, and the model has {}: use the rule without the released quirk",
            axis.words()
        )
    })
}

/// The posterior rule as the released code computes it, as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorsPosteriorSettings {
    /// Elements above this quantile are rewritten, 0.95 in the paper.
    #[serde(default = "settings::percentile")]
    pub percentile: f64,
    /// The paper's `M`; the scale's, else 5.
    pub n_draws: Option<u32>,
    /// Loop indices that are guided: the first three where left out, as in the released configurations.
    #[serde(default = "first_steps")]
    pub window: Window,
}

impl RuleSettings for AuthorsPosteriorSettings {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile) = (None, self.percentile);
        RuleValues {
            lambda,
            percentile,
            window: Some(self.window),
            n_draws: self.n_draws,
            mask: None,
        }
    }

    fn fill(&mut self, n_draws: u32, _n_images: Option<u64>) {
        self.n_draws = Some(self.n_draws.unwrap_or(n_draws));
    }

    fn statistic(&self) -> MaskStatistic {
        MaskStatistic::VarianceWithPrediction
    }

    fn needs_gradient(&self) -> bool {
        false
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn words(&self) -> Option<String> {
        Some("last draw alone, noise level at the loop index".to_owned())
    }

    fn misfit(&self, axis: TimeAxis) -> Option<String> {
        steps_alone(axis)
    }

    fn published(&self) -> Option<&'static str> {
        None
    }

    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let rule = Box::new(posterior(self.values().draws(), mask, self.window)?);
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

/// The posterior rule with the released sum: the last draw alone instead of all M.
///
/// # Errors
/// As [`PosteriorGuidance::new`].
pub fn posterior(
    n_draws: u32,
    mask: MaskRule,
    window: Window,
) -> Result<PosteriorGuidance, GuidanceError> {
    let rule = PosteriorGuidance::new(n_draws, mask)?.with_window(window);
    Ok(rule.with_observations(Observations::LastDraw))
}

/// Any rule under the noise levels of the released code.
///
/// DIFFERENCE (D15): `alpha_bar` is looked up at the loop index i = 0, 1, .. instead of at the training time. For the
/// first steps, the noisiest ones, `s` is then about 0.01, so the perturbation all but vanishes. The
/// network itself is still asked at the right training time.
pub struct LoopIndexAlpha {
    inner: Box<dyn Guidance>,
    schedule: NoiseSchedule,
    clip: ClipX0,
    name: String,
}

impl std::fmt::Debug for LoopIndexAlpha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopIndexAlpha").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LoopIndexAlpha {
    /// `inner` under `alpha_bar[loop index]` of `schedule`, with `x0_hat` clipped as `clip` says.
    ///
    /// # Errors
    /// [`GuidanceError::NoTrainSteps`] for a schedule that has no training steps to take a loop index for.
    pub fn new(
        inner: Box<dyn Guidance>,
        schedule: NoiseSchedule,
        clip: ClipX0,
    ) -> Result<Self, GuidanceError> {
        let name = format!("{}_loop_index_alpha", inner.name());
        if schedule.last().is_none() {
            return Err(GuidanceError::NoTrainSteps { rule: name });
        }
        Ok(Self { inner, schedule, clip, name })
    }
}

impl Guidance for LoopIndexAlpha {
    fn name(&self) -> &str {
        &self.name
    }

    fn window(&self) -> Option<Window> {
        self.inner.window()
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let index = Timestep(context.point.index.0);
        let read_at = self.schedule.last().map_or(index, |last| index.min(last));
        let point = context.point.with_level(self.schedule.at(read_at).level);
        let x0_hat = x0_from_epsilon(&point, &context.x, &context.epsilon, self.clip);
        let StepContext { x, epsilon, samples, conditions, seed, max_batch, .. } = *context;
        let x0_hat = x0_hat.view();
        let moved = StepContext { point, x, epsilon, x0_hat, samples, conditions, seed, max_batch };
        self.inner.rewrite(&moved, network)
    }
}
