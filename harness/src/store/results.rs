//! The result tables of a run: `metrics.parquet`, `curves.parquet`, `scores.parquet`.
//!
//! # Which bytes may differ between two runs of a plan?
//! The column `seconds` of `metrics.parquet`, and nothing else: not the number of threads, the batch size, the
//! shards or a kill in between. [`metrics_digest`] hashes the rows without that column.

use std::path::Path;

use super::columns::{Columns, Rows};
use super::digest::{ContentHasher, sha256_hex};
use super::envelope::{Envelope, FORMAT, Kind, Provenance};
use super::records::{CurveRow, MetricRow, ScoreTable};
use super::{StoreError, sidecar, table};
use crate::units::SampleId;

/// Digest of rows without their times.
pub fn metrics_digest(rows: &[MetricRow]) -> String {
    let mut hasher = ContentHasher::default();
    for row in rows {
        let row = MetricRow { seconds: None, ..row.clone() };
        hasher.piece("row", format!("{row:?}").as_bytes());
    }
    hasher.finish()
}

/// Digest of curves.
pub fn curves_digest(rows: &[CurveRow]) -> String {
    let mut hasher = ContentHasher::default();
    for row in rows {
        hasher.piece("row", format!("{row:?}").as_bytes());
    }
    hasher.finish()
}

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

/// Publishes `metrics.parquet`, replacing an earlier one; the SHA-256 of its bytes.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write_metrics(
    path: &Path,
    rows: &[MetricRow],
    plan_id: &str,
    provenance: &Provenance,
) -> Result<String, StoreError> {
    let mut columns = Columns::default();
    texts(&mut columns, rows);
    numbers(&mut columns, rows);
    let digest = metrics_digest(rows);
    let file = File { path, kind: Kind::Metrics, plan_id, digest, provenance };
    file.write(&mut columns)
}

fn texts(columns: &mut Columns, rows: &[MetricRow]) {
    columns
        .text("experiment", rows.iter().map(|row| row.experiment.as_str()))
        .text("artefact", rows.iter().map(|row| row.artefact.as_str()))
        .text("scale", rows.iter().map(|row| row.scale.as_str()))
        .text("model", rows.iter().map(|row| row.model.as_str()))
        .text("dataset", rows.iter().map(|row| row.dataset.as_str()))
        .text("sampler", rows.iter().map(|row| row.sampler.as_str()))
        .text("method", rows.iter().map(|row| row.method.as_str()))
        .text("metric", rows.iter().map(|row| row.metric.as_str()));
}

fn numbers(columns: &mut Columns, rows: &[MetricRow]) {
    columns
        .optional_f64("value", rows.iter().map(|row| row.value))
        .optional_f64("se", rows.iter().map(|row| row.se))
        .optional_f64("ci_low", rows.iter().map(|row| row.ci_low))
        .optional_f64("ci_high", rows.iter().map(|row| row.ci_high))
        .optional_u64("n", rows.iter().map(|row| row.n))
        .optional_u64("n_reference", rows.iter().map(|row| row.n_reference))
        .optional_text("direction", rows.iter().map(|row| row.direction.as_deref()))
        .optional_f64("paper_value", rows.iter().map(|row| row.paper_value))
        .optional_u64("nfe_trajectory", rows.iter().map(|row| row.nfe_trajectory))
        .optional_u64("nfe_estimator", rows.iter().map(|row| row.nfe_estimator))
        .optional_u64("nfe_gradient", rows.iter().map(|row| row.nfe_gradient))
        .optional_f64("seconds", rows.iter().map(|row| row.seconds))
        .optional_text("verdict", rows.iter().map(|row| row.verdict.as_deref()))
        .optional_text("reason", rows.iter().map(|row| row.reason.as_deref()))
        .text("plan_id", rows.iter().map(|row| row.plan_id.as_str()))
        .u32("metric_version", rows.iter().map(|row| row.metric_version));
}

