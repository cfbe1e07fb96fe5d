//! Parts of a threshold set: the uncertainty maps of a block of images, a column a step.
//!
//! Columns: `sample_id` u64, and for every loop index i `map:i` (little-endian f32 of `[c, h, w]`). A reader takes one step of
//! all blocks at a time, so its memory does not grow with the number of steps. Every column has a digest of its own.

use std::path::Path;

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, Rows};
use super::digest::{ContentHasher, f32_bytes, f32_values};
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::{StoreError, table};
use crate::canonical::canonical_of;
use crate::units::{BlockId, SampleId};

/// Maps of one block of images of a threshold set.
#[derive(Clone, Debug, PartialEq)]
pub struct MapPart {
    /// Block number over all sets of the plan.
    pub block: BlockId,
    /// Sample ids, ascending.
    pub samples: Vec<SampleId>,
    /// One map `[n, c, h, w]` a step, f32.
    pub steps: Vec<Array4<f32>>,
    /// Wall time of the block.
    pub seconds: f64,
    /// Wall time inside the network.
    pub network_seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    block: u64,
    n: usize,
    /// `[c, h, w]`.
    map: [usize; 3],
    /// Digest of each column of maps, in the order of the steps.
    steps_sha256: Vec<String>,
    seconds: f64,
    network_seconds: f64,
}

fn column(step: usize) -> String {
    format!("map:{step}")
}

fn step_digest(maps: &Array4<f32>) -> String {
    let mut hasher = ContentHasher::default();
    hasher.piece("map", &f32_bytes(maps));
    hasher.finish()
}

fn digest(samples: &[SampleId], map: [usize; 3], steps: &[String]) -> String {
    let mut hasher = ContentHasher::default();
    let ids: Vec<u8> = samples.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    hasher.piece("samples", &ids).piece("shape", canonical_of(&map).as_bytes());
    for step in steps {
        hasher.piece("step", step.as_bytes());
    }
    hasher.finish()
}

fn map_shape(part: &MapPart) -> [usize; 3] {
    part.steps.first().map_or([0; 3], |maps| {
        let (_, c, h, w) = maps.dim();
        [c, h, w]
    })
}

/// Digest of what a part says: everything but the times.
pub fn content_digest(part: &MapPart) -> String {
    let steps: Vec<String> = part.steps.iter().map(step_digest).collect();
    digest(&part.samples, map_shape(part), &steps)
}

/// Parquet bytes of a part.
///
/// # Errors
/// [`StoreError::Malformed`] when rows of the part differ in number.
pub fn to_bytes(
    path: &Path,
    part: &MapPart,
    stage_id: &str,
    provenance: &Provenance,
) -> Result<Vec<u8>, StoreError> {
    let map = map_shape(part);
    let width = 4 * map.iter().product::<usize>();
    let mut columns = Columns::default();
    columns.u64("sample_id", part.samples.iter().map(|id| id.0));
    for (step, maps) in part.steps.iter().enumerate() {
        columns.bytes(path, &column(step), width, f32_bytes(maps))?;
    }
    let steps_sha256: Vec<String> = part.steps.iter().map(step_digest).collect();
    let envelope = Envelope {
        format: FORMAT,
        kind: Kind::Maps,
        stage_id: stage_id.to_owned(),
        content_sha256: digest(&part.samples, map, &steps_sha256),
        provenance: provenance.clone(),
        detail: serde_json::to_value(Detail {
            block: part.block.0,
            n: part.samples.len(),
            map,
            steps_sha256,
            seconds: part.seconds,
            network_seconds: part.network_seconds,
        })
        .map_err(StoreError::decode(path))?,
    };
    table::to_bytes(path, &columns.finish(path)?, &envelope)
}

/// Digest that a part claims for its content, and digest of what it holds.
///
/// # Errors
/// As [`read_step`], and [`StoreError::Malformed`] for a column whose digest is another one.
pub fn claimed_and_actual(path: &Path, stage_id: &str) -> Result<[String; 2], StoreError> {
    let (envelope, detail) = detail(path, stage_id)?;
    let (_, batch) = table::read(path, Kind::Maps, |name| name == "sample_id")?;
    let samples: Vec<SampleId> =
        Rows { path, batch: &batch }.u64("sample_id")?.into_iter().map(SampleId).collect();
    for step in 0..detail.steps_sha256.len() {
        read_column(path, &detail, step)?;
    }
    let actual = digest(&samples, detail.map, &detail.steps_sha256);
    Ok([envelope.content_sha256, actual])
}

