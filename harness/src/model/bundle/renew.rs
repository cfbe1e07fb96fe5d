//! A description whose files were exported again, on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{fault, plain_file, sha256_file};
use super::open;
use crate::config::ModelYaml;
use crate::config::model_yaml::{FileYaml, MODEL_FILE};
use crate::model::ModelError;

/// A description with the hashes of its files as they are now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Renewal {
    /// `model.yaml`.
    pub path: PathBuf,
    /// Its new text: every other value, order and comment of the old one.
    #[serde(skip)]
    pub yaml: String,
    /// Files that have changed, with what they are now.
    pub renewed: BTreeMap<String, FileYaml>,
}

/// The description of `folder` with sha256 and bytes of its files as they are now, and all else as it was.
///
/// # Errors
/// [`ModelError::Bundle`] for a description or a file that cannot be read, and for one that is written so that two
/// numbers cannot be put in their places: then it says them.
pub fn renewed(folder: &Path) -> Result<Renewal, ModelError> {
    let model = open::describe(folder)?;
    let path = folder.join(MODEL_FILE);
    let text = fs::read_to_string(&path).map_err(|error| fault(&path, error.to_string()))?;
    let mut changed = BTreeMap::new();
    for (name, promised) in &model.files {
        let now = now(&plain_file(folder, name)?)?;
        if now != *promised {
            changed.insert(name.clone(), now);
        }
    }
    let expected = ModelYaml {
        files: model
            .files
            .iter()
            .map(|(name, old)| (name.clone(), changed.get(name).unwrap_or(old).clone()))
            .collect(),
        ..model.clone()
    };
    let new = replaced(&text, &model, &changed);
    let found = new.as_ref().and_then(|new| ModelYaml::of_text(&path, new).ok());
    match (new, found) {
        (Some(yaml), Some(found)) if found == expected => {
            Ok(Renewal { path, yaml, renewed: changed })
        }
        _ => Err(fault(&path, by_hand(&changed))),
    }
}

fn now(path: &Path) -> Result<FileYaml, ModelError> {
    let unreadable = |error: std::io::Error| fault(path, format!("cannot be read: {error}"));
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    Ok(FileYaml { sha256: sha256_file(path).map_err(unreadable)?, bytes })
}

/// The text with new hashes and sizes; `None` where an old one does not stand behind the name of its file.
fn replaced(text: &str, model: &ModelYaml, changed: &BTreeMap<String, FileYaml>) -> Option<String> {
    let mut text = text.to_owned();
    for (name, now) in changed {
        let old = model.files.get(name)?;
        let section = text.find("\nfiles:")?;
        let entry = section + entry(&text[section..], name)?;
        // Up to the hash and the size, whichever comes last: further on another file may have the same.
        let (sha256, bytes) = (old.sha256.as_str(), old.bytes.to_string());
        let value = value_of(&text[entry..], "bytes:", &bytes)?;
        text.replace_range(entry + value..entry + value + bytes.len(), &now.bytes.to_string());
        let hash = entry + value_of(&text[entry..], "sha256:", sha256)?;
        text.replace_range(hash..hash + sha256.len(), &now.sha256);
    }
    Some(text)
}

/// Where the key `name` begins, in quotes or without.
fn entry(text: &str, name: &str) -> Option<usize> {
    let is_key = |(at, _): &(usize, &str)| {
        let before = text[..*at].ends_with([' ', '"', '\'', '{', ',']);
        let behind = text[at + name.len()..].trim_start_matches(['"', '\'']);
        before && behind.starts_with(':')
    };
    text.match_indices(name).find(is_key).map(|(at, _)| at)
}

/// Where the first value behind `key` begins, which must be `value`.
fn value_of(text: &str, key: &str, value: &str) -> Option<usize> {
    let behind = text.find(key)? + key.len();
    let rest = text[behind..].trim_start_matches([' ', '\'', '"']);
    rest.starts_with(value).then(|| text.len() - rest.len())
}

fn by_hand(changed: &BTreeMap<String, FileYaml>) -> String {
    let line = |(name, now): (&String, &FileYaml)| {
        format!("files.{name}: sha256 {}, bytes {}", now.sha256, now.bytes)
    };
    let lines: Vec<String> = changed.iter().map(line).collect();
    format!("is written in a way that cannot be renewed by program: write {}", lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "# Ours.\nformat: 1\nname: tiny\ntask: {{kind: denoiser, image: [3, 4, 4], range: [-1, 1], classes: null}}\nprediction: epsilon\nschedule: {{kind: cosine, n_train_steps: 9}}   # CHECK\ngraphs:\n  denoiser: {{file: a.onnx, inputs: {{x: x, t: t, y: null}}, outputs: {{prediction: e}}}}\n  train: {{file: b.onnx}}\nfiles:{files}\nprovenance: {{n: 9}}\n"
        );
        for (name, bytes) in
            [("model.yaml", text.as_bytes()), ("a.onnx", b"new"), ("b.onnx", b"newer")]
        {
            crate::store::publish(&folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn hashes_and_sizes_are_renewed_and_all_else_is_kept() {
        let old = "0".repeat(64);
        let lines = format!(
            "\n  \"a.onnx\": {{sha256: {old}, bytes: 9}}\n  b.onnx:\n    bytes: 9   # nine\n    sha256: '{old}'"
        );
        let folder = folder(&lines);
        let text = fs::read_to_string(folder.path().join(MODEL_FILE)).unwrap();
        let got = renewed(folder.path()).unwrap();
        let hash = |name: &str| sha256_file(&folder.path().join(name)).unwrap();
        let new = format!(
            "\n  \"a.onnx\": {{sha256: {}, bytes: 3}}\n  b.onnx:\n    bytes: 5   # nine\n    sha256: '{}'",
            hash("a.onnx"),
            hash("b.onnx")
        );
        assert_eq!(got.yaml, text.replace(&lines, &new));
        assert_eq!(got.renewed.len(), 2);
        crate::store::publish(&got.path, got.yaml.as_bytes()).unwrap();
        let again = renewed(folder.path()).unwrap();
        assert_eq!((again.yaml, again.renewed.len()), (got.yaml, 0));
    }

    #[test]
    fn what_cannot_be_put_in_its_place_is_said() {
        let old = "0".repeat(64);
        let lines = format!("\n  b.onnx: &one {{sha256: '{old}', bytes: 9}}\n  a.onnx: *one");
        let folder = folder(&lines);
        let message = renewed(folder.path()).unwrap_err().to_string();
        let hash = sha256_file(&folder.path().join("a.onnx")).unwrap();
        assert!(
            message.contains(&format!("write files.a.onnx: sha256 {hash}, bytes 3")),
            "{message}"
        );
    }
}
