//! Exit codes: stable, documented, the same for every command.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for is done.
    Complete = 0,
    /// A bug of ours.
    Bug = 1,
    /// Wrong options or a wrong experiment file: correct the call.
    Usage = 2,
    /// An input does not fit (model, data, statistics, manifest): do not retry unchanged.
    Input = 3,
    /// Parts are missing: run the other shards, then ask again.
    Incomplete = 4,
    /// A file is damaged, or two runs of the same work disagree.
    Integrity = 5,
    /// A quality gate failed: values that are not finite, a metric outside its band, a page that its results do not say.
    Gate = 6,
    /// Disk, memory or a device ran out or is missing.
    Resources = 7,
    /// Stopped by a signal with nothing lost: run the same command again.
    Interrupted = 75,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows how the process should end.
pub trait Exits: std::error::Error {
    /// Exit code of this error.
    fn exit(&self) -> Exit;
}

impl Exits for crate::graph::GraphError {
    fn exit(&self) -> Exit {
        match self {
            Self::Decode { .. } => Exit::Integrity,
            Self::Runtime { .. } | Self::Write { .. } => Exit::Resources,
            Self::File { .. }
            | Self::ExternalData { .. }
            | Self::Unsupported { .. }
            | Self::Node { .. }
            | Self::Interface { .. }
            | Self::TooLarge { .. } => Exit::Input,
        }
    }
}
