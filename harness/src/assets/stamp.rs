//! Beside a finished file `F`, `F.ok.json`: size, modification time and SHA-256 that were true when it was hashed, so that a
//! later run need not read hundreds of megabytes again.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::store;

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    mtime_ns: u64,
    sha256: String,
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ok.json");
    PathBuf::from(name)
}

fn now(path: &Path, sha256: &str) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let since = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let mtime_ns = u64::try_from(since.as_nanos()).ok()?;
    Some(Stamp { bytes: found.len(), mtime_ns, sha256: sha256.to_owned() })
}

/// Whether `path` was hashed to `sha256` once, and neither its size nor its time has changed since.
pub(super) fn holds(path: &Path, sha256: &str) -> bool {
    let read = std::fs::read(beside(path)).ok();
    let noted = read.and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
    noted.is_some_and(|noted| now(path, sha256).is_some_and(|now| now == noted))
}

/// Notes that `path`, as it is now, has this hash.
pub(super) fn write(path: &Path, sha256: &str) -> std::io::Result<()> {
    let Some(stamp) = now(path, sha256) else { return Ok(()) };
    let text = serde_json::to_vec(&stamp).map_err(std::io::Error::other)?;
    store::publish(&beside(path), &text)
}

/// Makes the next run hash `path` again.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    store::remove(&beside(path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_trusted_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        store::publish(&path, b"abc").unwrap();
        assert!(!holds(&path, "x"));
        write(&path, "x").unwrap();
        assert!(holds(&path, "x") && !holds(&path, "y"));
        store::publish(&path, b"abd").unwrap();
        // Two files of one tick of the system's clock have the same time.
        let later = std::fs::metadata(&path).unwrap().modified().unwrap() + Duration::from_secs(1);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!holds(&path, "x"), "another file has another time");
        write(&path, "x").unwrap();
        remove(&path).unwrap();
        assert!(!holds(&path, "x"));
    }
}
