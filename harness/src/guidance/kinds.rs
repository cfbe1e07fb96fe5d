//! The guidance rules that an experiment can name.

use super::{
    Guidance, GuidanceError, MaskConfig, MaskRule, Path, RuleSettings, RuleValues, StepThresholds,
    authors_code, authors_flow, gradient, posterior, second_order,
};
use crate::kinds::kinds;

kinds! {
    /// A guidance rule. An arm without one is unguided.
    pub enum RuleConfig: RuleSettings {
        /// A step along the gradient of the variance (Eq. 10, arXiv:2412.00205).
        "gradient", "Gradient (Eq. 10)" => Gradient(gradient::GradientSettings),
        /// Shrinkage of uncertain predictions, a rule of the released code.
        "posterior", "Posterior" => Posterior(posterior::PosteriorSettings),
        /// Random steps of the size of the uncertainty, a rule of the released code.
        "second_order", "Second order" => SecondOrder(second_order::SecondOrderSettings),
        /// The gradient as the released code computes it.
        "authors_gradient", "Released gradient" => AuthorsGradient(authors_code::AuthorsGradientSettings),
        /// The posterior rule as the released code computes it.
        "authors_posterior", "Released posterior" => AuthorsPosterior(authors_code::AuthorsPosteriorSettings),
        /// The gradient on a flow as the released code computes it.
        "authors_flow_gradient", "Released gradient, flow" => AuthorsFlowGradient(authors_flow::AuthorsFlowGradientSettings),
    }
}

impl RuleConfig {
    /// The same with `n_draws` draws where the file gives none, and `n_images` in a threshold set that has no size.
    #[must_use]
    pub fn resolved(&self, n_draws: u32, n_images: Option<u64>) -> Self {
        let mut rule = self.clone();
        rule.open().fill(n_draws, n_images);
        rule
    }

    /// The rule; `thresholds` are those of its mask, where it takes them from a set.
    ///
    /// # Errors
    /// [`GuidanceError`] for values that make no rule, and for a mask without its thresholds.
    pub fn guidance(
        &self,
        thresholds: Option<&StepThresholds>,
        path: &Path<'_>,
    ) -> Result<Box<dyn Guidance>, GuidanceError> {
        let RuleValues { percentile, mask, .. } = self.values();
        let mask = if mask.is_none_or(MaskConfig::is_per_image) {
            MaskRule::per_image(percentile)?
        } else {
            MaskRule::dataset(thresholds.ok_or(GuidanceError::NoThresholds)?.clone())
        };
        self.build(mask, path)
    }
}
