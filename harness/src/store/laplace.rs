//! A last-layer posterior as a file: the diagonal Fisher information of the layer, and what it was fitted on.
//!
//! Columns: `part` (`weight` or `bias`) and `fisher` f64, one row a parameter, in the layout of the weights. The metadata hold the
//! facts: model files, layer, images, seed, times, what `fisher` is. Noise and prior precision are those of whoever reads it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::columns::{Columns, Rows};
use super::digest::ContentHasher;
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::{sidecar, table};

/// The Fisher information of a last layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LaplaceFile {
    /// Model, by name.
    pub model: String,
    /// Its files, and the hash of each.
    pub model_files: BTreeMap<String, String>,
    /// Everything else that it was fitted on: name to value.
    pub facts: BTreeMap<String, String>,
    /// Images.
    pub n_images: u64,
    /// One number a weight.
    pub weight: Vec<f64>,
    /// One number a bias, where the layer has some.
    pub bias: Option<Vec<f64>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    model: String,
    model_files: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    n_images: u64,
    n_bias: Option<usize>,
}

/// Digest of facts and numbers.
pub fn content_digest(file: &LaplaceFile) -> String {
    let mut hasher = ContentHasher::default();
    hasher.piece("model", file.model.as_bytes());
    hasher.piece("n_images", &file.n_images.to_le_bytes());
    for (name, value) in file.model_files.iter().chain(&file.facts) {
        hasher.piece(name, value.as_bytes());
    }
    for (name, values) in [("weight", Some(&file.weight)), ("bias", file.bias.as_ref())] {
        let bytes = values.map(|values| values.iter().flat_map(|v| v.to_le_bytes()).collect());
        hasher.piece(name, &bytes.unwrap_or_else(Vec::new));
    }
    hasher.finish()
}

/// Publishes the file and the hash beside it, replacing earlier ones.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(path: &Path, file: &LaplaceFile, provenance: &Provenance) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    let n_bias = file.bias.as_ref().map(Vec::len);
    let parts = std::iter::repeat_n("weight", file.weight.len())
        .chain(std::iter::repeat_n("bias", n_bias.unwrap_or(0)));
    columns.text("part", parts);
    let values = file.weight.iter().chain(file.bias.iter().flatten());
    columns.f64("fisher", values.copied());
    let detail = Detail {
        model: file.model.clone(),
        model_files: file.model_files.clone(),
        facts: file.facts.clone(),
        n_images: file.n_images,
        n_bias,
    };
    let digest = content_digest(file);
    let envelope = Envelope {
        format: FORMAT,
        kind: Kind::Laplace,
        stage_id: digest.clone(),
        content_sha256: digest,
        provenance: provenance.clone(),
        detail: serde_json::to_value(detail).map_err(StoreError::decode(path))?,
    };
    let bytes = table::to_bytes(path, &columns.finish(path)?, &envelope)?;
    sidecar::publish_sealed(path, &bytes)
}

/// Reads a file that stands with its hash.
///
/// # Errors
/// [`StoreError::Read`] when there is none, [`StoreError::Unsealed`] without its hash, [`StoreError::Damaged`] and
/// [`StoreError::Malformed`] for one that is not what was written, or that holds no information: a number that is negative or
/// not finite.
pub fn read(path: &Path) -> Result<LaplaceFile, StoreError> {
    sidecar::require(path)?;
    let (envelope, batch) = table::read(path, Kind::Laplace, |name| name == "fisher")?;
    let Detail { model, model_files, facts, n_images, n_bias } =
        serde_json::from_value(envelope.detail).map_err(StoreError::decode(path))?;
    let mut weight = Rows { path, batch: &batch }.f64("fisher")?;
    if weight.iter().any(|value| !(value.is_finite() && *value >= 0.0)) {
        return Err(StoreError::malformed(
            path,
            "a Fisher information is not a number of 0 or more",
        ));
    }
    let bias = match n_bias {
        None => None,
        Some(n) if n <= weight.len() => Some(weight.split_off(weight.len() - n)),
        Some(n) => {
            let message = format!("it has {} rows, its metadata say {n} biases", weight.len());
            return Err(StoreError::malformed(path, message));
        }
    };
    let file = LaplaceFile { model, model_files, facts, n_images, weight, bias };
    let (got, expected) = (content_digest(&file), envelope.content_sha256);
    if got == expected {
        return Ok(file);
    }
    let message = format!("the digest of its content is {got}, its metadata say {expected}");
    Err(StoreError::malformed(path, message))
}

impl LaplaceFile {
    /// Refuses a posterior of another model, naming the file that differs.
    ///
    /// # Errors
    /// [`StoreError::Input`].
    pub fn check_model(
        &self,
        path: &Path,
        (name, files): (&str, &BTreeMap<String, String>),
    ) -> Result<(), StoreError> {
        let show = |value: Option<&String>| value.map_or("absent".to_owned(), Clone::clone);
        let differs = files
            .keys()
            .chain(self.model_files.keys())
            .find(|file| files.get(*file) != self.model_files.get(*file));
        let Some(file) = differs else { return Ok(()) };
        let (got, expected) = (show(self.model_files.get(file)), show(files.get(file)));
        let message = format!(
            "it was fitted on model {}, whose {file} has sha256 {got}; that of {name} is {expected}: run `dubench fit-laplace` on the bundle of {name}",
            self.model
        );
        Err(StoreError::input(path, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    fn example(bias: Option<Vec<f64>>) -> LaplaceFile {
        let text = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        LaplaceFile {
            model: "a".into(),
            model_files: text(&[("denoiser.onnx", "11"), ("model.yaml", "22")]),
            facts: text(&[("seed", "0")]),
            n_images: 3,
            weight: vec![f64::from_bits(0x3ff0_0000_0000_0001), 0.0, 2.5],
            bias,
        }
    }

    #[test]
    fn a_file_survives_bit_for_bit_and_is_refused_without_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("laplace.parquet");
        for bias in [None, Some(vec![1.0, 7.0])] {
            let file = example(bias);
            write(&path, &file, &Provenance::new("none", "cpu")).unwrap();
            assert_eq!(read(&path).unwrap(), file);
        }
        std::fs::remove_file(sidecar::sidecar_path(&path)).unwrap();
        assert_eq!(read(&path).unwrap_err().exit(), Exit::Integrity);
        let none = read(&folder.path().join("none.parquet")).unwrap_err();
        assert_eq!(none.exit(), Exit::Input);
    }

    #[test]
    fn numbers_that_are_no_information_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("laplace.parquet");
        let file = LaplaceFile { weight: vec![-1.0], ..example(None) };
        write(&path, &file, &Provenance::new("none", "cpu")).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("0 or more"));
    }

    #[test]
    fn another_model_is_refused_by_the_file_that_differs() {
        let (file, path) = (example(None), Path::new("laplace.parquet"));
        let mut files = file.model_files.clone();
        file.check_model(path, ("a", &files)).unwrap();
        files.insert("denoiser.onnx".to_owned(), "33".to_owned());
        let error = file.check_model(path, ("b", &files)).unwrap_err();
        assert_eq!(error.exit(), Exit::Input);
        let text = error.to_string();
        assert!(
            text.contains("denoiser.onnx has sha256 11") && text.contains("fit-laplace"),
            "{text}"
        );
    }
}
