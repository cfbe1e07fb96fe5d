//! What the settings of every sampler must answer.

use super::{ClipX0, Sampler, SamplerError};
use crate::fault::Fault;
use crate::schedule::{GridConfig, NoiseSchedule, TimeAxis};
use crate::units::SampleId;

/// What a sampler's settings know. The enum of the kinds hands every question on.
pub trait SamplerSettings {
    /// Number of steps `N`.
    fn n_steps(&self) -> u32;

    /// Sets the number of steps.
    fn set_steps(&mut self, n_steps: u32);

    /// Whether `x0_hat` is clipped, for a model that clips so ([`ClipX0::of_model`]).
    fn clip(&self, clips: ClipX0) -> ClipX0;

    /// Whether its rule asks for predictions inside a step: guidance does not rewrite those.
    fn asks(&self) -> bool;

    /// Values that make no sampler over times of this kind, keys relative to the sampler's.
    fn faults(&self, axis: TimeAxis) -> Vec<Fault>;

    /// A sampler at its first step.
    ///
    /// # Errors
    /// [`SamplerError`] for values that make none.
    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError>;
}

/// What a sampler is built for.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    /// Noise schedule of the model.
    pub schedule: &'a NoiseSchedule,
    /// How `x0_hat` of the model may be clipped ([`ClipX0::of_model`]).
    pub clips: ClipX0,
    /// Master seed of draws.
    pub seed: u64,
    /// Sample ids, one a row of the batch.
    pub samples: &'a [SampleId],
}

/// The grid that most samplers walk where a file names none.
pub(super) fn leading() -> GridConfig {
    GridConfig::Leading { offset: 0 }
}
