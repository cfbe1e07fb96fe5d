//! Sparsification curves of a run: `sparsification.parquet`.

use std::path::Path;

use super::columns::{Columns, Rows};
use super::digest::ContentHasher;
use super::envelope::{Kind, Provenance};
use super::results::File;
use super::{StoreError, sidecar, table};

/// One point of a sparsification curve.
#[derive(Clone, Debug, PartialEq)]
pub struct SparsificationRow {
    /// Arm of the plan.
    pub arm: String,
    /// Method, `oracle` or `random`.
    pub method: String,
    /// `as_is` or `inverted`.
    pub direction: String,
    /// Fraction of an image's elements that is removed, most uncertain first.
    pub fraction_removed: f64,
    /// RMSE of what is kept, mean over images, grey levels.
    pub rmse: f64,
    /// Its standard error over images.
    pub se: Option<f64>,
    /// Images.
    pub n: u64,
}

/// Publishes `sparsification.parquet`, replacing an earlier one.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(
    path: &Path,
    rows: &[SparsificationRow],
    plan_id: &str,
    provenance: &Provenance,
) -> Result<(), StoreError> {
    let mut columns = Columns::default();
    columns
        .text("arm", rows.iter().map(|row| row.arm.as_str()))
        .text("method", rows.iter().map(|row| row.method.as_str()))
        .text("direction", rows.iter().map(|row| row.direction.as_str()))
        .f64("fraction_removed", rows.iter().map(|row| row.fraction_removed))
        .f64("rmse", rows.iter().map(|row| row.rmse))
        .optional_f64("se", rows.iter().map(|row| row.se))
        .u64("n", rows.iter().map(|row| row.n));
    let digest = digest(rows);
    let file = File { path, kind: Kind::Sparsification, plan_id, digest, provenance };
    file.write(&mut columns).map(drop)
}

/// Digest of the rows.
pub fn digest(rows: &[SparsificationRow]) -> String {
    let mut hasher = ContentHasher::default();
    for row in rows {
        hasher.piece("row", format!("{row:?}").as_bytes());
    }
    hasher.finish()
}

/// Reads `sparsification.parquet`, after checking its hash.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Unsealed`], [`StoreError::Malformed`], [`StoreError::Mismatch`],
/// [`StoreError::Read`].
pub fn read(path: &Path) -> Result<Vec<SparsificationRow>, StoreError> {
    sidecar::require(path)?;
    let (_, batch) = table::read(path, Kind::Sparsification, |_| true)?;
    let rows = Rows { path, batch: &batch };
    let (arms, methods) = (rows.text("arm")?, rows.text("method")?);
    let (directions, fractions) = (rows.text("direction")?, rows.f64("fraction_removed")?);
    let (values, ses, ns) = (rows.f64("rmse")?, rows.optional_f64("se")?, rows.u64("n")?);
    let named = arms.into_iter().zip(methods).zip(directions);
    let valued = fractions.into_iter().zip(values).zip(ses).zip(ns);
    Ok(named
        .zip(valued)
        .map(|(((arm, method), direction), (((fraction_removed, rmse), se), n))| {
            SparsificationRow { arm, method, direction, fraction_removed, rmse, se, n }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_survive_their_file_and_a_flipped_bit_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparsification.parquet");
        let rows: Vec<SparsificationRow> = (0_u8..3)
            .map(|k| SparsificationRow {
                arm: "corrected".into(),
                method: "sample_var".into(),
                direction: "as_is".into(),
                fraction_removed: f64::from(k) / 3.0,
                rmse: 1.0 / f64::from(k + 1),
                se: (k > 0).then_some(0.1),
                n: 7,
            })
            .collect();
        write(&path, &rows, "p", &Provenance::new("none", "cpu")).unwrap();
        assert_eq!(read(&path).unwrap(), rows);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        super::super::publish(&path, &bytes).unwrap();
        assert!(matches!(read(&path), Err(StoreError::Damaged { .. })));
    }
}
