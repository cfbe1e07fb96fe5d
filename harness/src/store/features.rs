//! Parts of features: one Parquet file a block, keyed by the images that they are features of.
//!
//! Columns: `sample_id` u64, `feature` (little-endian f32 of `[d]`).

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, Rows};
use super::digest::{ContentHasher, f32_bytes, f32_values};
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::{StoreError, table};
use crate::units::{BlockId, SampleId};

/// Features of one block of images.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePart {
    /// Block number.
    pub block: BlockId,
    /// Sample ids, ascending.
    pub samples: Vec<SampleId>,
    /// Features `[n, d]`, f32.
    pub features: Array2<f32>,
    /// [`super::part::images_digest`] of the images.
    pub images_sha256: String,
    /// Wall time of the block.
    pub seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    block: u64,
    n: usize,
    dim: usize,
    images_sha256: String,
    seconds: f64,
}

/// Digest of what a part says: everything but the time.
pub fn content_digest(part: &FeaturePart) -> String {
    let mut hasher = ContentHasher::default();
    let ids: Vec<u8> = part.samples.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    hasher.piece("samples", &ids).piece("images", part.images_sha256.as_bytes());
    hasher.piece("dim", &(part.features.ncols() as u64).to_le_bytes());
    hasher.piece("features", &f32_bytes(&part.features));
    hasher.finish()
}

/// Parquet bytes of a part.
///
/// # Errors
/// [`StoreError::Malformed`] when ids and features differ in number.
pub fn to_bytes(
    path: &Path,
    part: &FeaturePart,
    stage_id: &str,
    provenance: &Provenance,
) -> Result<Vec<u8>, StoreError> {
    let mut columns = Columns::default();
    columns.u64("sample_id", part.samples.iter().map(|id| id.0));
    let dim = part.features.ncols();
    columns.bytes(path, "feature", 4 * dim, f32_bytes(&part.features))?;
    let detail = Detail {
        block: part.block.0,
        n: part.samples.len(),
        dim,
        images_sha256: part.images_sha256.clone(),
        seconds: part.seconds,
    };
    let envelope = Envelope {
        format: FORMAT,
        kind: Kind::Features,
        stage_id: stage_id.to_owned(),
        content_sha256: content_digest(part),
        provenance: provenance.clone(),
        detail: serde_json::to_value(detail).map_err(StoreError::decode(path))?,
    };
    table::to_bytes(path, &columns.finish(path)?, &envelope)
}

/// Reads a part of the stage `stage_id`.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`], [`StoreError::Mismatch`] for a part of another plan.
pub fn read(path: &Path, stage_id: &str) -> Result<FeaturePart, StoreError> {
    let (envelope, batch) = table::read(path, Kind::Features, |_| true)?;
    let detail = detail_of(path, stage_id, &envelope)?;
    let rows = Rows { path, batch: &batch };
    let values = f32_values(&rows.bytes("feature", 4 * detail.dim)?);
    let features =
        Array2::from_shape_vec((detail.n, detail.dim), values).map_err(StoreError::decode(path))?;
    Ok(FeaturePart {
        block: BlockId(detail.block),
        samples: rows.u64("sample_id")?.into_iter().map(SampleId).collect(),
        features,
        images_sha256: detail.images_sha256,
        seconds: detail.seconds,
    })
}

/// What a part says of its content without its columns being read.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// [`content_digest`].
    pub content_sha256: String,
    /// Digest of the images that these are the features of.
    pub images_sha256: String,
    /// Wall time of the block.
    pub seconds: f64,
}

/// The claims of a part of the stage `stage_id`.
///
/// # Errors
/// As [`read`].
pub fn claims(path: &Path, stage_id: &str) -> Result<Claims, StoreError> {
    let envelope = table::read_envelope(path, Kind::Features)?;
    let Detail { images_sha256, seconds, .. } = detail_of(path, stage_id, &envelope)?;
    Ok(Claims { content_sha256: envelope.content_sha256, images_sha256, seconds })
}

fn detail_of(path: &Path, stage_id: &str, envelope: &Envelope) -> Result<Detail, StoreError> {
    envelope.belongs_to(path, stage_id)?;
    serde_json::from_value(envelope.detail.clone()).map_err(StoreError::decode(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_survive_their_file_bit_for_bit() {
        let part = FeaturePart {
            block: BlockId(1),
            samples: (64..67).map(SampleId).collect(),
            features: Array2::from_shape_fn((3, 7), |(i, j)| (1.0 + i as f32) / (3.0 + j as f32)),
            images_sha256: "ab".repeat(32),
            seconds: 0.5,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block-000001.parquet");
        let bytes = to_bytes(&path, &part, "stage", &Provenance::new("none", "cpu")).unwrap();
        super::super::publish(&path, &bytes).unwrap();
        assert_eq!(read(&path, "stage").unwrap(), part);
        assert_eq!(claims(&path, "stage").unwrap().images_sha256, part.images_sha256);
        assert!(matches!(read(&path, "other"), Err(StoreError::Mismatch { .. })));
    }
}
