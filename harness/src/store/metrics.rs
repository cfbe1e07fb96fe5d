//! `metrics.parquet`: one row a number, long form.
//!
//! # Which bytes may differ between two runs of a plan?
//! The column `seconds`, the values of metrics that are times, and nothing else: not the number of threads, the batch size,
//! the shards or a kill in between. [`digest`] hashes the rows without them.

use std::path::Path;
use std::vec::IntoIter;

use super::columns::{Columns, Rows};
use super::digest::ContentHasher;
use super::envelope::{Kind, Provenance};
use super::records::MetricRow;
use super::results::File;
use super::{StoreError, sidecar, table};
use crate::canonical::canonical_of;

/// Digest of rows without their times: of the canonical JSON of each.
pub fn digest(rows: &[MetricRow]) -> String {
    let mut hasher = ContentHasher::default();
    for row in rows {
        hasher.piece("row", canonical_of(&row.without_times()).as_bytes());
    }
    hasher.finish()
}

/// Publishes `metrics.parquet`, replacing an earlier one; the SHA-256 of its bytes.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(
    path: &Path,
    rows: &[MetricRow],
    plan_id: &str,
    provenance: &Provenance,
) -> Result<String, StoreError> {
    let mut columns = Columns::default();
    names(&mut columns, rows);
    numbers(&mut columns, rows);
    let digest = digest(rows);
    let file = File { path, kind: Kind::Metrics, plan_id, digest, provenance };
    file.write(&mut columns)
}

fn names(columns: &mut Columns, rows: &[MetricRow]) {
    columns
        .text("experiment", rows.iter().map(|row| row.experiment.as_str()))
        .text("artefact", rows.iter().map(|row| row.artefact.as_str()))
        .text("scale", rows.iter().map(|row| row.scale.as_str()))
        .text("model", rows.iter().map(|row| row.model.as_str()))
        .text("dataset", rows.iter().map(|row| row.dataset.as_str()))
        .text("arm", rows.iter().map(|row| row.arm.as_str()))
        .text("sampler", rows.iter().map(|row| row.sampler.as_str()))
        .text("method", rows.iter().map(|row| row.method.as_str()))
        .text("kind", rows.iter().map(|row| row.kind.as_str()))
        .text("metric", rows.iter().map(|row| row.metric.as_str()))
        .optional_text("argument", rows.iter().map(|row| row.argument.as_deref()))
        .optional_text("side", rows.iter().map(|row| row.side.as_deref()));
}

fn numbers(columns: &mut Columns, rows: &[MetricRow]) {
    columns
        .optional_f64("value", rows.iter().map(|row| row.value))
        .optional_f64("se", rows.iter().map(|row| row.se))
        .optional_f64("ci_low", rows.iter().map(|row| row.ci_low))
        .optional_f64("ci_high", rows.iter().map(|row| row.ci_high))
        .optional_u64("n", rows.iter().map(|row| row.n))
        .optional_u64("n_reference", rows.iter().map(|row| row.n_reference))
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
/// [`StoreError::Damaged`], [`StoreError::Malformed`], [`StoreError::Mismatch`], [`StoreError::Version`],
/// [`StoreError::Read`].
pub fn read(path: &Path) -> Result<Vec<MetricRow>, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Metrics, |_| true)?;
    let mut cells = Cells::of(Rows { path, batch: &batch })?;
    let read: Option<Vec<MetricRow>> = (0..batch.num_rows()).map(|_| cells.next_row()).collect();
    read.ok_or_else(|| StoreError::malformed(path, "its columns differ in length"))
}

/// The cells that no row was made of yet, column by column.
struct Cells {
    experiment: IntoIter<String>,
    artefact: IntoIter<String>,
    scale: IntoIter<String>,
    model: IntoIter<String>,
    dataset: IntoIter<String>,
    arm: IntoIter<String>,
    sampler: IntoIter<String>,
    method: IntoIter<String>,
    kind: IntoIter<String>,
    metric: IntoIter<String>,
    argument: IntoIter<Option<String>>,
    side: IntoIter<Option<String>>,
    value: IntoIter<Option<f64>>,
    se: IntoIter<Option<f64>>,
    ci_low: IntoIter<Option<f64>>,
    ci_high: IntoIter<Option<f64>>,
    n: IntoIter<Option<u64>>,
    n_reference: IntoIter<Option<u64>>,
    paper_value: IntoIter<Option<f64>>,
    seconds: IntoIter<Option<f64>>,
    nfe_trajectory: IntoIter<Option<u64>>,
    nfe_estimator: IntoIter<Option<u64>>,
    nfe_gradient: IntoIter<Option<u64>>,
    verdict: IntoIter<Option<String>>,
    reason: IntoIter<Option<String>>,
    plan_id: IntoIter<String>,
    metric_version: IntoIter<u32>,
}

impl Cells {
    fn of(rows: Rows<'_>) -> Result<Self, StoreError> {
        let text = |name| rows.text(name).map(Vec::into_iter);
        let optional = |name| rows.optional_text(name).map(Vec::into_iter);
        let float = |name| rows.optional_f64(name).map(Vec::into_iter);
        let count = |name| rows.optional_u64(name).map(Vec::into_iter);
        Ok(Self {
            experiment: text("experiment")?,
            artefact: text("artefact")?,
            scale: text("scale")?,
            model: text("model")?,
            dataset: text("dataset")?,
            arm: text("arm")?,
            sampler: text("sampler")?,
            method: text("method")?,
            kind: text("kind")?,
            metric: text("metric")?,
            argument: optional("argument")?,
            side: optional("side")?,
            value: float("value")?,
            se: float("se")?,
            ci_low: float("ci_low")?,
            ci_high: float("ci_high")?,
            n: count("n")?,
            n_reference: count("n_reference")?,
            paper_value: float("paper_value")?,
            seconds: float("seconds")?,
            nfe_trajectory: count("nfe_trajectory")?,
            nfe_estimator: count("nfe_estimator")?,
            nfe_gradient: count("nfe_gradient")?,
            verdict: optional("verdict")?,
            reason: optional("reason")?,
            plan_id: text("plan_id")?,
            metric_version: rows.u32("metric_version")?.into_iter(),
        })
    }

    /// `None` where a column has ended.
    fn next_row(&mut self) -> Option<MetricRow> {
        Some(MetricRow {
            experiment: self.experiment.next()?,
            artefact: self.artefact.next()?,
            scale: self.scale.next()?,
            model: self.model.next()?,
            dataset: self.dataset.next()?,
            arm: self.arm.next()?,
            sampler: self.sampler.next()?,
            method: self.method.next()?,
            kind: self.kind.next()?,
            metric: self.metric.next()?,
            argument: self.argument.next()?,
            side: self.side.next()?,
            value: self.value.next()?,
            se: self.se.next()?,
            ci_low: self.ci_low.next()?,
            ci_high: self.ci_high.next()?,
            n: self.n.next()?,
            n_reference: self.n_reference.next()?,
            paper_value: self.paper_value.next()?,
            nfe_trajectory: self.nfe_trajectory.next()?,
            nfe_estimator: self.nfe_estimator.next()?,
            nfe_gradient: self.nfe_gradient.next()?,
            seconds: self.seconds.next()?,
            verdict: self.verdict.next()?,
            reason: self.reason.next()?,
            plan_id: self.plan_id.next()?,
            metric_version: self.metric_version.next()?,
        })
    }
}
