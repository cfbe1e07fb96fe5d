//! What can be wrong with an experiment file.

use std::path::{Path, PathBuf};

use super::role::Role;
use crate::exit::{Exit, Exits};
use crate::fault::Fault;

/// Why an experiment file cannot be used. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; {}", path.display(), role.remedy())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it is to its reader.
        role: Role,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is larger than any of these needs to be.
    #[error("{}: {bytes} bytes, at most {cap} are read: is this the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, or the size at which reading stopped.
        bytes: u64,
        /// The cap.
        cap: u64,
    },
    /// YAML syntax, an unknown key, a wrong type or an unknown variant.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Key path, line, what was found, what is accepted.
        message: String,
    },
    /// Values that are out of range or do not fit together.
    #[error("{}: {}", path.display(), list(faults))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All faults, in the order of the file's keys.
        faults: Vec<Fault>,
    },
    /// A description that came with an input, as the model.yaml of a bundle, is at fault.
    #[error(transparent)]
    OfInput(Box<Self>),
}

impl ConfigError {
    /// An error of a description that came with an input. That there is none is an error of whoever named it.
    pub(super) fn of_input(self) -> Self {
        match self {
            absent @ Self::Read { .. } => absent,
            fault => Self::OfInput(Box::new(fault)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Syntax { path, .. }
            | Self::Invalid { path, .. } => path,
            Self::OfInput(fault) => fault.path(),
        }
    }
}

impl Exits for ConfigError {
    fn exit(&self) -> Exit {
        match self {
            Self::OfInput(_) => Exit::Input,
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::Invalid { .. } => Exit::Usage,
        }
    }
}

fn list(faults: &[Fault]) -> String {
    match faults {
        [one] => one.to_string(),
        many => {
            let lines: Vec<String> = many.iter().map(|fault| format!("  {fault}")).collect();
            format!("{} faults\n{}", many.len(), lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_stands_on_one_line_and_many_on_their_own() {
        let path = PathBuf::from("q.yaml");
        let one = ConfigError::Invalid { path: path.clone(), faults: vec![Fault::new("a", "b")] };
        assert_eq!(one.to_string(), "q.yaml: a: b");
        let faults = vec![Fault::new("a", "b"), Fault::new("c", "d")];
        let two = ConfigError::Invalid { path, faults };
        assert_eq!(two.to_string(), "q.yaml: 2 faults\n  a: b\n  c: d");
        assert_eq!(two.exit(), Exit::Usage);
    }
}
