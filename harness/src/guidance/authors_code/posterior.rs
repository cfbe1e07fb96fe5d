//! The posterior rule as the released code computes it.

use serde::{Deserialize, Serialize};

use super::loop_index::{LoopIndexAlpha, steps_alone};
use crate::fault::Fault;
use crate::guidance::posterior::Observations;
use crate::guidance::{
    Guidance, GuidanceError, MaskRule, MaskStatistic, OpenValues, Path, PosteriorGuidance,
    RuleFacts, RuleSettings, RuleValues, settings,
};
use crate::schedule::TimeAxis;
use crate::uncertainty::Window;

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
    #[serde(default = "super::first_steps")]
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

    fn open(&mut self) -> OpenValues<'_> {
        OpenValues { n_draws: Some(&mut self.n_draws), mask: None }
    }

    fn facts(&self) -> RuleFacts {
        RuleFacts {
            statistic: MaskStatistic::VarianceWithPrediction,
            needs_gradient: false,
            words: Some("last draw alone, noise level at the loop index".to_owned()),
            published: None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn misfit(&self, axis: TimeAxis) -> Option<String> {
        steps_alone(axis)
    }

    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        let rule = Box::new(posterior(self.values().draws(), mask, self.window)?);
        Ok(Box::new(LoopIndexAlpha::new(rule, path.schedule.clone(), path.clip)?))
    }
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
