//! Damaged models: refused or read, never a panic.

use super::Model;
use super::golden::Golden;
use super::testing::noise;
use crate::fuzzing::passes;

/// Reads bytes and runs the passes up to the runtime; whether the bytes were read at all.
fn survive(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes, "damaged") else { return false };
    passes(&model);
    true
}

#[test]
fn cut_files_are_refused_or_read() {
    let bytes = Golden::read("ddpm_train_17").model.to_bytes().unwrap();
    let mut refused = 0;
    for length in (0..bytes.len()).step_by(97) {
        refused += usize::from(!survive(&bytes[..length]));
    }
    assert!(refused > bytes.len() / 97 / 2, "{refused}");
}

#[test]
fn flipped_bits_never_panic() {
    for name in ["ddpm_train_17", "uvit_dynamo_20"] {
        let bytes = Golden::read(name).model.to_bytes().unwrap();
        let places = noise(1000, 41);
        for (k, place) in places.iter().enumerate() {
            let mut damaged = bytes.clone();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..len")]
            let at = (place.abs() * bytes.len() as f32) as usize % bytes.len();
            damaged[at] ^= 1 << (k % 8);
            survive(&damaged);
        }
    }
}
