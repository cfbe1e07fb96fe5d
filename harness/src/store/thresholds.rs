//! Thresholds of guidance masks as a file: what they are, and what they were made of.
//!
//! Columns: `step` u64 (loop index), and `thresholds` (little-endian f32 of `[c, h, w]`) for one an element, or `threshold` f64
//! for one a step. The metadata hold the facts that a reader compares before it uses them: model, sampler, steps, shape,
//! statistic, draws, images, percentile and the rule by which it was taken.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use crate::canonical::canonical_of;

use super::columns::{Columns, Rows};
use super::digest::{ContentHasher, f32_bytes, f32_values};
use super::envelope::{Envelope, FORMAT, Kind, Provenance, check};
use super::{StoreError, table};

/// The numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum ThresholdValues {
    /// `[n_steps, c, h, w]`.
    Pixel(Array4<f32>),
    /// `[n_steps]`.
    Scalar(Vec<f64>),
}

/// Thresholds, and what they were made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdFile {
    /// Name to value; all of them are compared by a reader.
    pub facts: BTreeMap<String, String>,
    /// The numbers.
    pub values: ThresholdValues,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    facts: BTreeMap<String, String>,
    n_steps: usize,
    /// `[c, h, w]` for one an element.
    shape: Option<[usize; 3]>,
}

/// Digest of facts and numbers.
pub fn content_digest(file: &ThresholdFile) -> String {
    let mut hasher = ContentHasher::default();
    for (name, value) in &file.facts {
        hasher.piece(name, value.as_bytes());
    }
    match &file.values {
        ThresholdValues::Pixel(values) => {
            hasher.piece("shape", canonical_of(&values.shape()).as_bytes());
            hasher.piece("thresholds", &f32_bytes(values));
        }
        ThresholdValues::Scalar(values) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.piece("threshold", &bytes);
        }
    }
    hasher.finish()
}

/// Parquet bytes of thresholds.
///
/// # Errors
/// [`StoreError::Malformed`] when they do not fit in a table, which is a fault of the caller.
pub fn to_bytes(
    path: &Path,
    file: &ThresholdFile,
    id: &str,
    provenance: &Provenance,
) -> Result<Vec<u8>, StoreError> {
    let mut columns = Columns::default();
    let (n_steps, shape) = match &file.values {
        ThresholdValues::Pixel(values) => {
            let (n, c, h, w) = values.dim();
            columns.u64("step", 0..n as u64);
            columns.bytes(path, "thresholds", 4 * c * h * w, f32_bytes(values))?;
            (n, Some([c, h, w]))
        }
        ThresholdValues::Scalar(values) => {
            columns.u64("step", 0..values.len() as u64);
            columns.f64("threshold", values.iter().copied());
            (values.len(), None)
        }
    };
    let detail = Detail { facts: file.facts.clone(), n_steps, shape };
    let envelope = Envelope {
        format: FORMAT,
        kind: Kind::Thresholds,
        stage_id: id.to_owned(),
        content_sha256: content_digest(file),
        provenance: provenance.clone(),
        detail: serde_json::to_value(detail).map_err(StoreError::decode(path))?,
    };
    table::to_bytes(path, &columns.finish(path)?, &envelope)
}

/// Reads thresholds, whatever they are of. Their hash is the caller's business: see [`super::sidecar`].
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`].
pub fn read(path: &Path) -> Result<ThresholdFile, StoreError> {
    let (envelope, batch) = table::read(path, Kind::Thresholds, |_| true)?;
    let Detail { facts, n_steps, shape } =
        serde_json::from_value(envelope.detail).map_err(StoreError::decode(path))?;
    let rows = Rows { path, batch: &batch };
    let values = match shape {
        Some([c, h, w]) => {
            let values = f32_values(&rows.bytes("thresholds", 4 * c * h * w)?);
            let values = Array4::from_shape_vec((n_steps, c, h, w), values);
            ThresholdValues::Pixel(values.map_err(StoreError::decode(path))?)
        }
        None => ThresholdValues::Scalar(rows.f64("threshold")?),
    };
    let file = ThresholdFile { facts, values };
    let got = content_digest(&file);
    if got == envelope.content_sha256 {
        return Ok(file);
    }
    let expected = envelope.content_sha256;
    let message = format!("the digest of its content is {got}, its metadata say {expected}");
    Err(StoreError::malformed(path, message))
}

/// Digest that thresholds claim for their content.
///
/// # Errors
/// As [`read`].
pub fn claims(path: &Path) -> Result<String, StoreError> {
    Ok(table::read_envelope(path, Kind::Thresholds)?.content_sha256)
}

/// Refuses thresholds that were made of something else, naming the first fact that differs.
///
/// # Errors
/// [`StoreError::Mismatch`].
pub fn compare(
    path: &Path,
    file: &ThresholdFile,
    expected: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let show = |value: Option<&String>| value.map_or("absent".to_owned(), Clone::clone);
    for name in expected.keys().chain(file.facts.keys()) {
        let (got, expected) = (show(file.facts.get(name)), show(expected.get(name)));
        check(path, name, &got, &expected)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    fn example(values: ThresholdValues) -> ThresholdFile {
        let facts = [("model", "a"), ("n_steps", "2"), ("percentile", "0.95")];
        let facts = facts.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        ThresholdFile { facts, values }
    }

    #[test]
    fn both_kinds_survive_their_file_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thresholds.parquet");
        let pixel = Array4::from_shape_fn((2, 1, 2, 2), |(i, _, y, x)| {
            f32::from_bits(0x3f80_0001 + u32::try_from(4 * i + 2 * y + x).unwrap())
        });
        let scalar = vec![f64::from_bits(0x3ff0_0000_0000_0001), 2.0];
        for values in [ThresholdValues::Pixel(pixel), ThresholdValues::Scalar(scalar)] {
            let file = example(values);
            let bytes = to_bytes(&path, &file, "id", &Provenance::new("none", "cpu")).unwrap();
            super::super::publish(&path, &bytes).unwrap();
            assert_eq!(read(&path).unwrap(), file);
            assert_eq!(claims(&path).unwrap(), content_digest(&file));
        }
    }

    #[test]
    fn every_fact_that_differs_is_named() {
        let file = example(ThresholdValues::Scalar(vec![1.0, 2.0]));
        let path = Path::new("thresholds.parquet");
        compare(path, &file, &file.facts).unwrap();
        for name in ["model", "n_steps", "percentile", "more"] {
            let mut expected = file.facts.clone();
            expected.insert(name.to_owned(), "else".to_owned());
            let error = compare(path, &file, &expected).unwrap_err();
            assert_eq!(error.exit(), Exit::Input);
            assert!(error.to_string().contains(&format!("{name} is")), "{error}");
        }
    }
}
