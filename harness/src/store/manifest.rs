//! What a stage was run with. A resume with anything else that could move a digit is refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::digest::ContentHasher;
use super::{Publication, StoreError, publish_new};

/// Inputs of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Values that can move a digit: stage id, runtime version, device, optimisation level.
    pub fixed: BTreeMap<String, String>,
    /// Values that cannot, as the first process had them: threads, batch size, program version.
    pub noted: BTreeMap<String, String>,
    /// Methods that the model cannot serve, with the reason.
    pub not_applicable: BTreeMap<String, String>,
}

/// A manifest in its file, with the digest of what it says.
///
/// # Why not a sidecar?
/// A manifest is published once and never replaced, and its reasons stand in tables. Between file and sidecar a
/// process can be stopped, and nobody could tell then whether the file is what was written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    fixed: BTreeMap<String, String>,
    noted: BTreeMap<String, String>,
    not_applicable: BTreeMap<String, String>,
    content_sha256: String,
}

impl Manifest {
    /// Digest of everything that it says.
    fn digest(&self) -> String {
        let mut hasher = ContentHasher::default();
        let parts =
            [("fixed", &self.fixed), ("noted", &self.noted), ("absent", &self.not_applicable)];
        for (part, entries) in parts {
            hasher.piece("part", part.as_bytes());
            for (key, value) in entries {
                hasher.piece(key, value.as_bytes());
            }
        }
        hasher.finish()
    }

    /// Publishes the manifest of a new stage, or compares it with that of an earlier process.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] naming the field, [`StoreError::Write`], [`StoreError::Malformed`].
    pub fn establish(&self, path: &Path) -> Result<(), StoreError> {
        let Self { fixed, noted, not_applicable } = self.clone();
        let stored = Stored { fixed, noted, not_applicable, content_sha256: self.digest() };
        let mut text = serde_json::to_string_pretty(&stored).map_err(StoreError::decode(path))?;
        text.push('\n');
        match publish_new(path, text.as_bytes()).map_err(StoreError::write(path))? {
            Publication::New => Ok(()),
            Publication::AlreadyThere => Self::read(path)?.agree(path, self),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let text = std::fs::read(path).map_err(StoreError::read(path))?;
        let stored: Stored = serde_json::from_slice(&text).map_err(StoreError::decode(path))?;
        let Stored { fixed, noted, not_applicable, content_sha256: expected } = stored;
        let manifest = Self { fixed, noted, not_applicable };
        let got = manifest.digest();
        if got == expected {
            return Ok(manifest);
        }
        let message = format!("the digest of its content is {got}, it says {expected}");
        Err(StoreError::malformed(path, message))
    }

    fn agree(&self, path: &Path, now: &Self) -> Result<(), StoreError> {
        let differs = |field: &str, got: Option<&String>, expected: Option<&String>| {
            let show = |value: Option<&String>| value.map_or("absent".to_owned(), Clone::clone);
            Err(StoreError::Mismatch {
                path: path.to_owned(),
                field: field.to_owned(),
                got: show(got),
                expected: show(expected),
            })
        };
        for (stored, current) in
            [(&self.fixed, &now.fixed), (&self.not_applicable, &now.not_applicable)]
        {
            for key in stored.keys().chain(current.keys()) {
                if stored.get(key) != current.get(key) {
                    return differs(key, stored.get(key), current.get(key));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    fn example() -> Manifest {
        let map = |entries: &[(&str, &str)]| {
            entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        Manifest {
            fixed: map(&[("runtime", "onnxruntime 1.27.0"), ("device", "cpu")]),
            noted: map(&[("threads", "2")]),
            not_applicable: map(&[("mc_dropout", "no dropout")]),
        }
    }

    #[test]
    fn every_fixed_field_is_compared_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        example().establish(&path).unwrap();
        example().establish(&path).unwrap();
        for key in ["runtime", "device"] {
            let mut other = example();
            other.fixed.insert(key.into(), "else".into());
            let error = other.establish(&path).unwrap_err();
            assert_eq!(error.exit(), Exit::Input);
            assert!(error.to_string().contains(&format!("{key} is")), "{error}");
        }
        let mut other = example();
        other.not_applicable.clear();
        assert!(other.establish(&path).unwrap_err().to_string().contains("mc_dropout"));
        let mut other = example();
        other.noted.insert("threads".into(), "7".into());
        other.establish(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), example());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        example().establish(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            super::super::publish(&path, &flipped).unwrap();
            let error = Manifest::read(&path).unwrap_err();
            assert_eq!(error.exit(), Exit::Integrity, "byte {at}: {error}");
        }
    }
}
