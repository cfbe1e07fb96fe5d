//! Why an asset is not there.

use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::exit::{Exit, Exits};
use crate::store::StoreError;
use crate::store::checked::CheckedError;

/// Why an asset is not there. Nothing is left half-made, whichever it is.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The list of pins cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The list of pins says something that cannot be.
    #[error("{}: {message}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// A name that is not in the list.
    #[error("there is no asset {name:?}: name one of {known}")]
    NoAsset {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No package is pinned for this machine.
    #[error(
        "{name} has no pinned build for {platform}: set ORT_DYLIB_PATH to a library of your own"
    )]
    NoBuild {
        /// Name of the asset.
        name: String,
        /// This machine.
        platform: String,
    },
    /// This program knows no way to make the network.
    #[error("{name}: this program cannot build this network: put its file at {} (a checkout: `scripts/setup.sh --only {name}`)", path.display())]
    Unknown {
        /// Name of the network.
        name: String,
        /// Where its file is expected.
        path: PathBuf,
    },
    /// No source could be reached.
    #[error("{name} could not be fetched: {failures}: {remedy}")]
    Fetch {
        /// Name of the asset.
        name: String,
        /// Every source with the last words of its client.
        failures: String,
        /// What to do.
        remedy: String,
    },
    /// Other bytes than those that are pinned.
    #[error("{path}: sha256 is {got}, {expected} is pinned: {remedy}")]
    Integrity {
        /// The file.
        path: String,
        /// What it has.
        got: String,
        /// What is pinned.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An archive that is damaged or holds something else.
    #[error("{path}: {message}: use the pinned file of assets.yaml")]
    Archive {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A program that opens an archive.
    #[error("{program}: {reason}: {remedy}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What happened.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The disk.
    #[error("{}: {source}: free some space, or point DUBENCH_CACHE at a folder that you may write to", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The lock.
    #[error(transparent)]
    Lock(#[from] StoreError),
    /// A signal.
    #[error("interrupted while {0} was fetched: run the same command again to go on")]
    Stopped(String),
}

impl AssetError {
    pub(super) fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Disk { path: path.to_owned(), source }
    }

    pub(super) fn archive(path: &Path, message: impl Into<String>) -> Self {
        Self::Archive { path: path.display().to_string(), message: message.into() }
    }

    /// Why `target` was not published.
    pub(super) fn checked(
        error: CheckedError,
        (target, expected): (&Path, &str),
        remedy: &'static str,
    ) -> Self {
        match error {
            CheckedError::Read(error) => Self::archive(target, format!("is damaged ({error})")),
            CheckedError::Write(source) => Self::Disk { path: target.to_owned(), source },
            CheckedError::Other(got) => Self::Integrity {
                path: target.display().to_string(),
                got,
                expected: expected.to_owned(),
                remedy,
            },
        }
    }
}

impl Exits for AssetError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Lock(error) => error.exit(),
            Self::NoAsset { .. } | Self::NoBuild { .. } => Exit::Usage,
            Self::Unknown { .. } | Self::List { .. } => Exit::Input,
            Self::Fetch { .. } | Self::Disk { .. } | Self::Program { .. } => Exit::Resources,
            Self::Integrity { .. } | Self::Archive { .. } => Exit::Integrity,
            Self::Stopped(_) => Exit::Interrupted,
        }
    }
}
