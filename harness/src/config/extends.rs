//! `extends: FILE`: an experiment that says only what differs from another file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::ConfigError;
use super::base_paths::{Place, rebase};
use super::reader;
use super::role::Role;
use crate::installed;

/// The key.
const EXTENDS: &str = "extends";
/// Files that may follow each other: more is a circle.
const MAX_FILES: usize = 8;

/// Reads the text of a YAML file, which may say `extends: FILE`.
///
/// `FILE` lies relative to the file that names it; what does not is looked for among the installed experiments, by file
/// or by name. Its values stand where the extending file has none of its own: mappings are put together key by key,
/// anything else is replaced as a whole, and so is a mapping of another `kind`; `KEY: null` takes a key away.
///
/// Relative paths start at the folder of the experiment that says them. A file without a `name` is no experiment: it is
/// a part of the one that names it, and its paths start there.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::TooLarge`], [`ConfigError::Syntax`], each with the file that is wrong.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let data = installed::data().map(|data| data.join("experiments"));
    parse_beside(path, text, data.as_deref())
}

/// As [`parse`], with the folder of the installed experiments.
fn parse_beside<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    installed: Option<&Path>,
) -> Result<T, ConfigError> {
    let Some(own) = mapping_that_extends(path, text)? else { return reader::parse(path, text) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = vec![path.to_owned()];
    // Relative to the folder of the first file.
    let mut place = Place { file: file_name(path), start: PathBuf::new() };
    let mut values = own;
    while let Some(base) = values.remove(EXTENDS) {
        let name = named(&folder.join(&place.file), &base)?;
        if files.len() == MAX_FILES {
            let message = format!("more than {MAX_FILES} files extend each other: is it a circle?");
            return Err(ConfigError::Syntax { path: path.to_owned(), message });
        }
        let found = place.find(folder, name, installed);
        let next = folder.join(&found.file);
        let mut below: Mapping = reader::parse(&next, &reader::read_text(&next, Role::Base)?)?;
        place = if below.contains_key("name") { found.own() } else { found };
        rebase(&mut below, &place.start);
        let nulls = if below.contains_key(EXTENDS) { Nulls::Stay } else { Nulls::TakeAway };
        merge(&mut below, values, nulls);
        values = below;
        files.push(next);
    }
    reader::refused(Value::Mapping(values)).map_err(|error| {
        let names: Vec<String> = files[1..].iter().map(|file| file.display().to_string()).collect();
        let message = format!("{error} (with what it takes from {})", names.join(" and "));
        ConfigError::Syntax { path: path.to_owned(), message }
    })
}

fn file_name(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

/// The keys of a document that has the key; `None` for every other one, whose errors keep their lines.
fn mapping_that_extends(path: &Path, text: &str) -> Result<Option<Mapping>, ConfigError> {
    match reader::parse::<Mapping>(path, text) {
        Ok(values) => Ok(values.contains_key(EXTENDS).then_some(values)),
        // Read as what it is to be, the file would be blamed for this key, the one that is right.
        Err(error) if text.lines().any(|line| line.starts_with("extends:")) => Err(error),
        Err(_) => Ok(None),
    }
}

fn named<'a>(from: &Path, value: &'a Value) -> Result<&'a str, ConfigError> {
    value.as_str().ok_or_else(|| ConfigError::Syntax {
        path: from.to_owned(),
        message: "extends: expected the path of one file, relative to this one, or the name of an installed experiment".to_owned(),
    })
}

/// What `KEY: null` does to the mapping below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    /// It takes the key away: nothing lies deeper.
    TakeAway,
    /// It stays, so that it takes the key away from what lies deeper.
    Stay,
}

