//! Files whose bytes are known before they are written.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::publish::publish_with;
use crate::canonical::hex;

const PIECE: usize = 1 << 20;

/// Why bytes of a known hash were not published. Nothing stands under the name then.
#[derive(Debug)]
pub enum CheckedError {
    /// They could not be read.
    Read(io::Error),
    /// They could not be written.
    Write(io::Error),
    /// They are others: the hash that they have.
    Other(String),
}

/// Publishes what `content` gives, if its SHA-256 is `sha256`: whole, and right, or absent.
///
/// # Errors
/// [`CheckedError`].
///
/// # Examples
/// ```
/// use dubench::store::checked::{CheckedError, publish_checked};
/// let folder = std::env::temp_dir().join("dubench-checked");
/// std::fs::create_dir_all(&folder)?;
/// let path = folder.join("abc");
/// let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// let other = publish_checked(&path, sha256, &mut &b"abd"[..]);
/// assert!(matches!(other, Err(CheckedError::Other(_))) && !path.exists());
/// publish_checked(&path, sha256, &mut &b"abc"[..]).expect("these are the bytes");
/// assert_eq!(std::fs::read(&path)?, b"abc");
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn publish_checked(
    path: &Path,
    sha256: &str,
    content: &mut dyn Read,
) -> Result<(), CheckedError> {
    let mut refusal = None;
    let written = publish_with(path, |out| {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            let n = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(refuse(&mut refusal, CheckedError::Read(error))),
            };
            hasher.update(&piece[..n]);
            out.write_all(&piece[..n])?;
        }
        let got = hex(&hasher.finalize());
        if got == sha256 {
            return Ok(());
        }
        Err(refuse(&mut refusal, CheckedError::Other(got)))
    });
    written.map_err(|error| refusal.unwrap_or(CheckedError::Write(error)))
}

/// Keeps the reason; the error that goes back ends the publication and is read by nobody.
fn refuse(refusal: &mut Option<CheckedError>, reason: CheckedError) -> io::Error {
    *refusal = Some(reason);
    io::Error::other("refused")
}

#[cfg(test)]
mod tests {
    use super::super::fault::tests::{ENOSPC, Ended, with_fault};
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    struct Torn;

    impl Read for Torn {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("torn"))
        }
    }

    #[test]
    fn other_bytes_and_half_of_them_leave_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        publish_checked(&path, ABC, &mut &b"abc"[..]).unwrap();
        for bytes in [&b"ab"[..], b"abcd", b""] {
            let error = publish_checked(&path, ABC, &mut { bytes }).unwrap_err();
            assert!(matches!(error, CheckedError::Other(_)), "{error:?}");
        }
        let torn = publish_checked(&path, ABC, &mut (&b"ab"[..]).chain(Torn)).unwrap_err();
        assert!(matches!(torn, CheckedError::Read(_)), "{torn:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_no_fault_of_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        let (ended, _) = with_fault(ENOSPC, 1, || publish_checked(&path, ABC, &mut &b"abc"[..]));
        let Ended::Returned(result) = ended else { panic!("nobody was killed") };
        assert!(matches!(result, Err(CheckedError::Write(_))), "{result:?}");
        assert!(!path.exists());
    }
}
