//! Where a file that is extended lies, and where its relative paths start.

use std::path::{Component, Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::NAMED_IMAGES;

/// Every key of an experiment that is a path, by its section. Sections stand at the top and in each scale.
const PATHS: [(&str, &[&str]); 6] = [
    ("model", &["path", "prompt_file"]),
    ("features", &["path"]),
    ("reference", &["path", "images"]),
    ("published", &["file"]),
    ("starts", &["path"]),
    ("protocol", &["images"]),
];

/// A file of a chain, and where its paths start.
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) start: PathBuf,
}

impl Place {
    /// What this file calls `name`: beside it, else installed; where it is neither, beside it, which its reader refuses.
    pub(super) fn find(&self, folder: &Path, name: &str, installed: Option<&Path>) -> Self {
        let beside = self.file.with_file_name("").join(name);
        let with_end = |path: &Path| path.with_extension("yaml");
        let is_name = Path::new(name).extension().is_none();
        let start = self.start.clone();
        if folder.join(&beside).is_file() {
            return Self { file: beside, start };
        }
        if is_name && folder.join(with_end(&beside)).is_file() {
            return Self { file: with_end(&beside), start };
        }
        let found = installed.map(|data| (data, data.join(name)));
        let found = found.map(|(data, file)| (data, if is_name { with_end(&file) } else { file }));
        match found.filter(|(_, file)| file.is_file()) {
            Some((data, file)) => Self { file, start: data.to_owned() },
            None => Self { file: beside, start },
        }
    }

    /// The same file, its paths starting at its own folder.
    pub(super) fn own(self) -> Self {
        let start = self.file.parent().unwrap_or(Path::new("")).to_owned();
        Self { start, ..self }
    }
}

/// Makes the paths of `values`, which start at `start`, ones that start where those of the extending file do: `start` is
/// relative to there, or absolute.
pub(super) fn rebase(values: &mut Mapping, start: &Path) {
    if plain(start).as_os_str().is_empty() {
        return;
    }
    sections(values, start);
    if let Some(Value::Mapping(scales)) = values.get_mut("scales") {
        let scales = scales.iter_mut().filter_map(|(_, scale)| scale.as_mapping_mut());
        scales.for_each(|scale| sections(scale, start));
    }
}

fn sections(values: &mut Mapping, start: &Path) {
    for (section, keys) in PATHS {
        let Some(Value::Mapping(section)) = values.get_mut(section) else { continue };
        for key in keys {
            let Some(Value::String(text)) = section.get_mut(*key) else { continue };
            if *key != "images" || !NAMED_IMAGES.contains(&text.as_str()) {
                *text = start.join(text.as_str()).to_string_lossy().into_owned();
            }
        }
    }
}

/// The path without `.` and without `FOLDER/..`.
fn plain(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_starts_at_the_base_and_no_data_set_is_one() {
        let text = "{model: {kind: bundle, path: m}, reference: {path: r.npz, images: cifar10-train}, published: null, scales: {mini: {n_pool: 2, model: {path: big}, reference: {images: photos}}}}";
        let mut values: Mapping = serde_yaml::from_str(text).unwrap();
        rebase(&mut values, Path::new("/data/experiments"));
        let expected = "{model: {kind: bundle, path: /data/experiments/m}, reference: {path: /data/experiments/r.npz, images: cifar10-train}, published: null, scales: {mini: {n_pool: 2, model: {path: /data/experiments/big}, reference: {images: /data/experiments/photos}}}}";
        assert_eq!(values, serde_yaml::from_str::<Mapping>(expected).unwrap());
    }

    #[test]
    fn beside_the_file_that_extends_nothing_changes() {
        let values: Mapping = serde_yaml::from_str("model: {path: m}").unwrap();
        for start in ["", ".", "base/..", "./base/../"] {
            let mut same = values.clone();
            rebase(&mut same, Path::new(start));
            assert_eq!(same, values, "{start}");
        }
        let mut above = values;
        rebase(&mut above, Path::new("../other"));
        assert_eq!(above["model"]["path"], "../other/m");
    }
}
