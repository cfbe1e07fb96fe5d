//! Cosines of images and prompts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView4};

use super::pixels::prepared;
use crate::canonical::fingerprint;
use crate::config::pipeline::{ClipFolder, ClipPixels};
use crate::model::bundle::files::sha256_file;
use crate::model::onnx::{ClipNetwork, ClipText, RuntimeOptions};
use crate::model::pipeline::external;
use crate::model::text::TextTokenizer;
use crate::model::{ExtractorId, FeatureExtractor, ModelError};
use crate::units::SampleId;

/// Files beside graphs and tokenizer that decide what is computed.
const DESCRIPTIONS: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// How well images agree with their prompts: one feature an image, `cos(E_I, E_T)` of CLIP's embeddings of the image and of the
/// prompt of its sample. The CLIP score (arXiv:2104.08718) is `w max(cos, 0)`.
#[derive(Debug)]
pub struct ClipScore {
    id: ExtractorId,
    network: ClipNetwork,
    pixels: ClipPixels,
    /// A unit vector a prompt.
    texts: Vec<Vec<f32>>,
}

impl ClipScore {
    /// Opens an export and embeds the prompts, each once: sample `id` is of prompt `id % n`.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for files that are missing, or do not fit each other, [`ModelError::Runtime`] for the runtime.
    pub fn open(
        folder: &ClipFolder,
        prompts: &[String],
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let id = Self::id_of(folder, prompts)?;
        let tokenizer = TextTokenizer::open(&folder.path, folder.length)?;
        let blank = tokens(&tokenizer, "")?;
        let sized = (folder.pixels.side, blank);
        let mut network = ClipNetwork::open(&folder.graphs, sized, options)?;
        let mut known: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for prompt in prompts {
            if !known.contains_key(prompt.as_str()) {
                let embedding = network.text(&tokens(&tokenizer, prompt)?)?;
                known.insert(prompt, unit(&embedding, network.graph())?);
            }
        }
        let texts = prompts.iter().filter_map(|prompt| known.get(prompt.as_str()).cloned());
        let texts = texts.collect();
        Ok(Self { id, network, pixels: folder.pixels.clone(), texts })
    }

    /// What names the numbers of an export in a plan: the bytes of all its files, and the prompts.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for a file that cannot be read.
    pub fn id_of(folder: &ClipFolder, prompts: &[String]) -> Result<ExtractorId, ModelError> {
        let mut hashes = BTreeMap::new();
        for path in files(folder)? {
            let name = path.strip_prefix(&folder.path).unwrap_or(&path).display().to_string();
            hashes.insert(name, sha256_file(&path).map_err(|error| unread(&path, &error))?);
        }
        let whole = std::path::absolute(&folder.path).unwrap_or_else(|_| folder.path.clone());
        let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(ExtractorId {
            name: name.unwrap_or_else(|| "clip".to_owned()),
            sha256: fingerprint(&(hashes, prompts)),
            preprocess: "clip".to_owned(),
            dim: 1,
            output: Some("cosine of image_embeds and text_embeds".to_owned()),
            input_size: Some(folder.pixels.side),
        })
    }

    /// Bytes of the graphs.
    ///
    /// # Errors
    /// As [`ClipScore::id_of`].
    pub fn weight_bytes(folder: &ClipFolder) -> Result<u64, ModelError> {
        let size = |path: &PathBuf| {
            std::fs::metadata(path).map(|found| found.len()).map_err(|error| unread(path, &error))
        };
        graphs(folder)?.iter().map(size).sum()
    }
}

/// Graphs and the files of their weights.
fn graphs(folder: &ClipFolder) -> Result<Vec<PathBuf>, ModelError> {
    let mut found = Vec::new();
    for graph in folder.graphs.all() {
        found.push(graph.to_owned());
        found.extend(external(graph)?.into_iter().map(|name| graph.with_file_name(name)));
    }
    Ok(found)
}

fn files(folder: &ClipFolder) -> Result<Vec<PathBuf>, ModelError> {
    let mut found = graphs(folder)?;
    let names = DESCRIPTIONS.into_iter().chain(TextTokenizer::files(&folder.path));
    found.extend(names.map(|name| folder.path.join(name)));
    Ok(found)
}

fn unread(path: &Path, error: &std::io::Error) -> ModelError {
    let (path, message) = (path.display().to_string(), format!("cannot be read: {error}"));
    ModelError::Bundle { path, message }
}

fn tokens(tokenizer: &TextTokenizer, text: &str) -> Result<ClipText, ModelError> {
    let tokens = tokenizer.encode(text)?;
    if tokens.n_lost > 0 {
        let (n, length) = (tokens.n_lost, tokens.ids.len());
        tracing::warn!(prompt = text, "the last {n} tokens are lost to CLIP, which takes {length}");
    }
    Ok(ClipText { ids: tokens.ids, n_own: tokens.n_own })
}

/// An embedding at length one.
fn unit(embedding: &[f32], graph: &str) -> Result<Vec<f32>, ModelError> {
    let length = embedding.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        let (context, message) = (graph.to_owned(), "an embedding is zero".to_owned());
        return Err(ModelError::Runtime { context, message });
    }
    #[expect(clippy::cast_possible_truncation, reason = "a part of a unit vector")]
    Ok(embedding.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

impl FeatureExtractor for ClipScore {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, _images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        let (method, model) = ("a CLIP score", self.id.name.clone());
        let reason = "images without samples have no prompts to be held against".to_owned();
        Err(ModelError::NotApplicable { method, model, reason })
    }

    fn extract_samples(
        &mut self,
        images: ArrayView4<'_, u8>,
        samples: &[SampleId],
    ) -> Result<Array2<f32>, ModelError> {
        let (n, channels, height, width) = images.dim();
        if channels != 3 || n != samples.len() || self.texts.is_empty() {
            return Err(ModelError::Shape {
                model: self.id.name.clone(),
                input: "images",
                got: images.shape().to_vec(),
                expected: vec![samples.len(), 3, height, width],
            });
        }
        if n == 0 {
            return Ok(Array2::zeros((0, 1)));
        }
        let pixels = prepared(&images, &self.pixels)
            .map_err(|message| ModelError::Runtime { context: self.id.name.clone(), message })?;
        let embeds = self.network.images(&pixels.view())?;
        let mut cosines = Array2::zeros((n, 1));
        for (row, sample) in samples.iter().enumerate() {
            let at = usize::try_from(sample.0 % self.texts.len() as u64).unwrap_or_default();
            let (image, text) = (embeds.row(row).to_vec(), &self.texts[at]);
            if image.len() != text.len() {
                let message = format!(
                    "image_embeds has {} elements, text_embeds {}: the graphs are of two models, export both from one",
                    image.len(),
                    text.len()
                );
                return Err(ModelError::Bundle { path: self.network.graph().to_owned(), message });
            }
            let image = unit(&image, self.network.graph())?;
            let cosine: f64 =
                image.iter().zip(text).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            #[expect(clippy::cast_possible_truncation, reason = "between -1 and 1")]
            let cosine = cosine as f32;
            cosines[[row, 0]] = cosine;
        }
        Ok(cosines)
    }
}
