//! A list of classes beside images: the order of the synsets, or the class of each file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::StatisticsError;
use crate::units::ClassLabel;

/// Name of the list that is looked for in a folder of images.
pub const FILE: &str = "classes.txt";

/// Names that a message lists before it counts.
const NAMED: usize = 5;

/// What says the classes of images. A line is a class and words about it, in the order of the classes
/// (`n01440764 tench, Tinca tinca`), or a class or a file and its number (`ILSVRC2012_val_00000001.JPEG 65`). Empty lines and
/// lines that begin with `#` are passed over.
#[derive(Debug)]
pub(super) struct ClassList {
    path: PathBuf,
    entries: Entries,
}

#[derive(Debug)]
enum Entries {
    /// Number of a class by its name. The class of a file is its subfolder, or what stands before the first `_` of its name.
    Names(BTreeMap<String, u32>),
    /// Class of a file, by its path below the folder.
    Files(BTreeMap<String, u32>),
}

impl ClassList {
    /// The list that is asked for, else the one that lies in the folder.
    ///
    /// # Errors
    /// [`StatisticsError::Io`], and [`StatisticsError::Input`] for a line that is none.
    pub(super) fn beside(
        folder: &Path,
        asked: Option<&Path>,
    ) -> Result<Option<Self>, StatisticsError> {
        let inside = folder.join(FILE);
        match asked {
            Some(path) => Self::read(path).map(Some),
            None if inside.is_file() => Self::read(&inside).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self, StatisticsError> {
        let text = std::fs::read_to_string(path).map_err(StatisticsError::io(path))?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let lines: Vec<&str> =
            lines.into_iter().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        // A path may hold spaces; the number stands last.
        let numbered: Option<Vec<(&str, u32)>> = lines.iter().map(|line| numbered(line)).collect();
        let refuse = |message: String| StatisticsError::input(path, message);
        // A file has an ending, a class has none.
        let are_files = numbered
            .as_ref()
            .is_some_and(|entries| entries.iter().all(|(name, _)| name.contains('.')));
        let entries = numbered.unwrap_or_else(|| {
            let names = lines.iter().map(|line| line.split_whitespace().next().unwrap_or(line));
            names.zip(0..).collect()
        });
        let mut places = BTreeMap::new();
        for (name, class) in &entries {
            if places.insert((*name).to_owned(), *class).is_some() {
                return Err(refuse(format!("{name} stands twice in the list of classes")));
            }
        }
        if places.is_empty() {
            let message = "lists no class: expected a line a class (n01440764 tench), or a line a file (NAME.JPEG 65)";
            return Err(refuse(message.to_owned()));
        }
        let entries = if are_files { Entries::Files(places) } else { Entries::Names(places) };
        Ok(Self { path: path.to_owned(), entries })
    }

    /// Classes of `files`, paths below `folder`.
    ///
    /// # Errors
    /// [`StatisticsError::Input`] for files that the list does not know, for classes without an image, and for files that are
    /// in the list alone.
    pub(super) fn classes(
        &self,
        folder: &Path,
        files: &[PathBuf],
    ) -> Result<Vec<ClassLabel>, StatisticsError> {
        let (places, what) = match &self.entries {
            Entries::Names(places) => (places, "class"),
            Entries::Files(places) => (places, "file"),
        };
        let mut used = BTreeSet::new();
        let mut classes = Vec::with_capacity(files.len());
        for path in files {
            let name = match &self.entries {
                Entries::Names(_) => synset(path),
                Entries::Files(_) => path.to_string_lossy().into_owned(),
            };
            let Some((name, class)) = places.get_key_value(&name) else {
                let (n, list) = (places.len(), self.path.display());
                let message = format!(
                    "its {what} {name:?} is none of the {n} of {list}: give the list of these images"
                );
                return Err(StatisticsError::input(&folder.join(path), message));
            };
            used.insert(name);
            classes.push(ClassLabel(*class));
        }
        let missing: Vec<&String> = places.keys().filter(|name| !used.contains(name)).collect();
        if missing.is_empty() {
            return Ok(classes);
        }
        let first: Vec<&str> = missing.iter().take(NAMED).map(|name| name.as_str()).collect();
        let message = format!(
            "{} of the {} {} of {} have no image here, {} first: complete the copy, or give the list of these images",
            missing.len(),
            places.len(),
            if what == "class" { "classes" } else { "files" },
            self.path.display(),
            first.join(", ")
        );
        Err(StatisticsError::input(folder, message))
    }
}

/// A name and the number of its class.
fn numbered(line: &str) -> Option<(&str, u32)> {
    let (name, class) = line.rsplit_once(char::is_whitespace)?;
    Some((name.trim(), class.parse().ok()?))
}

/// Class of a file by where it lies: its first subfolder, or its name up to the first `_`.
fn synset(path: &Path) -> String {
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let first = first.unwrap_or_default();
    if parts.next().is_some() {
        return first;
    }
    first.split_once('_').map_or(first.as_str(), |(class, _)| class).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> (tempfile::TempDir, Result<Option<ClassList>, StatisticsError>) {
        let folder = tempfile::tempdir().unwrap();
        crate::store::publish(&folder.path().join(FILE), text.as_bytes()).unwrap();
        let list = ClassList::beside(folder.path(), None);
        (folder, list)
    }

    fn of(text: &str, files: &[&str]) -> Result<Vec<u32>, String> {
        let (folder, list) = list(text);
        let list = list.map_err(|error| error.to_string())?.unwrap();
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let classes = list.classes(folder.path(), &files).map_err(|error| error.to_string())?;
        Ok(classes.iter().map(|class| class.0).collect())
    }

    const SYNSETS: &str = "# order of the network\nn02 a hen, hen 2\nn01 tench, Tinca tinca\n\n";

    #[test]
    fn the_order_of_the_list_numbers_folders_and_names() {
        let files = ["n01/n01_7.JPEG", "n02/deep/x.png", "n01_8.JPEG", "n02_1_2.JPEG"];
        assert_eq!(of(SYNSETS, &files), Ok(vec![1, 0, 1, 0]));
        assert_eq!(of("n01 7\nn02 3\n", &files), Ok(vec![7, 3, 7, 3]));
    }

    #[test]
    fn a_list_of_files_says_the_class_of_each() {
        let text = "val_2.JPEG 65\nval_1.JPEG 970\nsome dir/val 3.JPEG  0\n";
        let files = ["some dir/val 3.JPEG", "val_1.JPEG", "val_2.JPEG"];
        assert_eq!(of(text, &files), Ok(vec![0, 970, 65]));
        let short = of(text, &files[1..]).unwrap_err();
        assert!(
            short.contains("1 of the 3 files") && short.contains("val 3.JPEG first"),
            "{short}"
        );
    }

    #[test]
    fn classes_without_an_image_and_images_without_a_class_are_named() {
        let missing = of(SYNSETS, &["n01/1.JPEG"]).unwrap_err();
        assert!(
            missing.contains("1 of the 2 classes") && missing.contains("n02 first"),
            "{missing}"
        );
        let surplus = of(SYNSETS, &["n01/1.JPEG", "n02/1.JPEG", "n03/1.JPEG"]).unwrap_err();
        assert!(surplus.contains("class \"n03\" is none of the 2"), "{surplus}");
    }

    #[test]
    fn a_list_that_says_a_thing_twice_or_nothing_is_refused() {
        for (text, word) in [("n01\nn01\n", "n01 stands twice"), ("# none\n", "lists no class")] {
            let (_folder, list) = list(text);
            let message = list.unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