/// Puts `over` on top of `below`.
fn merge(below: &mut Mapping, over: Mapping, nulls: Nulls) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (_, Value::Null) if nulls == Nulls::TakeAway => {
                below.remove(&key);
            }
            (Some(Value::Mapping(old)), Value::Mapping(new)) if same_kind(old, &new) => {
                merge(old, new, nulls);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Whether the second mapping speaks of the thing that the first one describes.
fn same_kind(old: &Mapping, new: &Mapping) -> bool {
    new.get("kind").is_none_or(|kind| old.get("kind") == Some(kind))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::NAMED_IMAGES;

    type Any = BTreeMap<String, serde_json::Value>;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            crate::store::publish(&folder.path().join(name), text.as_bytes()).unwrap();
        }
        folder
    }

    fn read(folder: &tempfile::TempDir, text: &str) -> Result<Any, ConfigError> {
        parse(&folder.path().join("top.yaml"), text)
    }

    /// The key that is right is not blamed for another one that is wrong.
    #[test]
    fn a_fault_of_syntax_is_told_as_it_is() {
        let folder = folder(&[("base.yaml", "a: 1\n")]);
        for (text, word) in [
            ("extends: base.yaml\nseed: 1\nseed: 2\n", "seed"),
            ("extends: base.yaml\nb:\n\t- 1\n", "line 3"),
            ("a: 1\n---\nextends: base.yaml\n", "document"),
        ] {
            let message = read(&folder, text).unwrap_err().to_string();
            assert!(message.contains(word) && !message.contains("unknown field"), "{message}");
        }
    }

    #[test]
    fn a_null_takes_a_key_away_however_deep_it_lies() {
        let middle = "extends: base.yaml\nb: null\nmap: {y: null}\n";
        let base = "a: 1\nb: 2\nmap: {x: 1, y: 2, z: 3}\n";
        let folder = folder(&[("base.yaml", base), ("middle.yaml", middle)]);
        let got = read(&folder, "extends: middle.yaml\nc: 3\na: null\nmap: {z: null}\n").unwrap();
        let expected = serde_json::json!({"c": 3, "map": {"x": 1}});
        assert_eq!(serde_json::to_value(got).unwrap(), expected);
    }

    #[test]
    fn own_values_stand_over_those_of_the_base() {
        let base = "a: 1\nlist: [1, 2]\nmap: {x: 1, y: {z: 2, w: 3}}\nsampler: {kind: ddim, eta: 0.5}\ngone: 1\n";
        let folder = folder(&[("base.yaml", base)]);
        let top = "extends: base.yaml\nlist: [3]\nmap: {y: {z: 5}}\nsampler: {kind: other, n: 2}\ngone: null\n";
        let expected =
            "{a: 1, list: [3], map: {x: 1, y: {z: 5, w: 3}}, sampler: {kind: other, n: 2}}";
        assert_eq!(read(&folder, top).unwrap(), serde_yaml::from_str::<Any>(expected).unwrap());
        let same = read(&folder, "extends: base.yaml\nsampler: {eta: 0.0}\n").unwrap();
        assert_eq!(same["sampler"], serde_json::json!({"kind": "ddim", "eta": 0.0}));
    }

    #[test]
    fn a_chain_is_followed_and_a_circle_is_refused() {
        let files = [("a.yaml", "extends: b.yaml\nx: 1\n"), ("b.yaml", "x: 2\ny: 3\n")];
        let chain = folder(&files);
        let values = read(&chain, "extends: a.yaml\n").unwrap();
        assert_eq!((&values["x"], &values["y"]), (&1.into(), &3.into()));
        let circle = folder(&[("a.yaml", "extends: a.yaml\n")]);
        let error = read(&circle, "extends: a.yaml\n").unwrap_err().to_string();
        assert!(error.contains("top.yaml: more than 8 files extend each other"), "{error}");
    }

    /// Three files of an own folder, one of another, and what is installed: each path is found from its own file.
    #[test]
    fn paths_start_at_the_experiment_that_says_them() {
        let data = folder(&[
            ("shipped.yaml", "extends: part.yaml\nname: shipped\npublished: {file: p}\n"),
            ("part.yaml", "model: {path: m}\nreference: {path: r, images: cifar10-train}\n"),
        ]);
        let own = folder(&[("part.yaml", "features: {path: f}\n")]);
        let read = |text: &str| {
            parse_beside::<Any>(&own.path().join("top.yaml"), text, Some(data.path())).unwrap()
        };
        let at = |name: &str| data.path().join(name).display().to_string();
        for name in ["shipped.yaml", "shipped", &at("shipped.yaml")] {
            let got = read(&format!(
                "extends: {name}\nname: mine\nmodel: {{kind: bundle, path: here}}\n"
            ));
            assert_eq!(got["model"], serde_json::json!({"kind": "bundle", "path": "here"}));
            let expected = serde_json::json!({"path": at("r"), "images": "cifar10-train"});
            assert_eq!(got["reference"], expected);
            assert_eq!(got["published"]["file"], at("p").as_str());
        }
        assert_eq!(read("extends: part.yaml\n")["features"]["path"], "f", "beside it goes first");
        assert_eq!(read("extends: part\n")["features"]["path"], "f");
        std::fs::create_dir(own.path().join("below")).unwrap();
        let experiment = "extends: ../part.yaml\nname: x\nmodel: {path: m}\n";
        crate::store::publish(&own.path().join("below/x.yaml"), experiment.as_bytes()).unwrap();
        let got = read("extends: below/x.yaml\n");
        assert_eq!(got["model"]["path"], "below/m");
        assert_eq!(got["features"]["path"], "below/f", "a part belongs to the experiment");
    }

    /// Every path of every shipped experiment, so that a new key cannot be forgotten.
    #[test]
    fn no_path_of_a_shipped_experiment_stays_relative() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
        let shipped = shipped.canonicalize().unwrap();
        let own = folder(&[]);
        let mut n = 0;
        for entry in std::fs::read_dir(&shipped).unwrap() {
            let file = entry.unwrap().path();
            let is_yaml = file.extension().is_some_and(|end| end == "yaml");
            if !is_yaml || file.ends_with("assets.yaml") {
                continue;
            }
            let text = format!("extends: {}\n", file.file_name().unwrap().to_str().unwrap());
            let top = own.path().join("top.yaml");
            let got: Any = parse_beside(&top, &text, Some(&shipped)).unwrap();
            n += 1;
            absolute(&serde_json::to_value(got).unwrap(), &file);
        }
        assert!(n > 30, "{n}");
    }

    fn absolute(value: &serde_json::Value, file: &Path) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let is_path = ["path", "file", "prompt_file", "images"].contains(&key.as_str());
            // `images` of an arm is no path, but how many it takes.
            // A posterior lies in the bundle.
            let words = ["all", "subset", "laplace.parquet"];
            let is_word = |text: &&str| NAMED_IMAGES.contains(text) || words.contains(text);
            let text = value.as_str().filter(|text| is_path && !is_word(text));
            let relative = text.filter(|text| !Path::new(text).is_absolute());
            assert_eq!(relative, None, "{key} of {}", file.display());
            absolute(value, file);
        }
    }

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let folder = folder(&[("bad.yaml", "a: [1\n"), ("good.yaml", "a: 1\n")]);
        let error = read(&folder, "extends: bad.yaml\n").unwrap_err().to_string();
        assert!(error.contains("bad.yaml: ") && error.contains("line"), "{error}");
        let error = read(&folder, "extends: none.yaml\n").unwrap_err().to_string();
        assert!(error.contains("none.yaml: cannot be read"), "{error}");
        let error = read(&folder, "extends: [good.yaml]\n").unwrap_err().to_string();
        assert!(error.contains("top.yaml: extends: expected the path of one file"), "{error}");
        let typed = parse::<BTreeMap<String, String>>(
            &folder.path().join("top.yaml"),
            "extends: good.yaml\nb: [1]\n",
        );
        let error = typed.unwrap_err().to_string();
        assert!(error.contains("top.yaml: ") && error.contains("good.yaml)"), "{error}");
    }
}
