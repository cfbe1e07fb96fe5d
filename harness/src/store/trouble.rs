//! What can be wrong with an array that somebody brings: it is something else, or it is damaged.

use std::path::Path;

use super::StoreError;

/// Why a pickle is refused.
pub(super) const PICKLE: &str = "it is a pickle (of Python or PyTorch), which can run programs and is never opened: load it in Python and save its arrays with numpy.savez";

/// Why bytes could not be read as an array.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// They are whole, and not what is expected: what they are, what is expected, the remedy.
    Other(String),
    /// They are fewer or others than they say of themselves.
    Damaged(String),
    /// The system's own words.
    Io(std::io::Error),
}

impl Trouble {
    /// The error of a whole file.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Other(message) => StoreError::input(path, message),
            Self::Damaged(message) => StoreError::Broken { path: path.to_owned(), message },
            Self::Io(source) => StoreError::Read { path: path.to_owned(), source },
        }
    }

    /// The same, of the array `key` of an archive.
    pub(super) fn of(self, key: &str) -> Self {
        match self {
            Self::Other(message) => Self::Other(format!("{key}: {message}")),
            Self::Damaged(message) => Self::Damaged(format!("{key}: {message}")),
            Self::Io(source) => Self::Io(source),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            UnexpectedEof => Self::Damaged("it ends before its last element".to_owned()),
            // Of decoders and check sums.
            InvalidData | InvalidInput => Self::Damaged(error.to_string()),
            _ => Self::Io(error),
        }
    }
}
