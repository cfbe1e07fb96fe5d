//! A text encoder behind a cache: states of a text are computed once and kept by content.

use std::path::PathBuf;

use ndarray::{Array2, ArrayD, IxDyn};

use crate::canonical::{fingerprint, sha256_hex};
use crate::model::ModelError;
use crate::model::bundle::files::sha256_file;
use crate::model::onnx::{GraphSource, RuntimeOptions, TextEncoder, environment};
use crate::store::publish;

/// A text encoder, opened when a text is not in the cache.
#[derive(Debug)]
pub(super) struct Encoder {
    path: PathBuf,
    outputs: Vec<String>,
    /// One an output.
    digests: Vec<String>,
    options: RuntimeOptions,
    open: Option<TextEncoder>,
}

impl Encoder {
    /// The encoder of `path`, asked for `outputs`.
    pub(super) fn new(
        path: PathBuf,
        outputs: Vec<String>,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let runtime = environment::runtime(options.library.as_deref())?;
        let failed = |error: std::io::Error| ModelError::Bundle {
            path: path.display().to_string(),
            message: format!("cannot be read: {error}"),
        };
        let mut files = vec![sha256_file(&path).map_err(failed)?];
        for file in super::identity::external(&path)? {
            files.push(sha256_file(&path.with_file_name(file)).map_err(failed)?);
        }
        let device = options.device_text();
        // Another library or device may round otherwise.
        let digest = |output: &String| {
            fingerprint(&(&files, &runtime.version, &runtime.build, &device, output))
        };
        let digests = outputs.iter().map(digest).collect();
        Ok(Self { path, outputs, digests, options: options.clone(), open: None })
    }

    /// The outputs, `[1, ..]` each.
    pub(super) fn states(&mut self, ids: &[u32]) -> Result<Vec<ArrayD<f32>>, ModelError> {
        let folder = environment::cache_root()?.join("text");
        let file = |digest| folder.join(format!("{}.states", fingerprint(&(digest, ids))));
        let files: Vec<PathBuf> = self.digests.iter().map(file).collect();
        let known = |file: &PathBuf| std::fs::read(file).ok().and_then(|bytes| unsealed(&bytes));
        if let Some(states) = files.iter().map(known).collect() {
            return Ok(states);
        }
        let states = self.compute(ids)?;
        for (file, states) in files.iter().zip(&states) {
            let failed = |error: std::io::Error| ModelError::Runtime {
                context: format!("cache of text states, {}", file.display()),
                message: error.to_string(),
            };
            std::fs::create_dir_all(&folder).map_err(failed)?;
            publish(file, &sealed(states)).map_err(failed)?;
        }
        Ok(states)
    }

    /// Lets go of the network; it is opened again where a text is not in the cache.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn compute(&mut self, ids: &[u32]) -> Result<Vec<ArrayD<f32>>, ModelError> {
        if self.open.is_none() {
            let name = self.path.display().to_string();
            self.open =
                Some(TextEncoder::open(&name, GraphSource::File(&self.path), &self.options)?);
        }
        let row = Array2::from_shape_fn((1, ids.len()), |(_, at)| ids[at]);
        let outputs: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        match self.open.as_mut() {
            Some(encoder) => encoder.encode(&row, &outputs),
            None => Err(ModelError::Runtime {
                context: self.path.display().to_string(),
                message: "the text encoder is not open".to_owned(),
            }),
        }
    }
}

/// A line with the digest of what follows: the shape in a line, then f32 values, little-endian.
fn sealed(states: &ArrayD<f32>) -> Vec<u8> {
    let shape: Vec<String> = states.shape().iter().map(usize::to_string).collect();
    let mut body = format!("{}\n", shape.join(" ")).into_bytes();
    body.extend(states.iter().flat_map(|value| value.to_le_bytes()));
    let mut bytes = format!("{}\n", sha256_hex(&body)).into_bytes();
    bytes.extend(body);
    bytes
}

/// What [`sealed`] wrote; `None` for anything else, which is then computed again.
fn unsealed(bytes: &[u8]) -> Option<ArrayD<f32>> {
    let line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
    let (digest, body) = bytes.split_at(line(bytes)?);
    let body = &body[1..];
    if sha256_hex(body).as_bytes() != digest {
        tracing::warn!("damaged text states in the cache, computing them again");
        return None;
    }
    let (shape, values) = body.split_at(line(body)?);
    let shape: Vec<usize> = std::str::from_utf8(shape)
        .ok()?
        .split(' ')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    let (values, _) = values[1..].as_chunks::<4>();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_the_cache_are_what_was_written_or_nothing() {
        let states =
            ArrayD::from_shape_fn(IxDyn(&[1, 2, 3]), |at| at[1] as f32 - at[2] as f32 / 7.0);
        let bytes = sealed(&states);
        assert_eq!(unsealed(&bytes), Some(states));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(unsealed(&damaged), None, "byte {at}");
            assert_eq!(unsealed(&bytes[..at]), None, "cut at {at}");
        }
    }
}
