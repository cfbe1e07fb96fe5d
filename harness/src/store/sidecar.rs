//! The hash that stands beside a file, in the form that `sha256sum --check` reads.

use std::path::{Path, PathBuf};

use super::digest::sha256_of_file;
use super::{StoreError, publish};
use crate::canonical::sha256_hex;

/// Name of the sidecar: `block-000012.parquet.sha256`.
pub fn sidecar_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

/// Whether a file can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no file.
    Absent,
    /// There is a file without a hash beside it: its writer was stopped between the two.
    Unsealed,
    /// File and hash agree.
    Sealed,
}

/// Records the hash of a published file, which holds `bytes`.
///
/// # Why not hash the file?
/// What the disk gave back could already be damaged, and the hash would then vouch for it.
///
/// # Errors
/// [`StoreError::Write`].
pub fn seal(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {name}\n", sha256_hex(bytes));
    let sidecar = sidecar_path(path);
    publish(&sidecar, line.as_bytes()).map_err(StoreError::write(&sidecar))
}

/// Publishes a file and the hash beside it, replacing earlier ones.
///
/// # Errors
/// [`StoreError::Write`].
pub fn publish_sealed(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    // An old hash beside new bytes reads as damage, so the old hash goes first.
    let old = sidecar_path(path);
    super::remove(&old).map_err(StoreError::write(&old))?;
    publish(path, bytes).map_err(StoreError::write(path))?;
    seal(path, bytes)
}

/// Refuses a file that does not stand with its hash beside it: what a reader asks before it reads.
///
/// # Errors
/// [`StoreError::Read`] when there is no file, [`StoreError::Unsealed`] when there is no hash, and those of
/// [`standing`].
pub fn require(path: &Path) -> Result<(), StoreError> {
    match standing(path)? {
        Standing::Sealed => Ok(()),
        Standing::Unsealed => {
            let sidecar = sidecar_path(path);
            Err(StoreError::Unsealed { path: path.to_owned(), sidecar })
        }
        Standing::Absent => Err(StoreError::read(path)(std::io::ErrorKind::NotFound.into())),
    }
}

/// Compares a file with the hash beside it.
///
/// # Errors
/// [`StoreError::Damaged`] when they differ, [`StoreError::Malformed`] for a sidecar that holds no hash,
/// [`StoreError::Read`].
pub fn standing(path: &Path) -> Result<Standing, StoreError> {
    if !path.try_exists().map_err(StoreError::read(path))? {
        return Ok(Standing::Absent);
    }
    let sidecar = sidecar_path(path);
    let line = match std::fs::read_to_string(&sidecar) {
        Ok(line) => line,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Standing::Unsealed);
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(StoreError::malformed(&sidecar, "it is not text"));
        }
        Err(source) => return Err(StoreError::Read { path: sidecar, source }),
    };
    let expected = recorded_hash(&sidecar, &line)?;
    let got = sha256_of_file(path)?;
    if got == expected {
        return Ok(Standing::Sealed);
    }
    Err(StoreError::Damaged { path: path.to_owned(), sidecar, got, expected })
}

fn recorded_hash(sidecar: &Path, line: &str) -> Result<String, StoreError> {
    let hash = line.split_whitespace().next().unwrap_or_default();
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hash.to_owned());
    }
    Err(StoreError::malformed(sidecar, "it holds no sha256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_tells_absent_unsealed_sealed_and_damaged_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        assert_eq!(standing(&path).unwrap(), Standing::Absent);
        assert!(matches!(require(&path), Err(StoreError::Read { .. })));
        publish(&path, b"content").unwrap();
        assert_eq!(standing(&path).unwrap(), Standing::Unsealed);
        assert!(matches!(require(&path), Err(StoreError::Unsealed { .. })));
        seal(&path, b"content").unwrap();
        assert_eq!(standing(&path).unwrap(), Standing::Sealed);
        require(&path).unwrap();
        publish(&path, b"contenu").unwrap();
        assert!(matches!(standing(&path), Err(StoreError::Damaged { .. })));
        assert!(matches!(require(&path), Err(StoreError::Damaged { .. })));
        publish_sealed(&path, b"another").unwrap();
        require(&path).unwrap();
    }

    #[test]
    fn a_sidecar_without_a_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        publish(&path, b"content").unwrap();
        publish(&sidecar_path(&path), b"not a hash").unwrap();
        assert!(matches!(standing(&path), Err(StoreError::Malformed { .. })));
    }
}
