//! Where the last step ends.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::schedule::{NoiseLevel, NoiseSchedule, ScheduleError, TimeAxis};
use crate::units::Timestep;

/// `alpha_bar` of the state behind the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalAlphaBar {
    /// 1: the last step ends at the clean image. What the authors' code does on all pixel models.
    #[default]
    One,
    /// `alpha_bar_0`: the last step ends at the first training state. What it does on U-ViT.
    #[serde(rename = "first")]
    FirstTrainStep,
}

/// What is said of a schedule that has no first training step.
const NO_FIRST: ScheduleError = ScheduleError::NoTrainSteps {
    what: "final_alpha_bar: first",
    remedy: "set final_alpha_bar to one",
};

/// Why there is no such end over these times.
pub(super) fn final_fault(end: FinalAlphaBar, axis: TimeAxis) -> Option<Fault> {
    let has_first = axis == TimeAxis::Unread || axis.n_train_steps().is_some();
    (end == FinalAlphaBar::FirstTrainStep && !has_first)
        .then(|| Fault::new("final_alpha_bar", NO_FIRST.to_string()))
}

/// The level of an end.
pub(super) fn final_level(
    schedule: &NoiseSchedule,
    end: FinalAlphaBar,
) -> Result<NoiseLevel, ScheduleError> {
    match end {
        FinalAlphaBar::One => Ok(NoiseLevel::CLEAN),
        FinalAlphaBar::FirstTrainStep if schedule.last().is_none() => Err(NO_FIRST),
        FinalAlphaBar::FirstTrainStep => Ok(schedule.at(Timestep(0)).level),
    }
}
