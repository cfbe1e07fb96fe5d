//! Content keys of derived graphs: equal key, equal bytes.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::encode::Failure;
use super::error::GraphError;
use super::model::Model;

/// Version of all passes. Raise it with any change of what a pass writes: old files are then stale.
pub const PASS_VERSION: u32 = 4;

/// Key of the graph that `pass` (with its parameters written out) makes of `model`: SHA-256 of the
/// model's bytes, external weights included, of the pass and of [`PASS_VERSION`], as hex digits.
///
/// # Errors
/// [`GraphError::ExternalData`] where weights beside the model cannot be read.
pub fn content_key(model: &Model, pass: &str) -> Result<String, GraphError> {
    let mut hasher = Sha256::new();
    hasher.update(format!("dubench graph pass {PASS_VERSION}\n{pass}\n"));
    match model.encode(&mut Hashing(&mut hasher)) {
        Ok(()) => Ok(hex(&hasher.finalize())),
        Err(Failure::Read(error)) => Err(error),
        // A digest takes what it is given.
        Err(Failure::Write(error)) => Err(model.interface_error(error.to_string())),
    }
}

pub(crate) fn key_of_text(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Hashes what is written.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::content_key;
    use crate::testing::GraphUnderTest;
    use crate::{Model, Weights};

    fn scaled(factor: f32) -> Model {
        GraphUnderTest::new(&[2])
            .floats("c", &[512], &[factor; 512])
            .floats("k", &[], &[factor])
            .node("Mul", &["x", "k"], &["y"], vec![])
            .model()
    }

    #[test]
    fn the_key_follows_model_weights_and_pass() {
        let key = content_key(&scaled(1.0), "vjp").unwrap();
        assert_eq!(key.len(), 64);
        assert_eq!(key, content_key(&scaled(1.0), "vjp").unwrap());
        assert_ne!(key, content_key(&scaled(1.0), "tap").unwrap());
        assert_ne!(key, content_key(&scaled(2.0), "vjp").unwrap());
    }

    #[test]
    fn external_weights_are_part_of_the_key() {
        let key = |factor| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.onnx");
            scaled(factor).write(&path, Weights::Beside).unwrap();
            content_key(&Model::read(&path).unwrap(), "vjp").unwrap()
        };
        assert_eq!(key(1.0), key(1.0));
        assert_ne!(key(1.0), key(2.0));
    }
}
