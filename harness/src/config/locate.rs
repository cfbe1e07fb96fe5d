//! Where in a document a value is that a type refuses.
//!
//! # Why not from the error itself?
//! Sections that are told apart by `kind` are read into memory before their kind is known, and what is wrong inside one
//! is then reported without its path. So the document is asked again: a key is the place when a document that holds
//! nothing but this key, and then one that nobody knows, fails in the same words.

use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

/// A key that no type of ours has.
const PROBE: &str = "\u{1}";

/// Key path of the innermost value for which `T` gives the error `message`; empty for the document itself.
///
/// It relies on types that refuse unknown keys and read their keys in order.
pub(super) fn locate<T: DeserializeOwned>(document: &Value, message: &str) -> String {
    let mut path: Vec<Step> = Vec::new();
    while let Some(step) = deeper::<T>(document, &path, message) {
        path.push(step);
        // Where any value fails in the same words, the key itself is what is wrong.
        if fails::<T>(with(document, &path, Value::Null), message) {
            break;
        }
    }
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(&key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Whether a document is refused in these words.
fn fails<T: DeserializeOwned>(document: Value, message: &str) -> bool {
    serde_yaml::from_value::<T>(document).is_err_and(|error| error.to_string() == message)
}

/// The child of the value at `path` in which the error is.
fn deeper<T: DeserializeOwned>(document: &Value, path: &[Step], message: &str) -> Option<Step> {
    let fails = |changed: Value| fails::<T>(with(document, path, changed), message);
    match at(document, path)? {
        Value::Mapping(mapping) => mapping.iter().find_map(|(key, value)| {
            let name = key.as_str()?;
            let mut alone = Mapping::new();
            // Without its kind a section is refused for that.
            if let Some(kind) = mapping.get("kind") {
                alone.insert("kind".into(), kind.clone());
            }
            alone.insert(key.clone(), value.clone());
            alone.insert(PROBE.into(), Value::Null);
            fails(Value::Mapping(alone)).then(|| Step::Key(name.to_owned()))
        }),
        Value::Sequence(items) => items.iter().enumerate().find_map(|(index, item)| {
            let alone = vec![item.clone(), Value::String(PROBE.to_owned())];
            fails(Value::Sequence(alone)).then_some(Step::Index(index))
        }),
        _ => None,
    }
}

fn at<'a>(document: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get(key.as_str()),
        Step::Index(index) => value.get(index),
    })
}

/// The document with another value at `path`.
fn with(document: &Value, path: &[Step], changed: Value) -> Value {
    let Some((first, rest)) = path.split_first() else { return changed };
    let mut document = document.clone();
    let place = match first {
        Step::Key(key) => document.get_mut(key.as_str()),
        Step::Index(index) => document.get_mut(index),
    };
    if let Some(place) = place {
        *place = with(place, rest, changed);
    }
    document
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Outer {
        first: Kind,
        list: Vec<Kind>,
        #[serde(default)]
        last: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    #[expect(dead_code, reason = "only errors are looked at")]
    enum Kind {
        One(Inner),
        Two(Other),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Inner {
        shape: [u8; 3],
        inner: Option<Box<Kind>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Other {
        name: String,
    }

    const GOOD: &str = "{first: {kind: one, shape: [1, 2, 3], inner: {kind: two, name: a}}, list: [{kind: two, name: b}, {kind: one, shape: [4, 5, 6]}], last: {shape: [7, 8, 9]}}";

    #[test]
    fn a_fault_behind_any_number_of_kinds_has_its_path() {
        serde_yaml::from_str::<Outer>(GOOD).unwrap();
        for (from, to, path) in [
            ("[1, 2, 3]", "[1, 2]", "first.shape"),
            ("[1, 2, 3]", "[1, 2, 300]", "first.shape[2]"),
            ("[4, 5, 6]", "[4, 5]", "list[1].shape"),
            ("[7, 8, 9]", "[7]", "last.shape"),
            (", name: a", "", "first.inner"),
            (", name: b", "", "list[0]"),
            ("kind: two, name: b", "kind: three, name: b", "list[0].kind"),
            ("name: b", "naem: b", "list[0].naem"),
            ("list:", "lists:", "lists"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let document: Value = serde_yaml::from_str(&text).unwrap();
            let error = serde_yaml::from_value::<Outer>(document.clone()).unwrap_err();
            assert_eq!(locate::<Outer>(&document, &error.to_string()), path, "{error}");
        }
        let document: Value = serde_yaml::from_str("{list: []}").unwrap();
        assert_eq!(locate::<Outer>(&document, "missing field `first`"), "");
    }
}
