//! Canonical JSON, and the hash of it that names plans and stages.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// JSON with sorted keys, no spaces, and shortest round-trip numbers: equal values, equal bytes.
///
/// # Examples
/// ```
/// use dubench::canonical::canonical_json;
/// let value = serde_json::json!({"b": [1, 2.5], "a": {"d": null, "c": "x"}});
/// assert_eq!(canonical_json(&value), r#"{"a":{"c":"x","d":null},"b":[1,2.5]}"#);
/// ```
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// The canonical JSON of a value. Names of fields are part of it, the text of `Debug` is not.
///
/// # Panics
/// Never for the plain structs of this crate: their keys are strings.
pub fn canonical_of<T: Serialize>(value: &T) -> String {
    // A map with keys that are not strings is the only thing that JSON cannot hold; naming it by
    // its error keeps this total.
    let value =
        serde_json::to_value(value).unwrap_or_else(|error| Value::String(error.to_string()));
    canonical_json(&value)
}

/// SHA-256 of the canonical JSON of a value, in hexadecimal.
pub fn fingerprint<T: Serialize>(value: &T) -> String {
    sha256_hex(canonical_of(value).as_bytes())
}

/// SHA-256 in hexadecimal.
///
/// # Examples
/// ```
/// // FIPS 180-4, the message "abc".
/// let hash = dubench::canonical::sha256_hex(b"abc");
/// assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// ```
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        out
    })
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            // Why sort? A dependency may switch serde_json to insertion order for the whole build.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_of_the_source_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"x":1,"y":{"p":2,"q":3}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"y":{"q":3,"p":2},"x":1}"#).unwrap();
        assert_eq!(fingerprint(&a), fingerprint(&b));
        let c: Value = serde_json::from_str(r#"{"y":{"q":3,"p":2},"x":1.0}"#).unwrap();
        assert_ne!(fingerprint(&a), fingerprint(&c));
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(canonical_json(&Value::String("a\"\n".into())), r#""a\"\n""#);
    }
}
