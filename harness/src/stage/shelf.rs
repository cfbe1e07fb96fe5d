//! Putting parts on their shelf, and telling whether one stands there whole.

use std::path::Path;

use crate::canonical::sha256_hex;
use crate::store::sidecar::{self, Standing};
use crate::store::{Publication, StoreError, publish_new};

/// How the content of a kind of part is known.
pub struct Checks<'a> {
    /// Digest that the part claims.
    pub claimed: Digest<'a>,
    /// Digest of what it holds, by reading all of it.
    pub actual: Digest<'a>,
}

/// Digest of a file's content.
pub type Digest<'a> = Box<dyn Fn(&Path) -> Result<String, StoreError> + 'a>;

impl std::fmt::Debug for Checks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checks")
    }
}

/// Publishes the bytes of a part whose content has the digest `ours`. First come, first served: where
/// another process was faster, its content must be the same.
///
/// # Errors
/// [`StoreError::Disagreement`], and those of writing and reading.
pub fn put(path: &Path, bytes: &[u8], ours: &str, checks: &Checks<'_>) -> Result<(), StoreError> {
    let publication = publish_new(path, bytes)
        .map_err(|source| StoreError::Write { path: path.to_owned(), source })?;
    if publication == Publication::New {
        return sidecar::seal(path, bytes);
    }
    stands(path, checks)?;
    let theirs = (checks.claimed)(path)?;
    if theirs == ours {
        return Ok(());
    }
    Err(StoreError::Disagreement { path: path.to_owned(), ours: ours.to_owned(), theirs })
}

/// Whether a whole part stands at `path`.
///
/// A part without a sidecar was published by a process that was stopped right after: it is read in full, held
/// against the digest inside it, and sealed.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Malformed`], [`StoreError::Mismatch`] for a part of another plan.
pub fn stands(path: &Path, checks: &Checks<'_>) -> Result<bool, StoreError> {
    match sidecar::standing(path)? {
        Standing::Absent => Ok(false),
        Standing::Sealed => (checks.claimed)(path).map(|_| true),
        Standing::Unsealed => {
            let bytes = std::fs::read(path)
                .map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
            let (got, expected) = ((checks.actual)(path)?, (checks.claimed)(path)?);
            if got != expected {
                let sidecar = sidecar::sidecar_path(path);
                return Err(StoreError::Damaged { path: path.to_owned(), sidecar, got, expected });
            }
            tracing::debug!(path = %path.display(), sha256 = sha256_hex(&bytes), "sealed late");
            sidecar::seal(path, &bytes).map(|()| true)
        }
    }
}
