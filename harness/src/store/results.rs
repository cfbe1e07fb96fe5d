//! What the result tables of a run share, and the smallest of them: `scores.parquet`.

use std::path::Path;

use super::columns::{Columns, Rows};
use super::digest::ContentHasher;
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::records::ScoreTable;
use super::{StoreError, sidecar, table};
use crate::canonical::sha256_hex;
use crate::units::SampleId;

/// Digest of scores, their sample ids and the order of their columns.
pub fn scores_digest(scores: &ScoreTable) -> String {
    let mut hasher = ContentHasher::default();
    let ids: Vec<u8> = scores.samples.iter().flat_map(|id| id.0.to_le_bytes()).collect();
    hasher.piece("samples", &ids);
    for (method, values) in &scores.columns {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.piece(method, &bytes);
    }
    hasher.finish()
}

/// Refuses a table that is damaged, or of another plan.
///
/// # Errors
/// [`StoreError::Mismatch`], and those of [`sidecar::require`].
pub fn require_plan(path: &Path, kind: Kind, plan_id: &str) -> Result<(), StoreError> {
    sidecar::require(path)?;
    table::read_envelope(path, kind)?.belongs_to(path, plan_id)
}

/// Publishes `scores.parquet`, replacing an earlier one: `sample_id`, then one column a method; the SHA-256 of its bytes.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write_scores(
    path: &Path,
    scores: &ScoreTable,
    plan_id: &str,
    provenance: &Provenance,
) -> Result<String, StoreError> {
    let mut columns = Columns::default();
    columns.u64("sample_id", scores.samples.iter().map(|id| id.0));
    for (method, values) in &scores.columns {
        columns.f64(method, values.iter().copied());
    }
    let digest = scores_digest(scores);
    let file = File { path, kind: Kind::Scores, plan_id, digest, provenance };
    file.write(&mut columns)
}

/// Reads `scores.parquet`, after checking its hash.
///
/// # Errors
/// As [`super::metrics::read`].
pub fn read_scores(path: &Path) -> Result<ScoreTable, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Scores, |_| true)?;
    let rows = Rows { path, batch: &batch };
    let schema = batch.schema();
    let names =
        schema.fields().iter().map(|field| field.name()).filter(|name| *name != "sample_id");
    Ok(ScoreTable {
        samples: rows.u64("sample_id")?.into_iter().map(SampleId).collect(),
        columns: names
            .map(|name| Ok((name.clone(), rows.f64(name)?)))
            .collect::<Result<_, StoreError>>()?,
    })
}

/// A result file in the making.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) kind: Kind,
    pub(super) plan_id: &'a str,
    pub(super) digest: String,
    pub(super) provenance: &'a Provenance,
}

