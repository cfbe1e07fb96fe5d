//! Why there is no plan.

use crate::exit::{Exit, Exits};
use crate::fault::Fault;

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
    /// Arms that the model cannot run.
    #[error("{experiment} on {model}: {}", list(faults))]
    Arms {
        /// The experiment.
        experiment: String,
        /// The model.
        model: String,
        /// What is wrong with which arm.
        faults: Vec<Fault>,
    },
    /// Images that the model cannot rebuild.
    #[error("{experiment} on {model}: {}", list(faults))]
    Images {
        /// The experiment.
        experiment: String,
        /// The model.
        model: String,
        /// What is wrong with which arm's images.
        faults: Vec<Fault>,
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
    /// Reference statistics of images of another size.
    #[error(
        "reference statistics of {dataset}: they are of images of {} x {}, {model} makes {expected}: make statistics of that size by `dubench stats PATH@RECIPE:SIZE`, or import published ones of it (docs/imagenet.md)", got[0], got[1]
    )]
    ReferenceSize {
        /// Data set of the statistics.
        dataset: String,
        /// Height and width of its images.
        got: [u64; 2],
        /// Model of the experiment.
        model: String,
        /// What its images are.
        expected: String,
    },
}

fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("; ")
}

impl Exits for PlanError {
    fn exit(&self) -> Exit {
        match self {
            Self::Reference { .. } | Self::ReferenceSize { .. } | Self::Images { .. } => {
                Exit::Input
            }
            _ => Exit::Usage,
        }
    }
}
