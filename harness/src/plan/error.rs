//! Why there is no plan.

use crate::exit::{Exit, Exits};

/// Why an experiment and the options of a call make no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The experiment has no such scale.
    #[error("{experiment}: no scale {scale:?}; there are {}", known.join(", "))]
    UnknownScale {
        /// The experiment.
        experiment: String,
        /// What was asked for.
        scale: String,
        /// What there is.
        known: Vec<String>,
    },
    /// `--limit` leaves nothing to filter.
    #[error(
        "limit {limit}: {n_keep} images would be kept, a filter needs 4 or more: set the limit to {least} or more"
    )]
    Limit {
        /// The limit.
        limit: u64,
        /// Images that the filter would keep.
        n_keep: u64,
        /// Smallest limit that works.
        least: u64,
    },
    /// The shard is written wrongly or does not exist.
    #[error("shard {text:?}: {reason}; write INDEX/COUNT with 0 <= INDEX < COUNT, as 0/4")]
    Shard {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two schedulers claim to number this process.
    #[error("{first} and {second} are both set: say which one counts by --shard INDEX/COUNT")]
    AmbiguousShard {
        /// One variable.
        first: String,
        /// Another variable.
        second: String,
    },
    /// The reference was made with other features than the experiment asks for.
    #[error(
        "reference statistics of {dataset}: its {field} is {got}, the experiment's features have {expected}: make statistics with the same extractor and preprocessing by `dubench stats`"
    )]
    Reference {
        /// Data set of the statistics.
        dataset: String,
        /// Field that differs.
        field: &'static str,
        /// Its value in the statistics.
        got: String,
        /// Its value in the experiment.
        expected: String,
    },
}

impl Exits for PlanError {
    fn exit(&self) -> Exit {
        match self {
            Self::Reference { .. } => Exit::Input,
            _ => Exit::Usage,
        }
    }
}
