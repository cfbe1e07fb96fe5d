//! Where the ONNX Runtime library lies: a variable, the environment around the program, the cache folder.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use crate::graph::{LIBRARY_FILE, PINNED_VERSION};
use crate::installed;
use crate::model::ModelError;

/// Environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Environment variable that names the cache folder.
pub const CACHE_VARIABLE: &str = "DUBENCH_CACHE";

pub(super) const REMEDY: &str = "run `scripts/setup.sh` in a checkout, `pip install onnxruntime` or `dubench setup` where dubench is installed by pip, or set \
                      ORT_DYLIB_PATH to a libonnxruntime of version 1.17 or newer";

/// The cache folder: `$DUBENCH_CACHE`, else the platform's user cache.
///
/// # Errors
/// [`ModelError::Runtime`] when neither the variable nor a home folder is set.
pub fn cache_root() -> Result<PathBuf, ModelError> {
    cache_root_from(&|name| env::var_os(name))
}

/// Absolute path of the ONNX Runtime library: `chosen`, else `$ORT_DYLIB_PATH`, else the one that a package has put into
/// the environment in which this program is installed, else `<cache>/ort/<version>/libonnxruntime.so`.
///
/// Why not leave the search to the loader? It looks beside the executable first, takes an empty
/// name for a folder, and its error hides the cause.
///
/// # Errors
/// [`ModelError::Runtime`] when the path is empty or names no file, or the environment has several libraries; the text says
/// where it looked and what to do.
pub fn library_path(chosen: Option<&Path>) -> Result<PathBuf, ModelError> {
    library_path_from(chosen, &|name| env::var_os(name), &in_environment())
}

/// Whether no variable and no environment names a library, so that the one of the cache folder counts.
pub fn library_is_of_cache() -> bool {
    env::var_os(LIBRARY_VARIABLE).is_none() && in_environment().is_empty()
}

/// Which of the places of [`library_path`] counts, in words.
pub fn library_source(chosen: Option<&Path>) -> &'static str {
    if chosen.is_some() {
        "the option"
    } else if env::var_os(LIBRARY_VARIABLE).is_some() {
        LIBRARY_VARIABLE
    } else if in_environment().is_empty() {
        "the cache folder"
    } else {
        "the Python environment"
    }
}

