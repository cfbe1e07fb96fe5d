//! Hidden states of prompts: computed once a text, kept in the cache by content.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ndarray::{Array2, ArrayD, Axis, IxDyn, concatenate};

use super::request::Pipeline;
use crate::canonical::{fingerprint, sha256_hex};
use crate::model::ModelError;
use crate::model::bundle::files::sha256_file;
use crate::model::onnx::{GraphSource, RuntimeOptions, TextEncoder, environment};
use crate::model::text::TextTokenizer;
use crate::store::publish;

/// The output that Stable Diffusion attends to.
const STATES: &str = "last_hidden_state";

/// States of the prompts `[n, length, d]`, and of the negative one `[1, length, d]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextStates {
    pub(super) prompts: ArrayD<f32>,
    pub(super) negative: ArrayD<f32>,
}

impl TextStates {
    /// The states of all texts of a pipeline.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for a tokenizer or an encoder that is broken, [`ModelError::Runtime`] for a runtime or a cache
    /// that cannot be had.
    pub(super) fn of(pipeline: &Pipeline, options: &RuntimeOptions) -> Result<Self, ModelError> {
        let folder = &pipeline.folder;
        let tokenizer = TextTokenizer::open(&folder.path.join("tokenizer"), folder.text_length)?;
        let mut encoder = Encoder::new(folder.graph("text_encoder"), options)?;
        let mut known: BTreeMap<&str, ArrayD<f32>> = BTreeMap::new();
        let texts = pipeline.prompts.iter().chain([&pipeline.negative]);
        for text in texts {
            if known.contains_key(text.as_str()) {
                continue;
            }
            let tokens = tokenizer.encode(text)?;
            if tokens.n_lost > 0 {
                let (n, length) = (tokens.n_lost, tokens.ids.len());
                tracing::warn!(
                    prompt = text,
                    "the last {n} tokens are lost: the text encoder takes {length}"
                );
            }
            known.insert(text, encoder.states(&tokens.ids)?);
        }
        let of = |text: &String| known.get(text.as_str()).map(|states| states.view());
        let rows: Vec<_> = pipeline.prompts.iter().filter_map(of).collect();
        let prompts = concatenate(Axis(0), &rows).map_err(|error| ModelError::Bundle {
            path: folder.path.display().to_string(),
            message: format!("states of prompts do not fit each other: {error}"),
        })?;
        let negative = known.remove(pipeline.negative.as_str()).unwrap_or_default();
        Ok(Self { prompts, negative })
    }
}

/// The text encoder, opened when a text is not in the cache.
struct Encoder<'a> {
    path: PathBuf,
    digest: String,
    options: &'a RuntimeOptions,
    open: Option<TextEncoder>,
}

impl<'a> Encoder<'a> {
    fn new(path: PathBuf, options: &'a RuntimeOptions) -> Result<Self, ModelError> {
        let runtime = environment::runtime(options.library.as_deref())?;
        let failed = |error: std::io::Error| ModelError::Bundle {
            path: path.display().to_string(),
            message: format!("cannot be read: {error}"),
        };
        let mut digests = vec![sha256_file(&path).map_err(failed)?];
        for file in super::identity::external(&path)? {
            digests.push(sha256_file(&path.with_file_name(file)).map_err(failed)?);
        }
        let device = options.device_text();
        // Another library or device may round otherwise.
        let digest = fingerprint(&(digests, &runtime.version, &runtime.build, device, STATES));
        Ok(Self { path, digest, options, open: None })
    }

    /// `[1, length, d]`.
    fn states(&mut self, ids: &[u32]) -> Result<ArrayD<f32>, ModelError> {
        let folder = environment::cache_root()?.join("text");
        let file = folder.join(format!("{}.states", fingerprint(&(&self.digest, ids))));
        if let Some(states) = std::fs::read(&file).ok().and_then(|bytes| unsealed(&bytes)) {
            return Ok(states);
        }
        let states = self.compute(ids)?;
        let failed = |error: std::io::Error| ModelError::Runtime {
            context: format!("cache of text states, {}", file.display()),
            message: error.to_string(),
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        publish(&file, &sealed(&states)).map_err(failed)?;
        Ok(states)
    }

    fn compute(&mut self, ids: &[u32]) -> Result<ArrayD<f32>, ModelError> {
        if self.open.is_none() {
            let name = self.path.display().to_string();
            self.open =
                Some(TextEncoder::open(&name, GraphSource::File(&self.path), self.options)?);
        }
        let row = Array2::from_shape_fn((1, ids.len()), |(_, at)| ids[at]);
        match self.open.as_mut() {
            Some(encoder) => encoder.encode(&row, STATES),
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
