//! Guidance rules: each rewrites `epsilon_hat` before a sampler steps with it.

use ndarray::Array4;

use crate::model::{ModelError, Network};
use crate::uncertainty::{StepContext, Window};

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