fn in_environment() -> Vec<PathBuf> {
    installed::prefix().map_or_else(Vec::new, |prefix| installed::runtime_libraries(&prefix))
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn cache_root_from(variable: Variables<'_>) -> Result<PathBuf, ModelError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set(CACHE_VARIABLE) {
        return Ok(folder);
    }
    let home = set("HOME");
    let base = if cfg!(target_os = "macos") {
        home.map(|h| h.join("Library").join("Caches"))
    } else {
        set("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or(home.map(|h| h.join(".cache")))
    };
    base.map(|folder| folder.join("dubench")).ok_or_else(|| ModelError::Runtime {
        context: "cache folder".to_owned(),
        message: "neither DUBENCH_CACHE nor HOME is set: set DUBENCH_CACHE to a folder".to_owned(),
    })
}

fn library_path_from(
    chosen: Option<&Path>,
    variable: Variables<'_>,
    in_environment: &[PathBuf],
) -> Result<PathBuf, ModelError> {
    let (path, source) = if let Some(path) = chosen {
        (path.to_owned(), "the option".to_owned())
    } else if let Some(value) = variable(LIBRARY_VARIABLE) {
        (PathBuf::from(value), LIBRARY_VARIABLE.to_owned())
    } else if let Some(path) = only_one(in_environment)? {
        (path.clone(), "the Python environment".to_owned())
    } else {
        let cache = cache_root_from(variable)?.join("ort").join(PINNED_VERSION);
        (cache.join(LIBRARY_FILE), format!("the cache folder{}", bare_package()))
    };
    if path.as_os_str().is_empty() {
        let message = format!("{source} is empty: {REMEDY}");
        return Err(ModelError::Runtime { context: "ONNX Runtime library".to_owned(), message });
    }
    if !path.is_file() {
        let message = format!("no such file (named by {source}): {REMEDY}");
        return Err(failure(&path, &message));
    }
    path.canonicalize().map_err(|error| failure(&path, &error.to_string()))
}

/// Words on a package of the environment that a reader would take for the library.
fn bare_package() -> String {
    let prefix = installed::prefix();
    let folder = prefix.and_then(|prefix| installed::runtime_without_library(&prefix));
    folder.map_or_else(String::new, |folder| {
        let folder = folder.display();
        format!(", since {folder} holds none: `pip install --upgrade 'onnxruntime>=1.19'`")
    })
}

/// The library of an environment. Which of several is meant nobody can know: a package for GPUs and one without, or one for
/// each of two Pythons.
fn only_one(found: &[PathBuf]) -> Result<Option<&PathBuf>, ModelError> {
    if found.len() < 2 {
        return Ok(found.first());
    }
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    let message = format!(
        "the Python environment has several, set ORT_DYLIB_PATH to one of them: {}",
        names.join(", ")
    );
    Err(ModelError::Runtime { context: "ONNX Runtime library".to_owned(), message })
}

pub(super) fn failure(library: &Path, message: &str) -> ModelError {
    ModelError::Runtime {
        context: format!("ONNX Runtime library {}", library.display()),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{cache_root_from, library_path_from};
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    #[test]
    fn cache_variable_wins_over_home() {
        let variable = |name: &str| match name {
            "DUBENCH_CACHE" => Some(OsString::from("/data/cache")),
            "HOME" => Some(OsString::from("/home/ada")),
            _ => None,
        };
        assert_eq!(cache_root_from(&variable).unwrap(), PathBuf::from("/data/cache"));
    }

    #[test]
    fn no_home_and_no_variable_is_an_error_that_names_the_variable() {
        let error = cache_root_from(&|_| None).unwrap_err().to_string();
        assert!(error.contains("set DUBENCH_CACHE"), "{error}");
    }

    #[test]
    fn empty_library_variable_is_refused() {
        let variable = |name: &str| (name == "ORT_DYLIB_PATH").then(OsString::new);
        let error = library_path_from(None, &variable, &[]).unwrap_err().to_string();
        assert!(error.contains("ORT_DYLIB_PATH is empty"), "{error}");
    }

    #[test]
    fn missing_library_names_the_path_and_the_remedy() {
        let missing = Path::new("/nowhere/libonnxruntime.so");
        let error = library_path_from(Some(missing), &|_| None, &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/libonnxruntime.so: no such file"), "{error}");
        assert!(error.contains("scripts/setup.sh"), "{error}");
    }

    #[test]
    fn folder_is_no_library() {
        let folder = std::env::temp_dir();
        let error = library_path_from(Some(&folder), &|_| None, &[]).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
    }

    #[test]
    fn the_environment_comes_after_the_variable_and_before_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().canonicalize().unwrap().join(name);
            crate::store::publish(&path, b"library").unwrap();
            path
        };
        let (named, installed) = (file("named.so"), file("installed.so"));
        let variable =
            |name: &str| (name == "ORT_DYLIB_PATH").then(|| named.clone().into_os_string());
        let environment = [installed.clone()];
        assert_eq!(library_path_from(None, &variable, &environment).unwrap(), named);
        let cache = |name: &str| (name == "DUBENCH_CACHE").then(|| OsString::from("/nowhere"));
        assert_eq!(library_path_from(None, &cache, &environment).unwrap(), installed);
        let error = library_path_from(None, &cache, &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ort/"), "{error}");
    }

    #[test]
    fn several_libraries_in_the_environment_are_refused_by_name() {
        let found = [
            PathBuf::from("/env/libonnxruntime.so.1.31.1"),
            PathBuf::from("/env/libonnxruntime.so.1.32.0"),
        ];
        let error = library_path_from(None, &|_| None, &found).unwrap_err().to_string();
        assert!(error.contains("so.1.31.1, /env/libonnxruntime.so.1.32.0"), "{error}");
        assert!(error.contains("set ORT_DYLIB_PATH"), "{error}");
    }
}
