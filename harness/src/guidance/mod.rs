//! Guidance rules: each rewrites `epsilon_hat` before a sampler steps with it.
//!
//! [`GradientGuidance`] is the paper's (Eq. 10, arXiv:2412.00205). [`PosteriorGuidance`] and [`SecondOrderGuidance`] exist in
//! the released code only; [`authors_code`] holds what that code does differently from the paper, and [`AuthorsFlowGradient`] what it
//! does to a flow.
//!
//! To add one: a file with the rule ([`Guidance`]) and its settings ([`RuleSettings`]), `mod` here, a line in the list of
//! [`RuleConfig`]. Worked example, run as a test: `harness/tests/worked/guidance_rule.rs`.

pub mod authors_code;
mod authors_flow;
mod error;
mod gradient;
mod kinds;
mod mask;
mod mask_settings;
mod mask_statistic;
mod posterior;
mod quantile;
mod second_order;
mod settings;
mod thresholds;
mod variance_gradient;

pub use authors_code::{AuthorsGradientSettings, AuthorsPosteriorSettings};
pub use authors_flow::{AuthorsFlowGradient, AuthorsFlowGradientSettings};
pub use error::GuidanceError;
pub use gradient::{Direction, GradientGuidance, GradientSettings};
pub use kinds::RuleConfig;
pub use mask::{MaskRule, Side};
pub use mask_settings::MaskConfig;
pub use mask_statistic::{MapRecorder, MaskStatistic};
pub use posterior::{PosteriorGuidance, PosteriorSettings};
pub use quantile::quantile_linear;
pub use second_order::{SecondOrderGuidance, SecondOrderSettings};
pub use settings::{OpenValues, Path, RuleFacts, RuleSettings, RuleValues};
pub use thresholds::{StepThresholds, dataset_pixel, dataset_scalar};
pub use variance_gradient::{GuidedStatistic, VarianceGradient, variance_gradient};

use ndarray::Array4;

use crate::model::{ModelError, Network};
use crate::uncertainty::{StepContext, Window};

/// Name of how far a rule moved the predictions of an image: `sum over guided steps and elements of
/// (epsilon' - epsilon)^2`.
pub const DISPLACEMENT: &str = "displacement";

/// One guidance rule.
///
/// A row of the answer depends on that row and on keyed draws alone: never on the batch.
pub trait Guidance: Send {
    /// Name in tables: `gradient`, `posterior`, ...
    fn name(&self) -> &str;

    /// The loop indices it guides; `None` for all of them.
    fn window(&self) -> Option<Window>;

    /// The prediction that the sampler steps with, `[b, c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError`] of the network, or [`ModelError::NotApplicable`].
    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError>;
}

#[cfg(test)]
mod closed_form_tests;
