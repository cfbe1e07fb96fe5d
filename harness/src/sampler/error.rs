//! Why a sampler cannot be built.

use crate::exit::{Exit, Exits};
use crate::fault::Fault;
use crate::schedule::ScheduleError;

/// Why a sampler cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SamplerError {
    /// Grid and schedule do not fit together.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// `eta` is out of range.
    #[error(
        "sampler: eta is {got}, expected 0 (deterministic) to 1 (ancestral): correct sampler.eta"
    )]
    Eta {
        /// Value that came.
        got: f64,
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

impl Exits for SamplerError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
