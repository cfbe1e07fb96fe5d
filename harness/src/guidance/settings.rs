//! What the settings of every guidance rule must answer.

use super::{Guidance, GuidanceError, MaskConfig, MaskRule, MaskStatistic};
use crate::fault::Fault;
use crate::sampler::ClipX0;
use crate::schedule::{NoiseSchedule, TimeAxis};
use crate::uncertainty::Window;

/// What a rule's settings know. The enum of the kinds hands every question on.
pub trait RuleSettings {
    /// The values that rules have in common.
    fn values(&self) -> RuleValues<'_>;

    /// Sets `n_draws` draws where the file gives none, and `n_images` in a threshold set that has no size.
    fn fill(&mut self, n_draws: u32, n_images: Option<u64>);

    /// The map that its mask is taken of.
    fn statistic(&self) -> MaskStatistic;

    /// Whether it asks for gradients through the network.
    fn needs_gradient(&self) -> bool;

    /// Own values that make no rule, keys relative to the rule's; those in common are looked at elsewhere.
    fn faults(&self) -> Vec<Fault>;

    /// What a reader must know of it beyond the values in common.
    fn words(&self) -> Option<String>;

    /// Why it cannot guide a model whose schedule has these times; `None` where it can.
    fn misfit(&self, axis: TimeAxis) -> Option<String>;

    /// Name of the published method that it answers; `None` where it answers none.
    fn published(&self) -> Option<&'static str>;

    /// The rule.
    ///
    /// # Errors
    /// [`GuidanceError`] for values that make none.
    fn build(&self, mask: MaskRule, path: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError>;
}

/// The values that rules have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleValues<'a> {
    /// Strength, where it has one.
    pub lambda: Option<f64>,
    /// Elements above this quantile are rewritten.
    pub percentile: f64,
    /// Loop indices that are guided; `None` for all.
    pub window: Option<Window>,
    /// The paper's `M`, as far as it is given.
    pub n_draws: Option<u32>,
    /// Where the threshold comes from; `None` for rules that take the map at hand and nothing else.
    pub mask: Option<&'a MaskConfig>,
}

/// The walk that a rule guides.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// Noise schedule of the model.
    pub schedule: &'a NoiseSchedule,
    /// What the sampler does to `x0_hat`.
    pub clip: ClipX0,
}

/// Draws of a rule whose plan gives none; a resolved plan always does.
const N_DRAWS: u32 = 5;

impl RuleValues<'_> {
    /// The paper's `M`, 5 where none is given.
    pub fn draws(&self) -> u32 {
        self.n_draws.unwrap_or(N_DRAWS)
    }
}

/// Strength of a rule, 1 in the paper.
pub(super) fn lambda() -> f64 {
    1.0
}

/// Percentile of a mask, 0.95 in the paper.
pub(super) fn percentile() -> f64 {
    0.95
}
