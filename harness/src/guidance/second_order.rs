//! Random steps of the size of the uncertainty: a rule of the released code, without a gradient.

use ndarray::{Array4, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::error::{check_draws, check_lambda};
use super::{
    Guidance, GuidanceError, MaskConfig, MaskRule, MaskStatistic, OpenValues, Path, RuleFacts,
    RuleSettings, RuleValues, settings,
};
use crate::fault::Fault;
use crate::model::{ModelError, Network};
use crate::noise::{NoiseKey, Purpose, dropout_mask, nearest_f32};
use crate::schedule::TimeAxis;
use crate::uncertainty::{
    CleanEstimate, Perturbation, StepContext, Window, draws_of, perturbed_predictions,
};

/// The rule as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondOrderSettings {
    /// Strength.
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
    /// Loop indices that are guided; all where left out.
    pub window: Option<Window>,
}

impl RuleSettings for SecondOrderSettings {
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
        RuleFacts {
            statistic: MaskStatistic::Centered,
            needs_gradient: false,
            words: None,
            published: None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn misfit(&self, _axis: TimeAxis) -> Option<String> {
        None
    }

    fn build(&self, mask: MaskRule, _path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let rule = SecondOrderGuidance::new(self.values().draws(), self.lambda, mask)?;
        Ok(Box::new(rule.with_window(self.window)))
    }
}

/// `epsilon' = epsilon + lambda U sign mask` with the centered `U` and a fair random sign an element.
///
/// The signs are keyed by (seed, sample, loop index). The released code also keeps a second moment
/// with decay 0.99 and never reads it; it is left out.
#[derive(Clone, Debug)]
pub struct SecondOrderGuidance {
    perturbation: Perturbation,
    mask: MaskRule,
    lambda: f64,
    window: Option<Window>,
}

impl SecondOrderGuidance {
    /// The rule with `n_draws` draws and strength `lambda` (1 in the released code), at every step.
    ///
    /// # Errors
    /// [`GuidanceError`] without a draw or for a `lambda` that is not finite.
    pub fn new(n_draws: u32, lambda: f64, mask: MaskRule) -> Result<Self, GuidanceError> {
        check_draws("second_order", n_draws, 1)?;
        check_lambda(lambda)?;
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        Ok(Self { perturbation, mask, lambda, window: None })
    }

    /// The same at the steps of `window` only; at every step where there is none.
    #[must_use]
    pub fn with_window(mut self, window: impl Into<Option<Window>>) -> Self {
        self.window = window.into();
        self
    }
}

/// +1 or -1 an element, `[b, c, h, w]`.
fn random_signs(context: &StepContext<'_>) -> Array4<f64> {
    let mut signs = Array4::zeros(context.x.raw_dim());
    let mut bits = vec![0; signs.len() / context.samples.len().max(1)];
    for (row, sample) in signs.axis_iter_mut(Axis(0)).zip(context.samples) {
        let (seed, step) = (context.seed, context.point.index.0);
        let key = NoiseKey { seed, purpose: Purpose::Guidance, sample: *sample, step, draw: 0 };
        dropout_mask(key, 0.5, &mut bits);
        for (sign, bit) in row.into_iter().zip(&bits) {
            *sign = f64::from(*bit) * 2.0 - 1.0;
        }
    }
    signs
}

impl Guidance for SecondOrderGuidance {
    fn name(&self) -> &'static str {
        "second_order"
    }

    fn window(&self) -> Option<Window> {
        self.window
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let stacked = perturbed_predictions(context, network, self.perturbation)?;
        let draws = draws_of(&stacked, context.x.shape()[0]);
        let u = MaskStatistic::Centered.map(&draws, context.epsilon);
        let mask = self.mask.mask(context.point.index, &u)?;
        let signs = random_signs(context);
        let rewritten = Zip::from(context.epsilon).and(&u).and(&signs).and(&mask);
        Ok(rewritten.map_collect(|e, u, sign, mark| {
            let step = self.lambda * f64::from(*u) * sign;
            if *mark { nearest_f32(f64::from(*e) + step) } else { *e }
        }))
    }
}
