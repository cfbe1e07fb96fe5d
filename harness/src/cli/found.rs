//! Files that are named, not pathed: `table1-cifar10`, `fid-inception`. The current folder first, then what is installed.

use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::installed;

/// The experiment that `named` means: a path is taken as it is, a name is looked for.
///
/// # Errors
/// [`CliError::NotFound`] with every place that was looked at.
pub(super) fn experiment(named: &Path) -> Result<PathBuf, CliError> {
    experiment_in(named, Path::new(""), installed::data().as_deref())
}

fn experiment_in(named: &Path, current: &Path, data: Option<&Path>) -> Result<PathBuf, CliError> {
    // A path that is no file is refused by its reader, which says what it expects of it.
    if named.components().count() != 1
        || named.extension().is_some()
        || current.join(named).exists()
    {
        return Ok(named.to_owned());
    }
    let file = named.with_extension("yaml");
    let mut places = vec![current.join(&file), current.join("experiments").join(&file)];
    places.extend(data.map(|data| data.join("experiments").join(&file)));
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => Err(CliError::NotFound { name: named.display().to_string(), places }),
    }
}

/// A file below `experiments/`: in the current folder, as in a checkout, else among the installed data.
pub(super) fn shipped(file: &Path) -> PathBuf {
    let here = Path::new("experiments").join(file);
    match installed::data().map(|data| data.join("experiments").join(file)) {
        Some(installed) if !here.is_file() && installed.is_file() => installed,
        _ => here,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::publish(&path, b"name: x").unwrap();
        }
        folder
    }

    #[test]
    fn a_name_is_looked_for_here_first_and_then_where_it_is_installed() {
        let installed = folder(&["experiments/a.yaml", "experiments/b.yaml", "experiments/c.yaml"]);
        let here = folder(&["a.yaml", "experiments/b.yaml"]);
        let find = |name: &str| {
            let found =
                experiment_in(Path::new(name), here.path(), Some(installed.path())).unwrap();
            found
                .strip_prefix(here.path())
                .or(found.strip_prefix(installed.path()))
                .unwrap()
                .to_owned()
        };
        assert_eq!(find("a"), Path::new("a.yaml"));
        assert_eq!(find("b"), Path::new("experiments/b.yaml"));
        assert_eq!(find("c"), Path::new("experiments/c.yaml"));
    }

    #[test]
    fn a_path_is_taken_as_it_is_and_an_unknown_name_says_where_it_was_looked_for() {
        let here = folder(&[]);
        let paths = ["none.yaml", "sub/none", "/nowhere/none"];
        for path in paths.map(Path::new) {
            assert_eq!(experiment_in(path, here.path(), None).unwrap(), path);
        }
        let error =
            experiment_in(Path::new("none"), here.path(), Some(Path::new("/data"))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("none.yaml") && text.contains("/data/experiments/none.yaml"),
            "{text}"
        );
    }
}
