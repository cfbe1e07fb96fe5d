//! The paper's guidance: a step along the gradient of the uncertainty.

use ndarray::{Array4, Zip};
use serde::{Deserialize, Serialize};

use super::error::{check_draws, check_lambda};
use super::{
    Guidance, GuidanceError, GuidedStatistic, MaskConfig, MaskRule, MaskStatistic, OpenValues,
    Path, RuleFacts, RuleSettings, RuleValues, settings, variance_gradient,
};
use crate::fault::Fault;
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;
use crate::schedule::TimeAxis;
use crate::uncertainty::{CleanEstimate, Perturbation, StepContext, Window};

/// The paper's rule as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientSettings {
    /// Strength, 1 in the paper.
    #[serde(default = "settings::lambda")]
    pub lambda: f64,
    /// Elements above this quantile are rewritten, 0.95 in the paper.
    #[serde(default = "settings::percentile")]
    pub percentile: f64,
    /// Where the threshold comes from: the map itself, or a generated set.
    #[serde(default, skip_serializing_if = "MaskConfig::is_per_image")]
    pub mask: MaskConfig,
    /// The paper's `M`; the scale's, else 5.
    pub n_draws: Option<u32>,
    /// Towards more or towards less uncertainty.
    #[serde(default)]
    pub direction: Direction,
    /// Loop indices that are guided; all where left out.
    pub window: Option<Window>,
}

impl RuleSettings for GradientSettings {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile) = (Some(self.lambda), self.percentile);
        RuleValues {
            lambda,
            percentile,
            window: self.window,
            n_draws: self.n_draws,
            mask: Some(&self.mask),
        }
    }

    fn open(&mut self) -> OpenValues<'_> {
        OpenValues { n_draws: Some(&mut self.n_draws), mask: Some(&mut self.mask) }
    }

    fn facts(&self) -> RuleFacts {
        let answers = self.direction == Direction::Ascent && self.mask.is_per_image();
        RuleFacts {
            statistic: MaskStatistic::SampleVariance,
            needs_gradient: true,
            words: (self.direction == Direction::Descent).then(|| "downhill".to_owned()),
            published: answers.then_some("uncertainty_guided"),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn misfit(&self, _axis: TimeAxis) -> Option<String> {
        None
    }

    fn build(&self, mask: MaskRule, _path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let rule = GradientGuidance::new(self.values().draws(), self.lambda, mask)?;
        Ok(Box::new(rule.with_direction(self.direction).with_window(self.window)))
    }
}

/// Uphill or downhill in uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards more uncertainty: Eq. 10.
    #[default]
    Ascent,
    /// Towards less: the older files of the released code.
    Descent,
}

impl Direction {
    /// +1 or -1.
    pub fn sign(self) -> f64 {
        match self {
            Self::Ascent => 1.0,
            Self::Descent => -1.0,
        }
    }
}

/// `epsilon' = epsilon + lambda 1[U > threshold] d (sum U) / d epsilon` (Eq. 10 and Algorithm 2, arXiv:2412.00205).
///
/// The sum runs over the channels and pixels of one image, so nothing depends on the batch; `epsilon_t` is a leaf and
/// `x_t` is constant. Defaults: the paper's variance, ascent, every step.
///
/// DIFFERENCE (D9, D10, D11): the paper speaks of uncertain and of certain regions as the target, and the released code of
/// a mean over the batch and of `x_t` as the variable. Those readings are in [`super::authors_code`].
#[derive(Clone, Debug)]
pub struct GradientGuidance {
    statistic: GuidedStatistic,
    perturbation: Perturbation,
    mask: MaskRule,
    lambda: f64,
    direction: Direction,
    window: Option<Window>,
}

impl GradientGuidance {
    /// The rule with `n_draws` draws (5 in the paper) and strength `lambda` (1.0 in the paper).
    ///
    /// # Errors
    /// [`GuidanceError`] below two draws or for a `lambda` that is not finite.
    ///
    /// # Examples
    /// ```
    /// use dubench::guidance::{GradientGuidance, Guidance, MaskRule};
    ///
    /// let rule = GradientGuidance::new(5, 1.0, MaskRule::per_image(0.95)?)?;
    /// assert_eq!(rule.window(), None);
    /// # Ok::<(), dubench::guidance::GuidanceError>(())
    /// ```
    pub fn new(n_draws: u32, lambda: f64, mask: MaskRule) -> Result<Self, GuidanceError> {
        check_draws("gradient", n_draws, 2)?;
        check_lambda(lambda)?;
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        let (statistic, direction) = (GuidedStatistic::SampleVariance, Direction::Ascent);
        Ok(Self { statistic, perturbation, mask, lambda, direction, window: None })
    }

    /// The same with another statistic.
    #[must_use]
    pub fn with_statistic(mut self, statistic: GuidedStatistic) -> Self {
        self.statistic = statistic;
        self
    }

    /// The same over another clean estimate.
    #[must_use]
    pub fn with_clean_estimate(mut self, clean: CleanEstimate) -> Self {
        self.perturbation.clean = clean;
        self
    }

    /// The same in another direction.
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// The same at the steps of `window` only; at every step where there is none.
    #[must_use]
    pub fn with_window(mut self, window: impl Into<Option<Window>>) -> Self {
        self.window = window.into();
        self
    }
}

impl Guidance for GradientGuidance {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn window(&self) -> Option<Window> {
        self.window
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let setting = (self.statistic, self.perturbation);
        let gradient = variance_gradient(context, network, setting)?;
        let mask = self.mask.mask(context.point.index, &gradient.u)?;
        Ok(moved(context, &gradient.score, &mask, self.direction.sign() * self.lambda))
    }
}

/// `epsilon + strength mask gradient`.
pub(super) fn moved(
    context: &StepContext<'_>,
    gradient: &Array4<f64>,
    mask: &Array4<bool>,
    strength: f64,
) -> Array4<f32> {
    Zip::from(context.epsilon).and(gradient).and(mask).map_collect(|e, gradient, mark| {
        if *mark { nearest_f32(f64::from(*e) + strength * gradient) } else { *e }
    })
}
