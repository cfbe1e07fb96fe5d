//! A control that costs nothing: the square of the trajectory's own noise prediction.

use ndarray::Array4;

use super::{Estimator, StepContext, Window};
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;

/// `U_t = epsilon_t^2`: no network call beyond the trajectory's.
///
/// An estimator that filters no better than this row has told nothing that the sampler did not know.
#[derive(Clone, Debug)]
pub struct MeanSquaredEpsilon {
    window: Window,
}

impl MeanSquaredEpsilon {
    /// The control over `window`.
    pub fn new(window: Window) -> Self {
        Self { window }
    }
}

impl Estimator for MeanSquaredEpsilon {
    fn name(&self) -> &'static str {
        "mean_squared_epsilon"
    }

    fn window(&self) -> Window {
        self.window
    }

    fn estimate(
        &mut self,
        context: &StepContext<'_>,
        _network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        Ok(context.epsilon.mapv(|e| nearest_f32(f64::from(e).powi(2))))
    }
}
