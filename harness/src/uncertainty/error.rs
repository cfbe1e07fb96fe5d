//! Why an estimator cannot be built.

use crate::exit::{Exit, Exits};
use crate::fault::Fault;

/// Why an estimator cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EstimatorError {
    /// A variance wants two draws.
    #[error(
        "{estimator}: n_draws is {got}, expected at least {least}: set n_draws of the estimator to {least} or more (the paper uses 5)"
    )]
    TooFewDraws {
        /// Estimator name.
        estimator: &'static str,
        /// Number that came.
        got: u32,
        /// Smallest possible number.
        least: u32,
    },
    /// The window holds no step.
    #[error("window at step {start} has length 0: set window.len to 1 or more")]
    EmptyWindow {
        /// First loop index.
        start: u32,
    },
    /// The window ends past the sampler.
    #[error(
        "window {start}..={end} ends past the last step {last}: end it there by a smaller window.start or window.len"
    )]
    WindowPastEnd {
        /// First loop index.
        start: u32,
        /// Last loop index of the window.
        end: u64,
        /// Last loop index of the sampler.
        last: u32,
    },
    /// The dropout probability makes no dropout.
    #[error(
        "mc_dropout: p is {got}, expected a value above 0 and below 1: set uncertainty.p (the paper's Table 1 uses 0.5)"
    )]
    DropoutProbability {
        /// Value that came.
        got: f32,
    },
    /// An own value of a kind makes none.
    #[error("{kind}: {fault}")]
    Setting {
        /// Kind, as in files.
        kind: &'static str,
        /// The value and its remedy.
        fault: Fault,
    },
}

impl Exits for EstimatorError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Refuses fewer than `least` draws.
pub(super) fn check_draws(
    estimator: &'static str,
    got: u32,
    least: u32,
) -> Result<(), EstimatorError> {
    if got < least {
        return Err(EstimatorError::TooFewDraws { estimator, got, least });
    }
    Ok(())
}
