//! What can go wrong with files.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Exits};

/// Why a file cannot be used or written. Every variant names it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// It cannot be written. Nothing of it was published.
    #[error("{}: cannot be written: {source}; nothing was published, what was finished before is kept: free space or fix the permissions, then run the same command again", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Its bytes are not those whose hash stands beside it.
    #[error("{}: sha256 is {got}, {expected} was recorded when it was written: the file is damaged; move it and {} aside, then run the same command again", path.display(), sidecar.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The file that holds its hash.
        sidecar: PathBuf,
        /// Hash found.
        got: String,
        /// Hash recorded.
        expected: String,
    },
    /// There is no hash beside it, so that nobody can say whether it is what was written.
    #[error("{}: there is no {} beside it: its writer was stopped before it could vouch for it, or it was copied without; run `dubench run` again, or copy both", path.display(), sidecar.display())]
    Unsealed {
        /// The file.
        path: PathBuf,
        /// The file that should hold its hash.
        sidecar: PathBuf,
    },
    /// Its content is not what its name promises.
    #[error("{}: {message}: the file is damaged or not ours; move it aside and run the same command again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// It was written in another version of our formats.
    #[error("{}: written in version {got} of our formats, this program reads version {expected}: make it again with this program, by `dubench run` on its experiment, or read it with the one that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        got: u64,
        /// Version that is read.
        expected: u64,
    },
    /// What somebody brought is whole, and not what is expected.
    #[error("{}: {message}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What it is, what is expected, the remedy.
        message: String,
    },
    /// What somebody brought is damaged.
    #[error("{}: {message}: the file is damaged or was cut short: copy or write it again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// It belongs to other work than the plan's.
    #[error("{}: {field} is {got}, expected {expected}: the file belongs to another plan; use another work folder, or move the file aside", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: String,
        /// Its value in the file.
        got: String,
        /// Its value in the plan.
        expected: String,
    },
    /// Two computations of the same part disagree.
    #[error("{}: content digest {theirs} was published, this run computed {ours}: the same plan gave two answers, so one of the two machines, libraries or devices does not compute alike; run `dubench verify` on both", path.display())]
    Disagreement {
        /// The file.
        path: PathBuf,
        /// Digest of what this process computed.
        ours: String,
        /// Digest of what was there.
        theirs: String,
    },
    /// Another process works on the same blocks.
    #[error("{}: {holder} works on these blocks already: wait for it, or share the work by --shard INDEX/COUNT", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as known.
        holder: String,
    },
}

impl StoreError {
    /// For `map_err` after reading `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// For `map_err` after writing `path`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// A file whose content is not what its name promises.
    pub(crate) fn malformed(path: &Path, message: impl ToString) -> Self {
        Self::Malformed { path: path.to_owned(), message: message.to_string() }
    }

    /// A whole file that is not what is expected: what it is, what is expected, the remedy.
    pub(crate) fn input(path: &Path, message: impl ToString) -> Self {
        Self::Input { path: path.to_owned(), message: message.to_string() }
    }

    /// For `map_err` after decoding `path`.
    pub(crate) fn decode<E: std::error::Error>(path: &Path) -> impl Fn(E) -> Self {
        move |error| Self::malformed(path, error)
    }
}

impl Exits for StoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. }
            | Self::Mismatch { .. }
            | Self::Version { .. }
            | Self::Input { .. } => Exit::Input,
            Self::Write { .. } | Self::Busy { .. } => Exit::Resources,
            Self::Damaged { .. }
            | Self::Broken { .. }
            | Self::Unsealed { .. }
            | Self::Malformed { .. }
            | Self::Disagreement { .. } => Exit::Integrity,
        }
    }
}
