//! Files of a bundle: inside the folder, plain, and with the promised bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::ModelYaml;
use crate::config::model_yaml::{FileYaml, MODEL_FILE};
use crate::graph::Model;
use crate::model::ModelError;

/// What to do where a file was replaced on purpose.
const RENEW: &str = "write its sha256 and bytes into model.yaml by `dubench model renew FOLDER`";

/// Bytes of a digest as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// Those of the file system.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&piece[..n]);
    }
}

/// Checks every file of the bundle and every external weight of its graphs.
///
/// Returns file name to SHA-256, `model.yaml` included.
///
/// # Errors
/// [`ModelError::Bundle`] for a path that leaves the folder, a link, a missing file,
/// external weights that `files` does not name; [`ModelError::Damaged`] for a wrong size, [`ModelError::Integrity`] for a
/// wrong hash.
pub(super) fn check(
    folder: &Path,
    model: &ModelYaml,
) -> Result<BTreeMap<String, String>, ModelError> {
    let mut hashes = BTreeMap::new();
    for (name, promised) in &model.files {
        let path = plain_file(folder, name)?;
        check_bytes(&path, promised)?;
        hashes.insert(name.clone(), promised.sha256.clone());
    }
    for (_, graph) in model.graph_files() {
        for location in external_files(&folder.join(graph))? {
            if !model.files.contains_key(&location) {
                let message = format!(
                    "its weights lie in `{location}`, which model.yaml does not list: add it under files"
                );
                return Err(fault(&folder.join(graph), message));
            }
        }
    }
    let description = folder.join(MODEL_FILE);
    let digest =
        sha256_file(&description).map_err(|error| fault(&description, error.to_string()))?;
    hashes.insert(MODEL_FILE.to_owned(), digest);
    Ok(hashes)
}

/// Holds the files of a bundle that are there against what its description promises. One that is missing contradicts nothing.
///
/// # Errors
/// [`ModelError::Bundle`] for another size, [`ModelError::Integrity`] for another hash.
pub(crate) fn check_present(folder: &Path, model: &ModelYaml) -> Result<(), ModelError> {
    let there = |name: &String| folder.join(name).exists();
    let mut files = model.files.iter().filter(|(name, _)| there(name));
    files.try_for_each(|(name, promised)| check_bytes(&plain_file(folder, name)?, promised))
}

/// Path of a regular file inside the folder: no `..`, no absolute path, no link of either kind.
///
/// Why are hard links refused too? A file with a second name can be changed from outside the
/// folder, and a link to any readable file passes ONNX Runtime's own checks.
pub(super) fn plain_file(folder: &Path, name: &str) -> Result<PathBuf, ModelError> {
    let relative = Path::new(name);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains('\\') {
        let message = format!("`{name}` leaves the bundle: list files inside it, without `..`");
        return Err(fault(folder, message));
    }
    let mut path = folder.to_owned();
    let mut metadata: Option<Metadata> = None;
    for component in relative.components() {
        path.push(component);
        let found = fs::symlink_metadata(&path).map_err(|error| missing(&path, &error))?;
        if found.file_type().is_symlink() {
            let message = "is a symbolic link: put the file itself into the bundle";
            return Err(fault(&path, message.to_owned()));
        }
        metadata = Some(found);
    }
    match metadata {
        Some(found) if found.is_file() && n_names(&found) == 1 => Ok(path),
        Some(found) if found.is_file() => {
            let n = n_names(&found);
            let message = format!("has {n} names (hard links): copy it so that it has one");
            Err(fault(&path, message))
        }
        _ => Err(fault(&path, "is no regular file".to_owned())),
    }
}

fn check_bytes(path: &Path, promised: &FileYaml) -> Result<(), ModelError> {
    let bytes = fs::metadata(path).map_err(|error| missing(path, &error))?.len();
    if bytes != promised.bytes {
        let message = format!(
            "has {bytes} bytes, model.yaml promises {}: it is cut off or was replaced; export it again, or where it is meant, {RENEW}",
            promised.bytes
        );
        return Err(ModelError::Damaged { path: path.display().to_string(), message });
    }
    let got = sha256_file(path).map_err(|error| missing(path, &error))?;
    if got == promised.sha256 {
        return Ok(());
    }
    let (path, expected) = (path.display().to_string(), promised.sha256.clone());
    let remedy = format!("fetch or export it again, or where it is meant, {RENEW}");
    Err(ModelError::Integrity { path, got, expected, remedy })
}

/// Files that hold weights of a graph, by the locations that the graph names.
pub(super) fn external_files(graph: &Path) -> Result<BTreeSet<String>, ModelError> {
    // Reading checks that each location is inside the folder, plain, and long enough.
    let model = Model::read(graph).map_err(|error| ModelError::of_graph(graph, &error))?;
    Ok(model.external_files())
}

#[cfg(unix)]
fn n_names(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn n_names(_: &Metadata) -> u64 {
    1
}

fn missing(path: &Path, error: &io::Error) -> ModelError {
    fault(path, format!("cannot be read: {error}"))
}

pub(super) fn fault(path: &Path, message: String) -> ModelError {
    ModelError::Bundle { path: path.display().to_string(), message }
}
