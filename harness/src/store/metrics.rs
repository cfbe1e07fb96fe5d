//! `metrics.parquet`: one row a number, long form.
//!
//! # Which bytes may differ between two runs of a plan?
//! The column `seconds`, the values of metrics that are times, and nothing else: not the number of threads, the batch size,
//! the shards or a kill in between. [`digest`] hashes the rows without them.

use std::path::Path;

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
    let rows = Rows { path, batch: &batch };
    let text = |name| rows.text(name).map(Vec::into_iter);
    let optional = |name| rows.optional_text(name).map(Vec::into_iter);
    let float = |name| rows.optional_f64(name).map(Vec::into_iter);
    let count = |name| rows.optional_u64(name).map(Vec::into_iter);
    let (mut experiment, mut artefact, mut scale) =
        (text("experiment")?, text("artefact")?, text("scale")?);
    let (mut model, mut dataset) = (text("model")?, text("dataset")?);
    let (mut arm, mut sampler) = (text("arm")?, text("sampler")?);
    let (mut method, mut kind, mut metric) = (text("method")?, text("kind")?, text("metric")?);
    let (mut argument, mut side) = (optional("argument")?, optional("side")?);
    let (mut value, mut se) = (float("value")?, float("se")?);
    let (mut ci_low, mut ci_high) = (float("ci_low")?, float("ci_high")?);
    let (mut n, mut n_reference) = (count("n")?, count("n_reference")?);
    let (mut paper_value, mut seconds) = (float("paper_value")?, float("seconds")?);
    let (mut nfe_trajectory, mut nfe_estimator, mut nfe_gradient) =
        (count("nfe_trajectory")?, count("nfe_estimator")?, count("nfe_gradient")?);
    let (mut verdict, mut reason) = (optional("verdict")?, optional("reason")?);
    let (mut plan_id, mut version) =
        (text("plan_id")?, rows.u32("metric_version").map(Vec::into_iter)?);
    let row = |_| {
        Some(MetricRow {
            experiment: experiment.next()?,
            artefact: artefact.next()?,
            scale: scale.next()?,
            model: model.next()?,
            dataset: dataset.next()?,
            arm: arm.next()?,
            sampler: sampler.next()?,
            method: method.next()?,
            kind: kind.next()?,
            metric: metric.next()?,
            argument: argument.next()?,
            side: side.next()?,
            value: value.next()?,
            se: se.next()?,
            ci_low: ci_low.next()?,
            ci_high: ci_high.next()?,
            n: n.next()?,
            n_reference: n_reference.next()?,
            paper_value: paper_value.next()?,
            nfe_trajectory: nfe_trajectory.next()?,
            nfe_estimator: nfe_estimator.next()?,
            nfe_gradient: nfe_gradient.next()?,
            seconds: seconds.next()?,
            verdict: verdict.next()?,
            reason: reason.next()?,
            plan_id: plan_id.next()?,
            metric_version: version.next()?,
        })
    };
    let read: Option<Vec<MetricRow>> = (0..batch.num_rows()).map(row).collect();
    read.ok_or_else(|| StoreError::malformed(path, "its columns differ in length"))
}
