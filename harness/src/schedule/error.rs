//! Why a schedule or a grid cannot be built.

use crate::exit::{Exit, Exits};

/// Why a schedule or a grid cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// The range of beta makes no schedule.
    #[error(
        "schedule: beta runs from {start} to {end}, expected 0 < beta_start <= beta_end < 1: correct beta_start and beta_end"
    )]
    Beta {
        /// First beta.
        start: f64,
        /// Last beta.
        end: f64,
    },
    /// The schedule has too few training steps.
    #[error("schedule: n_train_steps is {got}, expected at least 2")]
    TooFewTrainSteps {
        /// Number that came.
        got: u32,
    },
    /// The cumulative product underflowed: the last states carry no signal that f64 can hold.
    #[error(
        "schedule: alpha_bar is {value:e} at t={t}, expected a value in (0, 1): use fewer training steps or a smaller beta_end"
    )]
    NoSignal {
        /// Where.
        t: u32,
        /// What it is there.
        value: f64,
    },
    /// A value makes no schedule.
    #[error("schedule: got {what}, expected {expected}: correct it")]
    Range {
        /// The values that came.
        what: String,
        /// What they must be.
        expected: &'static str,
    },
    /// Something counts training steps, and the schedule has none.
    #[error("{what} counts training steps, and the schedule of the model has none: {remedy}")]
    NoTrainSteps {
        /// Who counts them.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A grid belongs to another kind of schedule.
    #[error("grid {grid} is for {wants}, and the model has {has}: set grid to {{kind: {instead}}}")]
    GridOfOther {
        /// Kind of the grid.
        grid: &'static str,
        /// What it is for.
        wants: &'static str,
        /// What there is.
        has: &'static str,
        /// A grid for that.
        instead: &'static str,
    },
    /// The grid asks for an impossible number of sampling steps.
    #[error(
        "timestep grid ({spacing}): n_steps is {got}, expected 1..={max} of {n_train_steps} training steps: set sampler.n_steps to {max} or less"
    )]
    Steps {
        /// Spacing rule.
        spacing: &'static str,
        /// Number of sampling steps that came.
        got: u32,
        /// Largest possible number.
        max: u32,
        /// Number of training steps.
        n_train_steps: u32,
    },
    /// The offset pushes the first training time out of the schedule.
    #[error(
        "timestep grid: offset {offset} makes the first step t={first}, expected at most t={last}: use a smaller offset or more steps"
    )]
    Offset {
        /// Offset that came.
        offset: u32,
        /// First training time.
        first: u64,
        /// Last training time of the schedule.
        last: u32,
    },
    /// A grid was made for another schedule.
    #[error(
        "timestep grid reaches t={t} but the schedule ends at t={last}: build both from the same n_train_steps"
    )]
    GridBeyondSchedule {
        /// Largest time of the grid.
        t: u32,
        /// Last time of the schedule.
        last: u32,
    },
}

impl Exits for ScheduleError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
