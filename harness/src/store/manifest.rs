//! What a stage was run with. A resume with anything else that could move a digit is refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

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

impl Manifest {
    /// Publishes the manifest of a new stage, or compares it with that of an earlier process.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] naming the field, [`StoreError::Write`], [`StoreError::Malformed`].
    pub fn establish(&self, path: &Path) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(self).map_err(StoreError::decode(path))?;
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
        let text = std::fs::read_to_string(path).map_err(StoreError::read(path))?;
        serde_json::from_str(&text).map_err(StoreError::decode(path))
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
}