/// Reads `metrics.parquet`, after checking its hash.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Malformed`], [`StoreError::Mismatch`], [`StoreError::Read`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricRow>, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Metrics, |_| true)?;
    let rows = Rows { path, batch: &batch };
    let mut read = MetricColumns::read(rows)?;
    (0..batch.num_rows()).map(|index| read.row(rows, index)).collect()
}

/// Columns of `metrics.parquet`, read once.
struct MetricColumns {
    texts: [Vec<String>; 9],
    optional_texts: [Vec<Option<String>>; 3],
    floats: [Vec<Option<f64>>; 6],
    counts: [Vec<Option<u64>>; 5],
    version: Vec<u32>,
}

impl MetricColumns {
    fn read(rows: Rows<'_>) -> Result<Self, StoreError> {
        let text = |name| rows.text(name);
        let optional = |name| rows.optional_text(name);
        let float = |name| rows.optional_f64(name);
        let count = |name| rows.optional_u64(name);
        Ok(Self {
            texts: [
                text("experiment")?,
                text("artefact")?,
                text("scale")?,
                text("model")?,
                text("dataset")?,
                text("sampler")?,
                text("method")?,
                text("metric")?,
                text("plan_id")?,
            ],
            optional_texts: [optional("direction")?, optional("verdict")?, optional("reason")?],
            floats: [
                float("value")?,
                float("se")?,
                float("ci_low")?,
                float("ci_high")?,
                float("paper_value")?,
                float("seconds")?,
            ],
            counts: [
                count("n")?,
                count("n_reference")?,
                count("nfe_trajectory")?,
                count("nfe_estimator")?,
                count("nfe_gradient")?,
            ],
            version: rows.u32("metric_version")?,
        })
    }

    fn row(&mut self, rows: Rows<'_>, index: usize) -> Result<MetricRow, StoreError> {
        let short = || StoreError::malformed(rows.path, format!("no row {index}"));
        let take = |column: &mut Vec<String>| column.get_mut(index).map(std::mem::take);
        let mut text = |column: usize| take(&mut self.texts[column]).ok_or_else(short);
        let float = |column: usize| self.floats[column].get(index).copied().flatten();
        let count = |column: usize| self.counts[column].get(index).copied().flatten();
        let optional = |column: usize| self.optional_texts[column].get(index).cloned().flatten();
        Ok(MetricRow {
            experiment: text(0)?,
            artefact: text(1)?,
            scale: text(2)?,
            model: text(3)?,
            dataset: text(4)?,
            sampler: text(5)?,
            method: text(6)?,
            metric: text(7)?,
            plan_id: text(8)?,
            value: float(0),
            se: float(1),
            ci_low: float(2),
            ci_high: float(3),
            paper_value: float(4),
            seconds: float(5),
            n: count(0),
            n_reference: count(1),
            nfe_trajectory: count(2),
            nfe_estimator: count(3),
            nfe_gradient: count(4),
            direction: optional(0),
            verdict: optional(1),
            reason: optional(2),
            metric_version: *self.version.get(index).ok_or_else(short)?,
        })
    }
}

/// Publishes `curves.parquet`, replacing an earlier one.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write_curves(
    path: &Path,
    rows: &[CurveRow],
    plan_id: &str,
    provenance: &Provenance,
) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    columns
        .text("method", rows.iter().map(|row| row.method.as_str()))
        .text("direction", rows.iter().map(|row| row.direction.as_str()))
        .f64("fraction_discarded", rows.iter().map(|row| row.fraction_discarded))
        .u64("n_keep", rows.iter().map(|row| row.n_keep))
        .f64("fid", rows.iter().map(|row| row.fid))
        .optional_f64("se", rows.iter().map(|row| row.se));
    let digest = curves_digest(rows);
    let file = File { path, kind: Kind::Curves, plan_id, digest, provenance };
    file.write(&mut columns).map(drop)
}

