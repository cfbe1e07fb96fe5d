//! Parts of generated images: one Parquet file a block.
//!
//! Columns: `sample_id` u64 (the true one, in every arm), `label` u32 where the model has classes, `image` (bytes of
//! `[3, H, W]` u8), and for every method `score:NAME` f64 and, where maps are kept, `map:NAME` (little-endian f32 of
//! `[1, H, W]` or `[c, h, w]`); sums over the late steps are `score:NAME:late` and `map:NAME:late`, those of single
//! steps `score:NAME:step:I` and `map:NAME:step:I`; of an estimator that can fall below zero, `score:NAME:negative` is the
//! share of elements that do. The arm, shapes, evaluation counts and times stand in the envelope.

use std::path::Path;

use ndarray::Array4;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, Rows};
use super::digest::{ContentHasher, f32_bytes, f32_values};
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::records::{Array3Map, ImagePart, MethodScores, Span, Timed};
use super::{StoreError, table};
use crate::canonical::canonical_of;
use crate::units::{BlockId, ClassLabel, Nfe, SampleId};

/// What the envelope of a part tells beyond its columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    block: u64,
    arm: String,
    n: usize,
    /// `[3, H, W]`.
    image: [usize; 3],
    images_sha256: String,
    labelled: bool,
    methods: Vec<MethodDetail>,
    nfe_trajectory: u64,
    seconds: f64,
    network_seconds: f64,
    /// Only where wall times are evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timed: Option<Timed>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodDetail {
    method: String,
    span: Span,
    /// `[1, H, W]` or `[c, h, w]`.
    map: Option<[usize; 3]>,
    nfe: Nfe,
    network_seconds: f64,
}

impl Detail {
    fn of(part: &ImagePart) -> Self {
        let (_, c, h, w) = part.images.dim();
        Self {
            block: part.block.0,
            arm: part.arm.clone(),
            n: part.samples.len(),
            image: [c, h, w],
            images_sha256: images_digest(&part.images),
            labelled: part.labels.is_some(),
            methods: part.scores.iter().map(MethodDetail::of).collect(),
            nfe_trajectory: part.nfe_trajectory,
            seconds: part.seconds,
            network_seconds: part.network_seconds,
            timed: part.timed,
        }
    }
}

impl MethodDetail {
    fn of(method: &MethodScores) -> Self {
        Self {
            method: method.method.clone(),
            span: method.span,
            map: map_shape(method),
            nfe: method.nfe,
            network_seconds: method.network_seconds,
        }
    }
}

/// Shape of the maps of a method that has some.
fn map_shape(method: &MethodScores) -> Option<[usize; 3]> {
    method.map.as_ref()?.first().map(|map| <[usize; 3]>::from(map.dim()))
}

/// Which columns a reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Images, scores, maps.
    All,
    /// Scores; images have zero rows and maps are `None`.
    Scores,
}

/// Digest of what a part says: everything but the times.
pub fn content_digest(part: &ImagePart) -> String {
    let mut hasher = ContentHasher::default();
    let ids: Vec<u8> = part.samples.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    hasher.piece("arm", part.arm.as_bytes()).piece("samples", &ids);
    if let Some(labels) = &part.labels {
        let bytes: Vec<u8> = labels.iter().flat_map(|label| label.0.to_le_bytes()).collect();
        hasher.piece("labels", &bytes);
    }
    hasher.piece("image shape", &shape_bytes(&part.images));
    hasher.piece("images", &part.images.iter().copied().collect::<Vec<u8>>());
    hasher.piece("nfe", &part.nfe_trajectory.to_le_bytes());
    for method in &part.scores {
        let scores: Vec<u8> = method.score.iter().flat_map(|score| score.to_le_bytes()).collect();
        hasher.piece(&name_of(&method.method, method.span), &scores);
        hasher.piece("nfe", canonical_of(&method.nfe).as_bytes());
        for map in method.map.iter().flatten() {
            hasher.piece("map", &f32_bytes(map));
        }
    }
    hasher.finish()
}

/// Sides of an array, u64 little-endian.
fn shape_bytes(images: &Array4<u8>) -> Vec<u8> {
    images.shape().iter().flat_map(|side| (*side as u64).to_le_bytes()).collect()
}

/// Name of a method's columns.
fn name_of(method: &str, span: Span) -> String {
    format!("{method}{}", span.suffix())
}

/// Digest of the images of a part, in order: what features depend on.
pub fn images_digest(images: &Array4<u8>) -> String {
    let mut hasher = ContentHasher::default();
    hasher.piece("image shape", &shape_bytes(images));
    hasher.piece("images", &images.iter().copied().collect::<Vec<u8>>());
    hasher.finish()
}

