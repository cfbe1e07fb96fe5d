//! A control that costs nothing: the square of the trajectory's own noise prediction.

use ndarray::Array4;

use serde::{Deserialize, Serialize};

use super::{Control, ControlSettings};
use crate::model::{ModelError, Network};
use crate::noise::nearest_f32;
use crate::uncertainty::{Defaults, Estimator, PerturbedStatistic, StepContext, Window};

/// The control as an experiment writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanSquaredEpsilonSettings {
    /// Loop indices at which it looks.
    pub window: Option<Window>,
}

impl ControlSettings for MeanSquaredEpsilonSettings {
    fn window(&self) -> Option<Window> {
        self.window
    }

    fn fill(&mut self, defaults: &Defaults) {
        self.window = Some(self.window.unwrap_or(defaults.window));
    }

    fn build(&self) -> Control {
        // A resolved control has its window; an empty one sees nothing.
        let window = self.window.unwrap_or(Window { start: 0, len: 0 });
        Control::Trajectory(Box::new(MeanSquaredEpsilon::new(window)))
    }
}

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

    fn as_perturbed(&self) -> Option<&dyn PerturbedStatistic> {
        None
    }
}