/// Digest that a part of the stage `stage_id` claims for its content.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`], [`StoreError::Mismatch`] for a part of another plan.
pub fn claims(path: &Path, stage_id: &str) -> Result<String, StoreError> {
    Ok(detail(path, stage_id)?.0.content_sha256)
}

/// The maps `[n, c, h, w]` of one step; no other column is read.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`] for a step that is not there or damaged, [`StoreError::Mismatch`] for a
/// part of another plan.
pub fn read_step(path: &Path, stage_id: &str, step: usize) -> Result<Array4<f32>, StoreError> {
    read_column(path, &detail(path, stage_id)?.1, step)
}

fn read_column(path: &Path, detail: &Detail, step: usize) -> Result<Array4<f32>, StoreError> {
    let name = column(step);
    let Some(expected) = detail.steps_sha256.get(step) else {
        let message = format!("it has {} steps, no step {step}", detail.steps_sha256.len());
        return Err(StoreError::malformed(path, message));
    };
    let (_, batch) = table::read(path, Kind::Maps, |column| column == name)?;
    let [c, h, w] = detail.map;
    let values = f32_values(&Rows { path, batch: &batch }.bytes(&name, 4 * c * h * w)?);
    let maps =
        Array4::from_shape_vec((detail.n, c, h, w), values).map_err(StoreError::decode(path))?;
    let got = step_digest(&maps);
    if got == *expected {
        return Ok(maps);
    }
    let message = format!("the digest of column {name} is {got}, its metadata say {expected}");
    Err(StoreError::malformed(path, message))
}

fn detail(path: &Path, stage_id: &str) -> Result<(Envelope, Detail), StoreError> {
    let envelope = table::read_envelope(path, Kind::Maps)?;
    envelope.belongs_to(path, stage_id)?;
    let detail =
        serde_json::from_value(envelope.detail.clone()).map_err(StoreError::decode(path))?;
    Ok((envelope, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> MapPart {
        let maps = |scale: f32| {
            Array4::from_shape_fn((3, 2, 2, 2), |(i, c, y, x)| {
                scale * (i * 8 + c * 4 + y * 2 + x) as f32
            })
        };
        MapPart {
            block: BlockId(4),
            samples: (100..103).map(SampleId).collect(),
            steps: vec![maps(0.5), maps(-2.0)],
            seconds: 2.0,
            network_seconds: 1.0,
        }
    }

    fn written(part: &MapPart) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block-000004.parquet");
        let bytes = to_bytes(&path, part, "stage", &Provenance::new("none", "cpu")).unwrap();
        super::super::publish(&path, &bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn every_step_is_read_by_itself() {
        let part = example();
        let (_folder, path) = written(&part);
        for step in 0..2 {
            assert_eq!(read_step(&path, "stage", step).unwrap(), part.steps[step]);
        }
        let message = read_step(&path, "stage", 2).unwrap_err().to_string();
        assert!(message.contains("2 steps, no step 2"), "{message}");
        let [claimed, actual] = claimed_and_actual(&path, "stage").unwrap();
        assert_eq!((&claimed, &actual), (&content_digest(&part), &content_digest(&part)));
        assert_eq!(claims(&path, "stage").unwrap(), claimed);
        let error = read_step(&path, "other", 0).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    }

    #[test]
    fn the_digest_covers_content_and_leaves_times_out() {
        let part = example();
        let digest = content_digest(&part);
        let changed = |change: &dyn Fn(&mut MapPart)| {
            let mut other = part.clone();
            change(&mut other);
            content_digest(&other) != digest
        };
        assert!(!changed(&|part| part.seconds = 9.0));
        assert!(changed(&|part| part.samples[2].0 += 1));
        assert!(changed(&|part| part.steps[1][[0, 1, 1, 1]] += 1e-5));
        assert!(changed(&|part| drop(part.steps.pop())));
    }
}
