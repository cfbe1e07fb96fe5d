//! Why a guidance rule cannot be built.

use crate::exit::{Exit, Exits};
use crate::fault::Fault;

/// Why a guidance rule cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GuidanceError {
    /// A percentile is no fraction.
    #[error(
        "guidance: percentile is {got}, expected a fraction from 0 to 1 (the paper uses 0.95): correct guidance.percentile"
    )]
    Percentile {
        /// Value that came.
        got: f64,
    },
    /// The strength is not a number.
    #[error(
        "guidance: lambda is {got}, expected a finite number (the paper uses 1.0): correct guidance.lambda"
    )]
    Lambda {
        /// Value that came.
        got: f64,
    },
    /// Too few draws for the statistic.
    #[error(
        "guidance ({rule}): n_draws is {got}, expected at least {least}: set guidance.n_draws to {least} or more"
    )]
    TooFewDraws {
        /// Name of the rule.
        rule: &'static str,
        /// Number that came.
        got: u32,
        /// Smallest possible number.
        least: u32,
    },
    /// A mask takes its thresholds from a generated set, and none came.
    #[error(
        "guidance: the mask takes its thresholds from a generated set, and there are none: make them by `dubench thresholds`"
    )]
    NoThresholds,
    /// There are no maps to take thresholds from.
    #[error(
        "thresholds: no uncertainty maps came, expected at least one image: generate the threshold set first"
    )]
    NoMaps,
    /// A map holds a value that is not finite.
    #[error(
        "thresholds: a map holds {got}, expected finite values: the threshold set is damaged, generate it again"
    )]
    NotFinite {
        /// Value found.
        got: f32,
    },
    /// Thresholds were made for another sampler or model.
    #[error(
        "thresholds have shape {got:?} (steps, then channels, height, width), expected {expected:?}: make them with the same sampler steps and model"
    )]
    ThresholdShape {
        /// Shape that came.
        got: Vec<usize>,
        /// Shape that was expected.
        expected: Vec<usize>,
    },
    /// The batch that a released quirk divides by is empty.
    #[error(
        "guidance (authors-code): batch_size is 0, expected the batch of the run to imitate (128)"
    )]
    EmptyBatch,
    /// A released quirk takes a loop index for a training step, and there are none.
    #[error(
        "guidance ({rule}): it reads the noise level at a training step, and the schedule of the model has none: use the rule without the released quirk"
    )]
    NoTrainSteps {
        /// Name of the rule.
        rule: String,
    },
    /// A released quirk of flows is asked of another model.
    #[error(
        "guidance ({rule}): it takes the time of a flow for alpha_bar, and the model is no flow: use gradient"
    )]
    NotFlow {
        /// Name of the rule.
        rule: &'static str,
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

impl Exits for GuidanceError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoMaps | Self::NotFinite { .. } | Self::ThresholdShape { .. } => Exit::Input,
            _ => Exit::Usage,
        }
    }
}

/// Refuses a percentile outside [0, 1].
pub(super) fn check_percentile(got: f64) -> Result<(), GuidanceError> {
    if (0.0..=1.0).contains(&got) {
        return Ok(());
    }
    Err(GuidanceError::Percentile { got })
}

/// Refuses a strength that is not a number.
pub(super) fn check_lambda(got: f64) -> Result<(), GuidanceError> {
    if got.is_finite() {
        return Ok(());
    }
    Err(GuidanceError::Lambda { got })
}

/// Refuses fewer than `least` draws.
pub(super) fn check_draws(rule: &'static str, got: u32, least: u32) -> Result<(), GuidanceError> {
    if got < least {
        return Err(GuidanceError::TooFewDraws { rule, got, least });
    }
    Ok(())
}
