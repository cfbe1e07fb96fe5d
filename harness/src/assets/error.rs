//! Why an asset is not there.

use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::exit::{Exit, Exits};

/// Why an asset is not there.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The description, or the list of pins, is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// This program knows no way to make the network.
    #[error("{name}: this program cannot build this network: put its file at {} (a checkout: `scripts/setup.sh --only {name}`)", path.display())]
    Unknown {
        /// Name of the network.
        name: String,
        /// Where its file is expected.
        path: PathBuf,
    },
    /// The package could not be fetched.
    #[error("{package} could not be fetched by `{client}`: {reason}: {remedy}")]
    Fetch {
        /// Name and version.
        package: String,
        /// The command that was run.
        client: String,
        /// Its last words.
        reason: String,
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
    /// A file that is no whole archive of tensors.
    #[error("{path}: {message}: use the pinned file of assets.yaml")]
    Archive {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The disk.
    #[error("{}: {source}: free some space, or point DUBENCH_CACHE at a folder that you may write to", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl AssetError {
    pub(super) fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Disk { path: path.to_owned(), source }
    }

    pub(super) fn archive(path: &Path, message: impl Into<String>) -> Self {
        Self::Archive { path: path.display().to_string(), message: message.into() }
    }
}

impl Exits for AssetError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Unknown { .. } => Exit::Input,
            Self::Fetch { .. } | Self::Disk { .. } => Exit::Resources,
            Self::Integrity { .. } | Self::Archive { .. } => Exit::Integrity,
        }
    }
}
