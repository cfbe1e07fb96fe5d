//! `curves.parquet`: a metric along a fraction that is discarded or removed.

use std::path::Path;

use super::columns::{Columns, Rows};
use super::digest::ContentHasher;
use super::envelope::{Kind, Provenance};
use super::records::CurveRow;
use super::results::File;
use super::{StoreError, sidecar, table};
use crate::canonical::canonical_of;

/// Digest of curves: of the canonical JSON of each row.
pub fn digest(rows: &[CurveRow]) -> String {
    let mut hasher = ContentHasher::default();
    for row in rows {
        hasher.piece("row", canonical_of(row).as_bytes());
    }
    hasher.finish()
}

/// Publishes `curves.parquet`, replacing an earlier one; the SHA-256 of its bytes.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(
    path: &Path,
    rows: &[CurveRow],
    plan_id: &str,
    provenance: &Provenance,
) -> Result<String, StoreError> {
    let mut columns = Columns::default();
    columns
        .text("arm", rows.iter().map(|row| row.arm.as_str()))
        .text("method", rows.iter().map(|row| row.method.as_str()))
        .text("side", rows.iter().map(|row| row.side.as_str()))
        .text("metric", rows.iter().map(|row| row.metric.as_str()))
        .f64("x", rows.iter().map(|row| row.x))
        .f64("value", rows.iter().map(|row| row.value))
        .optional_f64("se", rows.iter().map(|row| row.se))
        .u64("n", rows.iter().map(|row| row.n));
    let digest = digest(rows);
    let file = File { path, kind: Kind::Curves, plan_id, digest, provenance };
    file.write(&mut columns)
}

/// Reads `curves.parquet`, after checking its hash.
///
/// # Errors
/// As [`super::metrics::read`].
pub fn read(path: &Path) -> Result<Vec<CurveRow>, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Curves, |_| true)?;
    let rows = Rows { path, batch: &batch };
    let (mut arm, mut method) = (rows.text("arm")?.into_iter(), rows.text("method")?.into_iter());
    let (mut side, mut metric) = (rows.text("side")?.into_iter(), rows.text("metric")?.into_iter());
    let (mut x, mut value) = (rows.f64("x")?.into_iter(), rows.f64("value")?.into_iter());
    let (mut se, mut n) = (rows.optional_f64("se")?.into_iter(), rows.u64("n")?.into_iter());
    let row = |_| {
        Some(CurveRow {
            arm: arm.next()?,
            method: method.next()?,
            side: side.next()?,
            metric: metric.next()?,
            x: x.next()?,
            value: value.next()?,
            se: se.next()?,
            n: n.next()?,
        })
    };
    let read: Option<Vec<CurveRow>> = (0..batch.num_rows()).map(row).collect();
    read.ok_or_else(|| StoreError::malformed(path, "its columns differ in length"))
}
