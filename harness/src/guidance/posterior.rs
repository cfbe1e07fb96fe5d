//! Shrinkage of uncertain predictions towards zero: a rule of the released code, without a gradient.

use ndarray::{Array4, Zip};
use serde::{Deserialize, Serialize};

use super::error::check_draws;
use super::{
    Guidance, GuidanceError, MaskConfig, MaskRule, MaskStatistic, OpenValues, Path, RuleFacts,
    RuleSettings, RuleValues, settings,
};
use crate::fault::Fault;
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;
use crate::schedule::TimeAxis;
use crate::uncertainty::{
    CleanEstimate, Perturbation, StepContext, Window, draws_of, perturbed_predictions,
};

/// The rule as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosteriorSettings {
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

impl RuleSettings for PosteriorSettings {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile) = (None, self.percentile);
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
            statistic: MaskStatistic::VarianceWithPrediction,
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
        let rule = PosteriorGuidance::new(self.values().draws(), mask)?;
        Ok(Box::new(rule.with_window(self.window)))
    }
}

/// Which observations the posterior mean sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observations {
    /// `S = sum_m e_m`: the Bayesian posterior mean that the rule is named for.
    AllDraws,
    /// `S = e_M`: what the released code sums when its batch holds one image.
    LastDraw,
}

/// On masked elements, `epsilon' = (M / U + 1 / alpha_bar_t)^-1 S / U` with `S = sum_m e_m`: the mean
/// of a normal with prior variance `alpha_bar_t` after M observations `e_m` of variance `U`.
///
/// `U` is the variance (ddof 1) over the M perturbed predictions *and* `epsilon_t`. The rule is evaluated as
/// `alpha_bar_t S / (M alpha_bar_t + U)`, which needs no division by a vanishing `U`.
///
/// DIFFERENCE (D17): the configurations shipped with the released code use this rule although the paper
/// describes the gradient.
#[derive(Clone, Debug)]
pub struct PosteriorGuidance {
    perturbation: Perturbation,
    mask: MaskRule,
    observations: Observations,
    window: Option<Window>,
}

impl PosteriorGuidance {
    /// The rule with `n_draws` draws, at every step.
    ///
    /// # Errors
    /// [`GuidanceError::TooFewDraws`] without a draw.
    pub fn new(n_draws: u32, mask: MaskRule) -> Result<Self, GuidanceError> {
        check_draws("posterior", n_draws, 1)?;
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        let observations = Observations::AllDraws;
        Ok(Self { perturbation, mask, observations, window: None })
    }

    /// The same at the steps of `window` only; at every step where there is none.
    #[must_use]
    pub fn with_window(mut self, window: impl Into<Option<Window>>) -> Self {
        self.window = window.into();
        self
    }

    pub(super) fn with_observations(mut self, observations: Observations) -> Self {
        self.observations = observations;
        self
    }
}

impl Guidance for PosteriorGuidance {
    fn name(&self) -> &'static str {
        "posterior"
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
        let used = match self.observations {
            Observations::AllDraws => 0,
            Observations::LastDraw => draws.len() - 1,
        };
        let mut sum = Array4::<f64>::zeros(context.x.raw_dim());
        for draw in &draws[used..] {
            sum.zip_mut_with(draw, |sum, e| *sum += f64::from(*e));
        }
        let u = MaskStatistic::VarianceWithPrediction.map(&draws, context.epsilon);
        let mask = self.mask.mask(context.point.index, &u)?;
        let signal = context.point.level.a2();
        let m = f64::from(self.perturbation.n_draws);
        let rewritten = Zip::from(context.epsilon).and(&u).and(&sum).and(&mask);
        Ok(rewritten.map_collect(|e, u, sum, mark| {
            let mean = signal * sum / (m * signal + f64::from(*u));
            if *mark { nearest_f32(mean) } else { *e }
        }))
    }
}
