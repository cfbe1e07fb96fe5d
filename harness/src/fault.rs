//! One fault of an experiment file.

use std::fmt;

/// One fault of an experiment file: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Key path: `estimators[1].window`.
    pub key: String,
    /// What was found, what is accepted, the remedy.
    pub message: String,
}

impl Fault {
    /// A fault at `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    /// The same below `parent`.
    #[must_use]
    pub fn below(self, parent: &str) -> Self {
        let key =
            if self.key.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.key) };
        Self { key, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}