/// Parquet bytes of a part.
///
/// # Errors
/// [`StoreError::Malformed`] when rows of the part differ in number.
pub fn to_bytes(
    path: &Path,
    part: &ImagePart,
    stage_id: &str,
    provenance: &Provenance,
) -> Result<Vec<u8>, StoreError> {
    let mut columns = columns(path, part)?;
    let envelope = Envelope {
        format: FORMAT,
        kind: Kind::Images,
        stage_id: stage_id.to_owned(),
        content_sha256: content_digest(part),
        provenance: provenance.clone(),
        detail: serde_json::to_value(Detail::of(part)).map_err(StoreError::decode(path))?,
    };
    table::to_bytes(path, &columns.finish(path)?, &envelope)
}

/// The columns of a part, those of its methods behind its own.
fn columns(path: &Path, part: &ImagePart) -> Result<Columns, StoreError> {
    let (_, c, h, w) = part.images.dim();
    let mut columns = Columns::default();
    columns.u64("sample_id", part.samples.iter().map(|id| id.0));
    if let Some(labels) = &part.labels {
        columns.u32("label", labels.iter().map(|label| label.0));
    }
    columns.bytes(path, "image", c * h * w, part.images.iter().copied().collect())?;
    for method in &part.scores {
        let name = name_of(&method.method, method.span);
        columns.f64(&format!("score:{name}"), method.score.iter().copied());
        if let (Some([c, h, w]), Some(maps)) = (map_shape(method), &method.map) {
            let bytes = f32_bytes(maps.iter().flatten());
            columns.bytes(path, &format!("map:{name}"), 4 * c * h * w, bytes)?;
        }
    }
    Ok(columns)
}

