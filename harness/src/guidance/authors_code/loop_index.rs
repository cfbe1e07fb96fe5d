//! Rules under the noise level that the released code reads at the loop index.

use ndarray::Array4;

use crate::guidance::{Guidance, GuidanceError};
use crate::model::{ModelError, Network};
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::schedule::{NoiseSchedule, TimeAxis};
use crate::uncertainty::{StepContext, Window};
use crate::units::Timestep;

/// Any rule under the noise levels of the released code.
///
/// DIFFERENCE (D15): `alpha_bar` is looked up at the loop index i = 0, 1, .. instead of at the training time. For the
/// first steps, the noisiest ones, `s` is then about 0.01, so the perturbation all but vanishes. The
/// network itself is still asked at the right training time.
pub struct LoopIndexAlpha {
    inner: Box<dyn Guidance>,
    schedule: NoiseSchedule,
    clip: ClipX0,
    name: String,
}

impl std::fmt::Debug for LoopIndexAlpha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopIndexAlpha").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LoopIndexAlpha {
    /// `inner` under `alpha_bar[loop index]` of `schedule`, with `x0_hat` clipped as `clip` says.
    ///
    /// # Errors
    /// [`GuidanceError::NoTrainSteps`] for a schedule that has no training steps to take a loop index for.
    pub fn new(
        inner: Box<dyn Guidance>,
        schedule: NoiseSchedule,
        clip: ClipX0,
    ) -> Result<Self, GuidanceError> {
        let name = format!("{}_loop_index_alpha", inner.name());
        if schedule.last().is_none() {
            return Err(GuidanceError::NoTrainSteps { rule: name });
        }
        Ok(Self { inner, schedule, clip, name })
    }
}

impl Guidance for LoopIndexAlpha {
    fn name(&self) -> &str {
        &self.name
    }

    fn window(&self) -> Option<Window> {
        self.inner.window()
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let index = Timestep(context.point.index.0);
        let read_at = self.schedule.last().map_or(index, |last| index.min(last));
        let point = context.point.with_level(self.schedule.at(read_at).level);
        let x0_hat = x0_from_epsilon(&point, &context.x, &context.epsilon, self.clip);
        let moved = StepContext { point, x0_hat: x0_hat.view(), ..*context };
        self.inner.rewrite(&moved, network)
    }
}

/// Why a rule that reads the noise level at a training step does not fit.
pub(super) fn steps_alone(axis: TimeAxis) -> Option<String> {
    let fits = axis.n_train_steps().is_some() || axis == TimeAxis::Unread;
    (!fits).then(|| {
        format!(
            "reads the noise level at a training step, and the model has {}: use the rule without the released quirk",
            axis.words()
        )
    })
}
