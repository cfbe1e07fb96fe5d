//! Bounded reading of YAML files.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::ConfigError;
use super::locate::locate;
use super::role::Role;

/// Largest YAML file that is read: an experiment needs a few KiB, so more is a mistake or an attack.
pub const MAX_YAML_BYTES: u64 = 1 << 20;

/// Reads one YAML document of at most [`MAX_YAML_BYTES`].
///
/// Unknown keys, wrong types and unknown variants are refused with key path, line and the accepted
/// names, provided that `T` denies unknown fields.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::TooLarge`] or [`ConfigError::Syntax`].
pub fn read_yaml<T: DeserializeOwned>(path: &Path, role: Role) -> Result<T, ConfigError> {
    parse(path, &read_text(path, role)?)
}

/// Reads the text of a file of at most [`MAX_YAML_BYTES`].
pub(crate) fn read_text(path: &Path, role: Role) -> Result<String, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), role, source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut text = String::new();
    let bytes = file.take(MAX_YAML_BYTES + 1).read_to_string(&mut text).map_err(read)? as u64;
    if bytes > MAX_YAML_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes, cap: MAX_YAML_BYTES });
    }
    Ok(text)
}

/// Parses one YAML document; `path` only names it in errors.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    // Editors of some systems begin a file with a byte order mark, which is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_yaml::from_str(text).map_err(|error| {
        let message = described::<T>(text, &error.to_string());
        ConfigError::Syntax { path: path.to_owned(), message }
    })
}

/// Key path, what is wrong and, where it is known, the line; `said` are the parser's own words.
fn described<T: DeserializeOwned>(text: &str, said: &str) -> String {
    // Text that is no YAML has a line and no key.
    let Ok(document) = serde_yaml::from_str::<Value>(text) else { return said.to_owned() };
    let Err(Refused { place, message }) = refused::<T>(document) else { return said.to_owned() };
    if place.is_empty() {
        return message;
    }
    if said.starts_with(&format!("{place}: ")) {
        return said.to_owned();
    }
    let key = place.rsplit('.').next().and_then(|last| last.split('[').next()).unwrap_or(&place);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| has_key(line, key));
    match (lines.next(), lines.next()) {
        (Some((line, _)), None) => format!("{place}: {message} (line {line})"),
        _ => format!("{place}: {message}"),
    }
}

/// Why a document is not of a type.
#[derive(Debug)]
pub(super) struct Refused {
    /// Key path; empty for the document itself.
    place: String,
    message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, message } = self;
        if place.is_empty() { f.write_str(message) } else { write!(f, "{place}: {message}") }
    }
}

/// A document as a type, or what is wrong with it behind its key path.
///
/// The plain key `null` counts as that word, as it does where text is read without a document in between.
pub(super) fn refused<T: DeserializeOwned>(document: Value) -> Result<T, Refused> {
    let document = named(document);
    serde_yaml::from_value(document.clone()).map_err(|error: serde_yaml::Error| {
        let error = error.to_string();
        let place = locate::<T>(&document, &error);
        let missing = error.starts_with("missing field");
        let message = if missing { format!("{error}: write this key there") } else { error };
        Refused { place, message }
    })
}

/// The document with the word `null` for every key that is one.
fn named(document: Value) -> Value {
    match document {
        Value::Mapping(mapping) => {
            let word = |key: Value| if key.is_null() { Value::from("null") } else { key };
            let pairs = mapping.into_iter().map(|(key, value)| (word(key), named(value)));
            Value::Mapping(pairs.collect())
        }
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(named).collect()),
        other => other,
    }
}

/// Whether a line gives `key` a value.
fn has_key(line: &str, key: &str) -> bool {
    let mut places = line.match_indices(key).map(|(at, _)| at);
    !key.is_empty()
        && places.any(|at| {
            let before = line[..at].chars().next_back();
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            !before.is_some_and(word) && line[at + key.len()..].trim_start().starts_with(':')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Small {
        a: u32,
    }

    #[test]
    fn an_unknown_key_is_named_with_the_accepted_ones() {
        let error = parse::<Small>(Path::new("q.yaml"), "a: 1\nbeta: 2\n").unwrap_err().to_string();
        assert!(error.starts_with("q.yaml: "), "{error}");
        assert!(error.contains("beta") && error.contains("expected `a`"), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        crate::store::publish(file.path(), b"\xef\xbb\xbfa: 1\n").unwrap();
        read_yaml::<Small>(file.path(), Role::Experiment).unwrap();
        // Only at the start.
        let error = parse::<Small>(Path::new("q.yaml"), "a: 1\n\u{feff}b: 2\n").unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    }

    #[test]
    fn a_file_over_the_cap_is_refused_without_parsing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_YAML_BYTES + 10).unwrap();
        let error = read_yaml::<Small>(file.path(), Role::Experiment).unwrap_err();
        assert!(matches!(error, ConfigError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error =
            read_yaml::<Small>(Path::new("nowhere/q.yaml"), Role::Bundle).unwrap_err().to_string();
        assert!(
            error.contains("nowhere/q.yaml: cannot be read")
                && error.contains("model.yaml of a bundle"),
            "{error}"
        );
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut text = String::from("x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n");
        for level in 1..30 {
            let previous = level - 1;
            let items = vec![format!("*x{previous}"); 10].join(",");
            text.push_str(&format!("x{level}: &x{level} [{items}]\n"));
        }
        let error =
            parse::<std::collections::BTreeMap<String, serde_json::Value>>(Path::new("q"), &text);
        assert!(error.unwrap_err().to_string().contains("repetition limit"));
    }
}