/// Reads `curves.parquet`, after checking its hash.
///
/// # Errors
/// As [`read_metrics`].
pub fn read_curves(path: &Path) -> Result<Vec<CurveRow>, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Curves, |_| true)?;
    let rows = Rows { path, batch: &batch };
    let (methods, directions) = (rows.text("method")?, rows.text("direction")?);
    let (fractions, keeps) = (rows.f64("fraction_discarded")?, rows.u64("n_keep")?);
    let (fids, ses) = (rows.f64("fid")?, rows.optional_f64("se")?);
    let named = methods.into_iter().zip(directions);
    let sized = fractions.into_iter().zip(keeps);
    let valued = fids.into_iter().zip(ses);
    let row = |(((method, direction), (fraction_discarded, n_keep)), (fid, se))| CurveRow {
        method,
        direction,
        fraction_discarded,
        n_keep,
        fid,
        se,
    };
    Ok(named.zip(sized).zip(valued).map(row).collect())
}

/// Publishes `scores.parquet`, replacing an earlier one: `sample_id`, then one column a method.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write_scores(
    path: &Path,
    scores: &ScoreTable,
    plan_id: &str,
    provenance: &Provenance,
) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    columns.u64("sample_id", scores.samples.iter().map(|id| id.0));
    for (method, values) in &scores.columns {
        columns.f64(method, values.iter().copied());
    }
    let digest = scores_digest(scores);
    let file = File { path, kind: Kind::Scores, plan_id, digest, provenance };
    file.write(&mut columns).map(drop)
}

/// Reads `scores.parquet`, after checking its hash.
///
/// # Errors
/// As [`read_metrics`].
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

    fn row(method: &str, value: Option<f64>) -> MetricRow {
        MetricRow {
            experiment: "tiny".into(),
            artefact: "none".into(),
            scale: "smoke".into(),
            model: "analytic".into(),
            dataset: "toy".into(),
            sampler: "ddim-50".into(),
            method: method.into(),
            metric: "fid".into(),
            value,
            se: Some(0.5),
            ci_low: None,
            ci_high: Some(f64::MAX),
            n: Some(40),
            n_reference: None,
            direction: Some("keep_lowest".into()),
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
        write_metrics(&path("m"), &rows, "p", &provenance).unwrap();
        assert_eq!(read_metrics(&path("m")).unwrap(), rows);
        let curves = vec![CurveRow {
            method: "random".into(),
            direction: "random".into(),
            fraction_discarded: 1.0 / 12.0,
            n_keep: 44,
            fid: 3.0,
            se: None,
        }];
        write_curves(&path("c"), &curves, "p", &provenance).unwrap();
        assert_eq!(read_curves(&path("c")).unwrap(), curves);
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
            write_metrics(&path, rows, "p", &provenance).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("a", &rows), bytes("b", &rows));
        let mut later = rows.clone();
        later[0].seconds = Some(2.0);
        assert_ne!(bytes("a", &rows), bytes("b", &later));
        assert_eq!(metrics_digest(&rows), metrics_digest(&later));
        later[1].value = Some(0.200_000_000_1);
        assert_ne!(metrics_digest(&rows), metrics_digest(&later));
    }

    #[test]
    fn a_table_without_its_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let provenance = Provenance::new("closed form", "cpu");
        write_metrics(&path, &[row("x", Some(1.0))], "p", &provenance).unwrap();
        std::fs::remove_file(sidecar::sidecar_path(&path)).unwrap();
        let error = read_metrics(&path).unwrap_err();
        assert!(matches!(error, StoreError::Unsealed { .. }), "{error}");
        assert!(error.to_string().contains("m.sha256"), "{error}");
    }

    #[test]
    fn a_flipped_bit_is_never_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let provenance = Provenance::new("closed form", "cpu");
        write_metrics(&path, &[row("x", Some(1.0))], "p", &provenance).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(53) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            super::super::publish(&path, &flipped).unwrap();
            assert!(matches!(read_metrics(&path), Err(StoreError::Damaged { .. })), "byte {at}");
        }
    }
}
