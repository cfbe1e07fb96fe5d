//! Why a network could not be opened or run.

use std::path::Path;

use crate::exit::{Exit, Exits};
use crate::graph::GraphError;

/// Why a network could not be opened or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The bundle cannot serve a method, and this is why. Becomes the paper's dash in a table.
    #[error("{method} is not applicable to {model}: {reason}")]
    NotApplicable {
        /// The method that was asked for.
        method: &'static str,
        /// The bundle.
        model: String,
        /// Why not.
        reason: String,
    },
    /// The caller's array has the wrong shape.
    #[error("{model}: input {input} has shape {got:?}, expected {expected:?}")]
    Shape {
        /// The bundle.
        model: String,
        /// Name of the input.
        input: &'static str,
        /// Shape that came.
        got: Vec<usize>,
        /// Shape that was expected.
        expected: Vec<usize>,
    },
    /// The network answered with NaN or infinity.
    #[error(
        "{model}: {n} of {total} outputs are not finite{} (batch rows {rows:?}): the model or its input is broken, no metric is computed from it", t.map_or(String::new(), |t| format!(" at t={t}"))
    )]
    NotFinite {
        /// The bundle.
        model: String,
        /// Number of values that are not finite.
        n: usize,
        /// Number of values.
        total: usize,
        /// Time of the call in the schedule's unit; `None` for networks that know none.
        t: Option<f64>,
        /// Rows of the batch that hold such values.
        rows: Vec<usize>,
    },
    /// A bundle is broken: missing file, wrong hash, wrong field. The text says what to do.
    #[error("{path}: {message}")]
    Bundle {
        /// File or folder.
        path: String,
        /// What is wrong, what was expected, the remedy.
        message: String,
    },
    /// A graph is damaged or cut off. The text says what to do.
    #[error("{path}: {message}")]
    Damaged {
        /// The file.
        path: String,
        /// What its reader met, and the remedy.
        message: String,
    },
    /// An artefact does not have the bytes that its manifest promises.
    #[error(
        "{path}: sha256 is {got}, {expected} was promised: the file is damaged or was replaced; {remedy}"
    )]
    Integrity {
        /// The file.
        path: String,
        /// Hash found.
        got: String,
        /// Hash promised.
        expected: String,
        /// What to do.
        remedy: String,
    },
    /// The machine or the device has too little memory for this many rows at once.
    #[error(
        "{context}: memory has run out: {message}; run the same command again with a smaller --batch, or fewer --networks"
    )]
    OutOfMemory {
        /// What was being done.
        context: String,
        /// The runtime's own words.
        message: String,
    },
    /// A stop was asked for, between two steps.
    #[error(
        "stopped by a signal between two steps; nothing finished is lost: run the same command again"
    )]
    Stopped,
    /// The runtime library, a device or a session failed.
    #[error("{context}: {message}")]
    Runtime {
        /// What was being done.
        context: String,
        /// The runtime's own words, and the remedy where one is known.
        message: String,
    },
}

impl ModelError {
    /// Why the graph at `path` cannot be used: its reader's words, with the path once.
    pub(crate) fn of_graph(path: &Path, error: &GraphError) -> Self {
        let (text, path) = (error.to_string(), path.display().to_string());
        let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(&text).to_owned();
        match error {
            GraphError::Decode { .. } => Self::Damaged { path, message },
            GraphError::Write { .. } => Self::Runtime { context: path, message },
            _ => Self::Bundle { path, message },
        }
    }
}

impl Exits for ModelError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotApplicable { .. } | Self::Shape { .. } | Self::Bundle { .. } => Exit::Input,
            Self::NotFinite { .. } => Exit::Gate,
            Self::Damaged { .. } | Self::Integrity { .. } => Exit::Integrity,
            Self::OutOfMemory { .. } | Self::Runtime { .. } => Exit::Resources,
            Self::Stopped => Exit::Interrupted,
        }
    }
}
