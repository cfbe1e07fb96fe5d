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

    /// Those of them that a file may leave to the scale.
    fn open(&mut self) -> OpenValues<'_>;

    /// What the harness must know of it.
    fn facts(&self) -> RuleFacts;

    /// Own values that make no rule, keys relative to the rule's; those in common are looked at elsewhere.
    fn faults(&self) -> Vec<Fault>;

    /// Why it cannot guide a model whose schedule has these times; `None` where it can.
    fn misfit(&self, axis: TimeAxis) -> Option<String>;

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

/// Values that a file may leave to the scale.
#[derive(Debug)]
pub struct OpenValues<'a> {
    /// The paper's `M`; `None` for a rule that has no draws.
    pub n_draws: Option<&'a mut Option<u32>>,
    /// Where the threshold comes from; `None` for rules that take the map at hand and nothing else.
    pub mask: Option<&'a mut MaskConfig>,
}

impl OpenValues<'_> {
    /// Sets `n_draws` draws where the file gives none, and `n_images` in a threshold set that has no size.
    pub(super) fn fill(self, n_draws: u32, n_images: Option<u64>) {
        let n_draws = self.n_draws.map(|own| *own.get_or_insert(n_draws));
        if let Some(mask) = self.mask {
            *mask = mask.resolved(n_images, n_draws);
        }
    }
}

/// What the harness must know of a rule. Nothing of it has a default: a rule that has not decided does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    /// The map that its mask is taken of.
    pub statistic: MaskStatistic,
    /// Whether it asks for gradients through the network.
    pub needs_gradient: bool,
    /// What a reader must know of it beyond the values in common.
    pub words: Option<String>,
    /// Name of the published method that it answers; `None` where it answers none.
    pub published: Option<&'static str>,
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
