//! The libraries of CUDA: where packages have put them, and which are missing.
//!
//! ONNX Runtime's build for CUDA names them and leaves finding them to the system's loader, which knows nothing of the folders
//! of Python packages. Those that lie there are loaded before a session asks for them, so that nobody has to set a path.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::installed;
use crate::model::ModelError;

/// Environment variable that names folders of CUDA libraries, or the folder `nvidia` of a Python environment.
pub const LIBRARIES_VARIABLE: &str = "DUBENCH_CUDA_LIBRARIES";

/// What brings all of them.
pub const LIBRARIES_COMMAND: &str = "python3 -m pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'";

/// Libraries that the build for CUDA 13 links against, in the order in which they need each other.
const NAMES: [&str; 7] = [
    "libcudart.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libnvrtc.so.13",
    "libcurand.so.10",
    "libcufft.so.12",
    "libcudnn.so.9",
];

/// Where the system keeps libraries, beside the folders of `LD_LIBRARY_PATH`.
const SYSTEM: [&str; 5] = [
    "/usr/local/cuda/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib/wsl/lib",
];

/// A library and where it is; `None` where nobody has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaLibrary {
    /// Name that the loader looks for.
    pub name: &'static str,
    /// The file.
    pub path: Option<PathBuf>,
    /// Whether the loader does not find it by itself.
    pub is_packaged: bool,
}

/// All libraries: first those of [`LIBRARIES_VARIABLE`] and of the environment in which the program is installed, then those
/// of the system.
pub fn cuda_libraries() -> Vec<CudaLibrary> {
    let named = env::var_os(LIBRARIES_VARIABLE).unwrap_or_default();
    let mut packaged: Vec<PathBuf> =
        env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty()).collect();
    packaged
        .extend(installed::prefix().iter().flat_map(|prefix| installed::nvidia_folders(prefix)));
    find(&packaged, &of_system())
}

/// The library of the driver; `None` where there is no driver.
pub fn driver() -> Option<PathBuf> {
    of_system().into_iter().map(|folder| folder.join("libcuda.so.1")).find(|path| path.exists())
}

fn of_system() -> Vec<PathBuf> {
    let named = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    env::split_paths(&named).chain(SYSTEM.map(PathBuf::from)).collect()
}

fn find(packaged: &[PathBuf], system: &[PathBuf]) -> Vec<CudaLibrary> {
    let packaged: Vec<PathBuf> = packaged.iter().flat_map(|folder| with_packages(folder)).collect();
    let first = |folders: &[PathBuf], name: &str| {
        folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
    };
    let library = |name| {
        let own = first(&packaged, name);
        let is_packaged = own.is_some();
        CudaLibrary { name, path: own.or_else(|| first(system, name)), is_packaged }
    };
    NAMES.into_iter().map(library).collect()
}

/// A folder, and `*/lib` in it: packages of NVIDIA have a folder each.
fn with_packages(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages: Vec<PathBuf> = entries.map(|entry| entry.path().join("lib")).collect();
    packages.sort();
    std::iter::once(folder.to_owned()).chain(packages).collect()
}

/// Loads the libraries of packages, once in the life of the process.
///
/// # Errors
/// [`ModelError::Runtime`] for a library that is there and cannot be loaded.
pub(super) fn preload() -> Result<(), ModelError> {
    static LOADED: OnceLock<Result<(), [String; 2]>> = OnceLock::new();
    let load = |library: CudaLibrary| {
        let Some(path) = library.path.filter(|_| library.is_packaged) else { return Ok(()) };
        ort::util::preload_dylib(&path).map_err(|error| {
            let remedy = format!("{LIBRARIES_COMMAND} brings all of one kind");
            [format!("CUDA library {}", path.display()), format!("{error}; {remedy}")]
        })
    };
    let loaded = LOADED.get_or_init(|| cuda_libraries().into_iter().try_for_each(load));
    let failure = |[context, message]: &[String; 2]| ModelError::Runtime {
        context: context.clone(),
        message: message.clone(),
    };
    loaded.as_ref().copied().map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish;

    fn put(folder: &Path, file: &str) -> PathBuf {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        publish(&path, b"library").unwrap();
        path
    }

    #[test]
    fn libraries_of_packages_come_before_those_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let (nvidia, system) = (folder.path().join("nvidia"), folder.path().join("system"));
        let runtime = put(&nvidia, "cu13/lib/libcudart.so.13");
        put(&system, "libcudart.so.13");
        let cudnn = put(&system, "libcudnn.so.9");
        let found = find(&[nvidia], &[system]);
        let of = |name: &str| found.iter().find(|library| library.name == name).unwrap();
        assert_eq!(
            (&of("libcudart.so.13").path, of("libcudart.so.13").is_packaged),
            (&Some(runtime), true)
        );
        assert_eq!(
            (&of("libcudnn.so.9").path, of("libcudnn.so.9").is_packaged),
            (&Some(cudnn), false)
        );
        assert_eq!(found.iter().filter(|library| library.path.is_none()).count(), 5);
    }

    #[test]
    fn a_folder_that_holds_them_itself_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = put(folder.path(), "libcublas.so.13");
        let found = find(&[folder.path().to_owned()], &[]);
        assert!(
            found.iter().any(|library| library.path.as_ref() == Some(&path) && library.is_packaged)
        );
    }
}
