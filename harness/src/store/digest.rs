//! Hashes of files and of arrays.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::StoreError;

/// SHA-256 of a file in hexadecimal, read in pieces of 1 MiB.
///
/// # Errors
/// [`StoreError::Read`].
pub fn sha256_of_file(path: &Path) -> Result<String, StoreError> {
    let mut file = File::open(path).map_err(StoreError::read(path))?;
    let mut hasher = ContentHasher::default();
    let mut piece = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut piece).map_err(StoreError::read(path))?;
        if n == 0 {
            return Ok(hasher.finish());
        }
        hasher.0.update(&piece[..n]);
    }
}

/// SHA-256 over tagged pieces: what a part says, without the times that it took.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Adds a named piece. Name and length are hashed too, so that no two contents share a stream.
    pub fn piece(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The hash in hexadecimal.
    pub fn finish(self) -> String {
        use std::fmt::Write as _;
        self.0.finalize().iter().fold(String::with_capacity(64), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
    }
}

/// Little-endian bytes of f32 values.
pub(super) fn f32_bytes<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u8> {
    values.into_iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The f32 values of little-endian bytes; a tail shorter than four bytes is left out.
pub(super) fn f32_values(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|quad| f32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_as_sha256sum_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        super::super::publish(&path, b"abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of_file(&path).unwrap(), expected);
    }

    #[test]
    fn moving_a_byte_between_pieces_changes_the_digest() {
        let digest = |a: &[u8], b: &[u8]| {
            let mut hasher = ContentHasher::default();
            hasher.piece("a", a).piece("b", b);
            hasher.finish()
        };
        assert_ne!(digest(b"xy", b"z"), digest(b"x", b"yz"));
        assert_eq!(digest(b"x", b"yz"), digest(b"x", b"yz"));
    }

    #[test]
    fn floats_survive_their_bytes() {
        let values = [0.0_f32, -1.5, f32::MIN_POSITIVE, 3.0e38];
        assert_eq!(f32_values(&f32_bytes(&values)), values);
    }
}
