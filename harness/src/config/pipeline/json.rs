//! Bounded reading of the JSON files of a pipeline.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config::reader::read_text;
use crate::config::{ConfigError, Role};
use crate::fault::Fault;

/// Reads a JSON file of at most a mebibyte.
///
/// # Errors
/// [`ConfigError`] for a file that is missing, too large, or no JSON of this type.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    read_json_as(path, Role::Pipeline)
}

/// As [`read_json`], of something that is no part of a pipeline.
///
/// # Errors
/// As [`read_json`].
pub(super) fn read_json_as<T: DeserializeOwned>(path: &Path, role: Role) -> Result<T, ConfigError> {
    let text = read_text(path, role)?;
    let what = if role == Role::Clip { "CLIP" } else { "the pipeline" };
    let text = plain(text.strip_prefix('\u{feff}').unwrap_or(&text));
    serde_json::from_str(&text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: format!("{error}: export {what} again"),
    })
}

/// The text with Python's words for numbers that JSON does not have in quotes: `-Infinity` is one of a scheduler's defaults.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = word.filter(|_| !quoted) {
            out.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        (quoted, escaped) = match next {
            '"' if !escaped => (!quoted, false),
            '\\' => (quoted, !escaped),
            _ => (quoted, false),
        };
        out.push(next);
        rest = &rest[next.len_utf8()..];
    }
    out
}

/// Reads a JSON object.
///
/// # Errors
/// As [`read_json`].
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    read_json(path)
}

/// Refuses values of a file.
pub(super) fn refuse(path: &Path, faults: Vec<Fault>) -> Result<(), ConfigError> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Invalid { path: path.to_owned(), faults })
}