/// Reads a part of the stage `stage_id`. Its hash is the caller's business: see [`super::sidecar`].
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`], [`StoreError::Mismatch`] for a part of another plan.
pub fn read(path: &Path, stage_id: &str, parts: Parts) -> Result<ImagePart, StoreError> {
    let wanted = |name: &str| match parts {
        Parts::All => true,
        Parts::Scores => name != "image" && !name.starts_with("map:"),
    };
    let (envelope, batch) = table::read(path, Kind::Images, wanted)?;
    envelope.belongs_to(path, stage_id)?;
    let detail: Detail =
        serde_json::from_value(envelope.detail).map_err(StoreError::decode(path))?;
    if batch.num_rows() != detail.n {
        let message = format!("{} rows, its metadata say {}", batch.num_rows(), detail.n);
        return Err(StoreError::malformed(path, message));
    }
    let rows = Rows { path, batch: &batch };
    let images = images(rows, &detail, parts)?;
    let labels = if detail.labelled {
        Some(rows.u32("label")?.into_iter().map(ClassLabel).collect())
    } else {
        None
    };
    Ok(ImagePart {
        block: BlockId(detail.block),
        arm: detail.arm,
        samples: rows.u64("sample_id")?.into_iter().map(SampleId).collect(),
        labels,
        images,
        scores: detail
            .methods
            .iter()
            .map(|method| method_scores(rows, method, parts))
            .collect::<Result<_, _>>()?,
        nfe_trajectory: detail.nfe_trajectory,
        seconds: detail.seconds,
        network_seconds: detail.network_seconds,
        timed: detail.timed,
    })
}

/// The images of a part; zero rows of them where only scores are asked for.
fn images(rows: Rows<'_>, detail: &Detail, parts: Parts) -> Result<Array4<u8>, StoreError> {
    let [c, h, w] = detail.image;
    let (n, bytes) = match parts {
        Parts::All => (detail.n, rows.bytes("image", c * h * w)?),
        Parts::Scores => (0, Vec::new()),
    };
    Array4::from_shape_vec((n, c, h, w), bytes).map_err(StoreError::decode(rows.path))
}

fn method_scores(
    rows: Rows<'_>,
    detail: &MethodDetail,
    parts: Parts,
) -> Result<MethodScores, StoreError> {
    let name = name_of(&detail.method, detail.span);
    let map = match (detail.map, parts) {
        (Some([c, h, w]), Parts::All) => {
            let bytes = rows.bytes(&format!("map:{name}"), 4 * c * h * w)?;
            let maps = bytes.chunks_exact(4 * c * h * w).map(|chunk| {
                Array3Map::from_shape_vec((c, h, w), f32_values(chunk))
                    .map_err(StoreError::decode(rows.path))
            });
            Some(maps.collect::<Result<_, _>>()?)
        }
        _ => None,
    };
    Ok(MethodScores {
        method: detail.method.clone(),
        span: detail.span,
        score: rows.f64(&format!("score:{name}"))?,
        map,
        nfe: detail.nfe,
        network_seconds: detail.network_seconds,
    })
}

/// What a part says of itself without its columns being read.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The block that it is of.
    pub block: BlockId,
    /// [`content_digest`].
    pub content_sha256: String,
    /// [`images_digest`].
    pub images_sha256: String,
    /// Wall time of the block.
    pub seconds: f64,
    /// Wall time inside the network.
    pub network_seconds: f64,
}

/// The claims of a part of the stage `stage_id`.
///
/// # Errors
/// As [`read`].
pub fn claims(path: &Path, stage_id: &str) -> Result<Claims, StoreError> {
    let envelope = table::read_envelope(path, Kind::Images)?;
    envelope.belongs_to(path, stage_id)?;
    let detail: Detail =
        serde_json::from_value(envelope.detail).map_err(StoreError::decode(path))?;
    let Detail { block, images_sha256, seconds, network_seconds, .. } = detail;
    let content_sha256 = envelope.content_sha256;
    Ok(Claims { block: BlockId(block), content_sha256, images_sha256, seconds, network_seconds })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> ImagePart {
        let n = 5;
        let value = |index: usize| f32::from(u16::try_from(index).unwrap());
        let maps = |scale: f32| {
            let map = |i: usize| {
                Array3Map::from_shape_fn((1, 2, 4), |(_, y, x)| scale * value(i * 8 + y * 4 + x))
            };
            Some((0..n).map(map).collect())
        };
        let method = |name: &str, map: Option<Vec<Array3Map>>| MethodScores {
            method: name.into(),
            span: Span::Window,
            score: (0..n).map(|i| 0.1 + i as f64).collect(),
            map,
            nfe: Nfe { estimator: 20, ..Nfe::default() },
            network_seconds: 0.25,
        };
        ImagePart {
            block: BlockId(3),
            arm: "pool".into(),
            samples: (10..15).map(SampleId).collect(),
            labels: Some((0..5).map(ClassLabel).collect()),
            images: Array4::from_shape_fn((n, 3, 2, 4), |(i, c, y, x)| {
                u8::try_from(i * 24 + c * 8 + y * 4 + x).unwrap()
            }),
            scores: vec![method("sample_var", maps(0.5)), method("total_variation", None)],
            nfe_trajectory: 50,
            seconds: 1.5,
            network_seconds: 1.25,
            timed: None,
        }
    }

    fn written(part: &ImagePart) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("block-000003.parquet");
        let provenance = Provenance::new("closed form", "cpu");
        let bytes = to_bytes(&path, part, "stage", &provenance).unwrap();
        super::super::publish(&path, &bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_part_survives_its_file_bit_for_bit() {
        let mut part = example();
        part.scores[0].score[1] = f64::from_bits(0x3ff0_0000_0000_0001);
        let (_folder, path) = written(&part);
        assert_eq!(read(&path, "stage", Parts::All).unwrap(), part);
        part.labels = None;
        let (_folder, path) = written(&part);
        assert_eq!(read(&path, "stage", Parts::All).unwrap(), part);
        let claims = claims(&path, "stage").unwrap();
        assert_eq!(claims.content_sha256, content_digest(&part));
        assert_eq!(claims.images_sha256, images_digest(&part.images));
    }

    #[test]
    fn scores_are_read_without_images_and_maps() {
        let part = example();
        let (_folder, path) = written(&part);
        let scores = read(&path, "stage", Parts::Scores).unwrap();
        assert_eq!(scores.images.dim(), (0, 3, 2, 4));
        assert!(scores.scores.iter().all(|method| method.map.is_none()));
        assert_eq!(scores.scores[0].score, part.scores[0].score);
        assert_eq!(scores.samples, part.samples);
    }

    #[test]
    fn the_digest_covers_content_and_leaves_times_out() {
        let part = example();
        let digest = content_digest(&part);
        let changed = |change: &dyn Fn(&mut ImagePart)| {
            let mut other = part.clone();
            change(&mut other);
            content_digest(&other) != digest
        };
        assert!(!changed(&|part| part.seconds = 9.0));
        assert!(!changed(&|part| part.network_seconds = 9.0));
        assert!(!changed(&|part| part.scores[0].network_seconds = 9.0));
        assert!(changed(&|part| part.samples[0].0 += 1));
        assert!(changed(&|part| part.arm.push('x')));
        assert!(changed(&|part| part.scores[0].span = Span::Late));
        assert!(changed(&|part| part.labels = None));
        assert!(changed(&|part| part.images[[0, 0, 0, 0]] += 1));
        assert!(changed(&|part| part.scores[1].score[4] += 1e-12));
        assert!(changed(&|part| part.scores[0].map.as_mut().unwrap()[0][[0, 0, 0]] += 1e-6));
        assert!(changed(&|part| part.scores[0].nfe.estimator += 1));
        assert!(changed(&|part| part.nfe_trajectory += 1));
    }

    #[test]
    fn a_part_of_another_plan_is_refused_by_name() {
        let (_folder, path) = written(&example());
        let error = read(&path, "other", Parts::All).unwrap_err();
        assert!(matches!(&error, StoreError::Mismatch { field, .. } if field == "plan"), "{error}");
    }

    #[test]
    fn truncated_files_are_malformed_and_never_panic() {
        let (_folder, path) = written(&example());
        let bytes = std::fs::read(&path).unwrap();
        for len in (0..bytes.len()).step_by(97) {
            super::super::publish(&path, &bytes[..len]).unwrap();
            let error = read(&path, "stage", Parts::All).unwrap_err();
            assert!(matches!(error, StoreError::Malformed { .. }), "{len}: {error}");
        }
    }
}
