//! Uncertainty estimators: one a file. Each maps a place on the trajectory to a map `U [b, c, h, w]`.

use ndarray::{Array4, ArrayView4};

use crate::model::{ModelError, Network};
use crate::sampler::StepPoint;
use crate::units::{ClassLabel, SampleId};

/// Loop indices `start .. start + len` at which an estimator looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// First loop index.
    pub start: u32,
    /// Number of loop indices.
    pub len: u32,
}

impl Window {
    /// Whether loop index `index` is inside.
    pub fn contains(&self, index: crate::units::StepIndex) -> bool {
        index.0 >= self.start && index.0 - self.start < self.len
    }
}

/// A place on the trajectories of one batch, as estimators see it.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// Loop index, training time, noise level.
    pub point: StepPoint,
    /// States `x_t`, `[b, c, h, w]`.
    pub x: ArrayView4<'a, f32>,
    /// The trajectory's own `epsilon_hat` at `x_t`.
    pub epsilon: ArrayView4<'a, f32>,
    /// `x0_hat` as the sampler forms it (clipped where it clips).
    pub x0_hat: ArrayView4<'a, f32>,
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// Classes, one a row, or `None`.
    pub labels: Option<&'a [ClassLabel]>,
    /// Master seed of the experiment.
    pub seed: u64,
}

/// One uncertainty estimator.
///
/// A map element depends on (seed, sample, step, draw) alone: never on the batch, thread or shard.
pub trait Estimator: Send {
    /// Name in tables: `sample_var`, `centered`, `mc_dropout`, ...
    fn name(&self) -> &str;

    /// Where it looks.
    fn window(&self) -> Window;

    /// The maps `U [b, c, h, w]`, f32, >= 0, in units of squared `epsilon`.
    ///
    /// # Errors
    /// [`ModelError`] of the network, or [`ModelError::NotApplicable`].
    fn estimate(&mut self, context: &StepContext<'_>, network: &mut Network<'_>) -> Result<Array4<f32>, ModelError>;
}
