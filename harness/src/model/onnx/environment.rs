//! The one environment of the process, from the library that [`library_path`] names.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::logging::LogLevel;

use super::architecture;
pub use super::library::{
    CACHE_VARIABLE, LIBRARY_FILE, LIBRARY_VARIABLE, PINNED_VERSION, cache_root,
    library_is_of_cache, library_path, library_source,
};
use super::library::{REMEDY, failure};
use crate::model::ModelError;

/// The runtime library that this process uses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Runtime {
    /// Absolute path of the library.
    pub library: PathBuf,
    /// Version of the library, `unknown` where it carries no symbol version.
    pub version: String,
    /// Build information of the library: branch, commit, compiler flags.
    pub build: String,
}

static ENVIRONMENT: OnceLock<(ort::environment::Environment, Runtime)> = OnceLock::new();
static OPENING: Mutex<()> = Mutex::new(());

/// The runtime of this process, opened on first use.
///
/// # Errors
/// [`ModelError::Runtime`] when the library is missing, no ONNX Runtime, or too old, or when
/// another library than `chosen` is already loaded: a process has one for its whole life.
pub fn runtime(chosen: Option<&Path>) -> Result<&'static Runtime, ModelError> {
    open(chosen).map(|(_, runtime)| runtime)
}

pub(super) fn environment(
    chosen: Option<&Path>,
) -> Result<&'static ort::environment::Environment, ModelError> {
    open(chosen).map(|(environment, _)| environment)
}

fn open(
    chosen: Option<&Path>,
) -> Result<&'static (ort::environment::Environment, Runtime), ModelError> {
    // Why a lock beside the OnceLock? Its fallible initialiser is unstable, and a second `build`
    // fails for ever ("only one environment is allowed per process").
    let _guard = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = ENVIRONMENT.get() {
        if let Some(path) = chosen {
            same_library(&library_path(Some(path))?, &opened.1.library)?;
        }
        return Ok(opened);
    }
    let opened = load(&library_path(chosen)?)?;
    Ok(ENVIRONMENT.get_or_init(|| opened))
}

fn load(library: &Path) -> Result<(ort::environment::Environment, Runtime), ModelError> {
    let builder = ort::init_from(library)
        .map_err(|error| failure(library, &load_message(library, &error)))?;
    let environment = builder
        .with_name("dubench")
        .with_telemetry(false)
        .build()
        .map_err(|error| failure(library, error.message()))?;
    environment.set_log_level(LogLevel::Warning);
    let build = ort::info().to_owned();
    let version = version_of(library);
    tracing::debug!(library = %library.display(), version, "ONNX Runtime loaded");
    Ok((environment, Runtime { library: library.to_owned(), version, build }))
}

fn load_message(library: &Path, error: &ort::LoadDynamicError) -> String {
    match error {
        // Its own text is only "dlopen failed"; the reason is one level down.
        ort::LoadDynamicError::Dlopen { error, .. } => {
            if let Some(other) = architecture::foreign(library) {
                let here = env::consts::ARCH;
                return format!("is for {other}, this program is for {here}; {REMEDY}");
            }
            let cause =
                std::error::Error::source(error).map_or_else(String::new, |c| format!(": {c}"));
            format!("cannot be loaded: {error}{cause}; {REMEDY}")
        }
        ort::LoadDynamicError::MissingApi { .. } => format!("is no ONNX Runtime library; {REMEDY}"),
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            format!("is version {version_str}, which is too old; {REMEDY}")
        }
        ort::LoadDynamicError::InvalidVersionString => format!("{error}; {REMEDY}"),
    }
}

fn same_library(wanted: &Path, loaded: &Path) -> Result<(), ModelError> {
    if wanted == loaded {
        return Ok(());
    }
    Err(failure(
        wanted,
        &format!(
            "{} is already loaded in this process: start another process for another library",
            loaded.display()
        ),
    ))
}

/// Version of a library file, by the symbol version `VERS_1.32.0` that its linker script gives it.
///
/// Why not ask the library? Its C interface answers, but the safe binding does not pass the answer
/// on, and the build information of the released wheels names a commit and no version.
fn version_of(library: &Path) -> String {
    let bytes = std::fs::read(library).unwrap_or_default();
    version_in(&bytes).unwrap_or_else(|| "unknown".to_owned())
}

fn version_in(bytes: &[u8]) -> Option<String> {
    const TAG: &[u8] = b"VERS_";
    bytes
        .windows(TAG.len())
        .enumerate()
        .filter(|(_, window)| *window == TAG)
        .map(|(at, _)| {
            let digits = bytes[at + TAG.len()..].iter().map(|b| char::from(*b));
            digits.take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>()
        })
        .find(|version| version.split('.').filter(|part| !part.is_empty()).count() >= 3)
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn version_is_read_from_the_symbol_version() {
        assert_eq!(version_in(b"\0VERS_x\0VERS_1.32.0\0").as_deref(), Some("1.32.0"));
        assert_eq!(version_in(b"VERS_1\0no version here"), None);
    }
}
