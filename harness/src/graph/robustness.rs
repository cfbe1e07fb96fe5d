//! Damaged models: refused or read, never a panic.

use super::golden::Golden;
use super::runner::{Feeds, Runner, Source};
use super::testing::noise;
use super::vjp::{Options, vjp};
use super::{GraphError, Model, Tensor, dropout, last_layer};

/// Stops each pass where the runtime would be asked: what is tested is the reading before it.
struct NoRuntime;

impl Runner for NoRuntime {
    fn run(
        &self,
        _: Source<'_>,
        _: &[Feeds],
        _: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        Err(GraphError::Runtime { context: "test".to_owned(), message: "no runtime".to_owned() })
    }
}

/// Reads bytes and runs the passes up to the runtime; whether the bytes were read at all.
fn survive(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes, "damaged") else { return false };
    let refused = vjp(&model, Options::default(), &NoRuntime).is_err();
    assert!(refused, "a pass ended without its runtime");
    let _ = last_layer::last_layer(&model, None);
    let _ = dropout::to_mask_input(&model, dropout::KeepScale::OfNode, &NoRuntime);
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
