use crate::exit::{Exit, Exits};
use crate::store::StoreError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report.
    #[error("report of {experiment}: no rows of artefact {artefact}: run `dubench evaluate` first")]
    Empty {
        /// Experiment name.
        experiment: String,
        /// Published artefact.
        artefact: String,
    },
    /// Two rows claim the same cell.
    #[error(
        "two rows for {key}, with values {first} and {second}: a result holds one row a cell; \
         run `dubench evaluate` again"
    )]
    Duplicate {
        /// Key of the cell.
        key: String,
        /// Value of the first row.
        first: String,
        /// Value of the second row.
        second: String,
    },
    /// A number that cannot be drawn or written.
    #[error("{place}: got {got}, expected {expected}: {remedy}")]
    Value {
        /// Where.
        place: String,
        /// What was found.
        got: String,
        /// What is needed.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// A condition on a column that there is none of.
    #[error("--where: column {column:?} is none of {known}: write COLUMN=TEXT with one of these")]
    Column {
        /// The column.
        column: String,
        /// Those that there are.
        known: String,
    },
    /// A file of numbers cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table library failed.
    #[error("query over metrics: {cause}: this is a bug of dubench, please report it")]
    Query {
        /// Message of the library.
        cause: String,
    },
    /// The drawing library failed.
    #[error("plot {name}: {cause}: this is a bug of dubench, please report it")]
    Plot {
        /// Plot name.
        name: String,
        /// Message of the library.
        cause: String,
    },
}

impl Exits for ReportError {
    fn exit(&self) -> Exit {
        match self {
            Self::Column { .. } => Exit::Usage,
            Self::Empty { .. } => Exit::Incomplete,
            Self::Duplicate { .. } => Exit::Integrity,
            Self::Value { .. } => Exit::Input,
            Self::Store(error) => error.exit(),
            Self::Query { .. } | Self::Plot { .. } => Exit::Bug,
        }
    }
}