impl File<'_> {
    /// Writes it; the SHA-256 of its bytes.
    pub(super) fn write(self, columns: &mut Columns) -> Result<String, StoreError> {
        let envelope = Envelope {
            format: FORMAT,
            kind: self.kind,
            stage_id: self.plan_id.to_owned(),
            content_sha256: self.digest,
            provenance: self.provenance.clone(),
            detail: serde_json::Value::Null,
        };
        let bytes = table::to_bytes(self.path, &columns.finish(self.path)?, &envelope)?;
        sidecar::publish_sealed(self.path, &bytes)?;
        Ok(sha256_hex(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::{CurveRow, MetricRow};
    use crate::store::{curves, metrics};

    fn row(method: &str, value: Option<f64>) -> MetricRow {
        MetricRow {
            experiment: "tiny".into(),
            artefact: "none".into(),
            scale: "smoke".into(),
            model: "analytic".into(),
            dataset: "toy".into(),
            arm: "pool".into(),
            sampler: "ddim-50".into(),
            method: method.into(),
            kind: "sample_var".into(),
            metric: "fid".into(),
            argument: Some("random".into()),
            side: None,
            value,
            se: Some(0.5),
            ci_low: None,
            ci_high: Some(f64::MAX),
            n: Some(40),
            n_reference: None,
            paper_value: Some(13.416),
            nfe_trajectory: Some(50),
            nfe_estimator: Some(20),
            nfe_gradient: None,
            seconds: Some(1.0),
            verdict: Some("n.s.".into()),
            reason: value.is_none().then(|| "no dropout".into()),
            plan_id: "p".into(),
            metric_version: 1,
        }
    }

    #[test]
    fn rows_curves_and_scores_survive_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let provenance = Provenance::new("closed form", "cpu");
        let rows = vec![row("sample_var", Some(1.0 / 3.0)), row("mc_dropout", None)];
        metrics::write(&path("m"), &rows, "p", &provenance).unwrap();
        assert_eq!(metrics::read(&path("m")).unwrap(), rows);
        let points = vec![CurveRow {
            arm: "pool".into(),
            method: "random".into(),
            side: "random".into(),
            metric: "fid".into(),
            x: 1.0 / 12.0,
            value: 3.0,
            se: None,
            n: 44,
        }];
        curves::write(&path("c"), &points, "p", &provenance).unwrap();
        assert_eq!(curves::read(&path("c")).unwrap(), points);
        let scores = ScoreTable {
            samples: vec![SampleId(3), SampleId(4)],
            columns: vec![("b".into(), vec![1.0, 2.0]), ("a".into(), vec![0.1, -0.0])],
        };
        write_scores(&path("s"), &scores, "p", &provenance).unwrap();
        assert_eq!(read_scores(&path("s")).unwrap(), scores);
        assert!(matches!(read_scores(&path("c")), Err(StoreError::Mismatch { .. })));
    }

    #[test]
    fn equal_rows_give_equal_bytes_and_only_times_leave_the_digest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let provenance = Provenance::new("closed form", "cpu");
        let rows = vec![row("sample_var", Some(0.1)), row("centered", Some(0.2))];
        let bytes = |name: &str, rows: &[MetricRow]| {
            let path = folder.path().join(name);
            metrics::write(&path, rows, "p", &provenance).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("a", &rows), bytes("b", &rows));
        let mut later = rows.clone();
        later[0].seconds = Some(2.0);
        assert_ne!(bytes("a", &rows), bytes("b", &later));
        assert_eq!(metrics::digest(&rows), metrics::digest(&later));
        later[1].value = Some(0.200_000_000_1);
        assert_ne!(metrics::digest(&rows), metrics::digest(&later));
    }

    #[test]
    fn a_table_without_its_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let provenance = Provenance::new("closed form", "cpu");
        metrics::write(&path, &[row("x", Some(1.0))], "p", &provenance).unwrap();
        std::fs::remove_file(sidecar::sidecar_path(&path)).unwrap();
        let error = metrics::read(&path).unwrap_err();
        assert!(matches!(error, StoreError::Unsealed { .. }), "{error}");
        assert!(error.to_string().contains("m.sha256"), "{error}");
    }

    #[test]
    fn a_flipped_bit_is_never_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let provenance = Provenance::new("closed form", "cpu");
        metrics::write(&path, &[row("x", Some(1.0))], "p", &provenance).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(53) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            super::super::publish(&path, &flipped).unwrap();
            assert!(matches!(metrics::read(&path), Err(StoreError::Damaged { .. })), "byte {at}");
        }
    }

    #[test]
    fn a_table_of_an_earlier_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let envelope = Envelope {
            format: FORMAT - 1,
            kind: Kind::Metrics,
            stage_id: "p".into(),
            content_sha256: String::new(),
            provenance: Provenance::new("none", "cpu"),
            detail: serde_json::Value::Null,
        };
        let mut columns = Columns::default();
        let batch = columns.text("experiment", ["tiny"].into_iter()).finish(&path).unwrap();
        let bytes = table::to_bytes(&path, &batch, &envelope).unwrap();
        sidecar::publish_sealed(&path, &bytes).unwrap();
        let error = metrics::read(&path).unwrap_err();
        assert!(matches!(error, StoreError::Version { got: 1, expected: 2, .. }), "{error}");
        assert!(error.to_string().contains("version 1"), "{error}");
    }
}
