//! Where this program is installed: the environment around its file, and what was put there with it.
//!
//! A wheel puts the program into `PREFIX/bin`, its data into `PREFIX/share/dubench`, and the packages that it depends on into
//! `PREFIX/lib/python3.N/site-packages`. A program that was built in a checkout lies in no such place, and nothing here is found.

use std::path::{Path, PathBuf};

/// Folders of installed packages in an environment, as Python and its distributors name them.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// `PREFIX` of `PREFIX/bin/dubench`: links are followed, as installers of commands make them.
pub fn prefix() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.canonicalize().ok()?;
    let folder = program.parent()?;
    let is_bin = folder.file_name().is_some_and(|name| name == "bin" || name == "Scripts");
    is_bin.then(|| folder.parent().map(Path::to_owned)).flatten()
}

/// The installed data: experiments, networks, published numbers, reference statistics.
pub fn data() -> Option<PathBuf> {
    prefix().map(|prefix| prefix.join("share").join("dubench")).filter(|folder| folder.is_dir())
}

/// The Python of the environment, by which its packages are fetched.
pub fn python() -> Option<PathBuf> {
    let prefix = prefix()?;
    let names = ["bin/python3", "bin/python", "Scripts/python.exe"];
    names.into_iter().map(|name| prefix.join(name)).find(|path| path.is_file())
}

/// Libraries of ONNX Runtime that packages have put into the environment at `prefix`, in the order of their paths.
///
/// `onnxruntime`, `onnxruntime-gpu` and `onnxruntime-openvino` all use `onnxruntime/capi/libonnxruntime.so.VERSION`. There
/// are several where more than one of them, or one for each of several Pythons, is installed.
pub fn runtime_libraries(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for packages in package_folders(prefix) {
        found.extend(children(&capi(&packages)).into_iter().filter(|path| is_runtime(path)));
    }
    found.sort();
    found
}

/// The folder of an `onnxruntime` package that brings no shared library: before 1.19 there is none in it.
pub fn runtime_without_library(prefix: &Path) -> Option<PathBuf> {
    let bare =
        |folder: &PathBuf| folder.is_dir() && !children(folder).iter().any(|path| is_runtime(path));
    package_folders(prefix).into_iter().map(|packages| capi(&packages)).find(bare)
}

/// Folders `nvidia` in which packages of an environment keep CUDA libraries.
pub fn nvidia_folders(prefix: &Path) -> Vec<PathBuf> {
    let folders = package_folders(prefix).into_iter().map(|packages| packages.join("nvidia"));
    folders.filter(|folder| folder.is_dir()).collect()
}

fn capi(packages: &Path) -> PathBuf {
    packages.join("onnxruntime").join("capi")
}

fn is_runtime(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Not `libonnxruntime_providers_shared.so`, which is a part of it.
    let linux = name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.");
    let mac =
        name.starts_with("libonnxruntime.") && path.extension().is_some_and(|end| end == "dylib");
    (linux || mac || name == "onnxruntime.dll") && path.is_file()
}

/// `lib/python3.N/site-packages` and its like; one folder that has two names counts once.
fn package_folders(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for lib in ["lib", "lib64"] {
        for python in children(&prefix.join(lib)) {
            let name = python.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // `/usr/lib/python3` is Debian's, for all of its Pythons.
            if name.starts_with("python3") {
                folders.extend(PACKAGES.map(|packages| python.join(packages)));
            }
        }
    }
    folders.push(prefix.join("Lib").join("site-packages"));
    let mut real: Vec<PathBuf> =
        folders.into_iter().filter_map(|folder| folder.canonicalize().ok()).collect();
    real.sort();
    real.dedup();
    real
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish;

    fn environment(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            publish(&path, b"library").unwrap();
        }
        folder
    }

    #[test]
    fn the_library_is_that_of_the_environment_and_no_part_of_it() {
        let folder = environment(&[
            "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
            "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime_providers_shared.so",
            "lib/python3.11/site-packages/other/capi/libonnxruntime.so.1.0.0",
            "lib/unrelated/site-packages/onnxruntime/capi/libonnxruntime.so.1.0.0",
        ]);
        let found = runtime_libraries(folder.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("onnxruntime/capi/libonnxruntime.so.1.32.0"));
    }

    #[test]
    fn a_package_without_a_library_is_found_and_one_with_it_is_not() {
        let capi = "lib/python3.11/site-packages/onnxruntime/capi";
        let bare = environment(&[
            &format!("{capi}/onnxruntime_pybind11_state.so"),
            &format!("{capi}/libonnxruntime_providers_shared.so"),
        ]);
        let found = runtime_without_library(bare.path()).unwrap();
        assert!(found.ends_with("onnxruntime/capi"), "{found:?}");
        let whole = environment(&[&format!("{capi}/libonnxruntime.so.1.19.2")]);
        assert_eq!(runtime_without_library(whole.path()), None);
        assert_eq!(runtime_without_library(environment(&[]).path()), None);
    }

    #[test]
    fn every_library_is_named_once_whatever_leads_there() {
        let folder = environment(&[
            "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
            "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1",
        ]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("lib", folder.path().join("lib64")).unwrap();
        assert_eq!(runtime_libraries(folder.path()).len(), 2);
        assert!(runtime_libraries(&folder.path().join("nothing")).is_empty());
    }

    #[test]
    fn a_program_of_a_checkout_is_installed_nowhere() {
        assert_eq!(prefix(), None, "tests lie in target/debug/deps");
    }
}
