//! Reference statistics: `.npz` files with `mu` `[d]`, `sigma` `[d, d]`, and where known `n` and
//! `provenance` (JSON as bytes).

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use ndarray::{Array0, Array1, Array2};
use ndarray_npy::{NpzReader, ReadNpzError};
use serde::Deserialize;

use super::{StoreError, npy};
use crate::extractor_id::ExtractorId;

/// Statistics of the features of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Mean `[d]`.
    pub mu: Array1<f64>,
    /// Covariance `[d, d]`.
    pub sigma: Array2<f64>,
    /// Images behind them, where the file says.
    pub n: Option<u64>,
    /// Feature network and preprocessing, where the file says.
    pub extractor: Option<ExtractorId>,
}

/// What is read of the provenance; its other fields are for people.
#[derive(Deserialize)]
struct Origin {
    extractor: ExtractorId,
}

impl Statistics {
    /// Reads a file of statistics, ours or that of another tool.
    ///
    /// # Errors
    /// [`StoreError::Read`] when there is none, [`StoreError::Malformed`] for missing arrays, wrong types,
    /// shapes that do not fit, or values that are not finite.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        npy::check_archive(path, &["mu", "sigma", "n", "provenance"])?;
        let file = File::open(path).map_err(StoreError::read(path))?;
        let fail = |error: ReadNpzError| StoreError::malformed(path, error);
        let mut npz = NpzReader::new(file).map_err(fail)?;
        let names = npz.names().map_err(fail)?;
        let has = |name: &str| {
            names.iter().any(|entry| entry == name || entry.strip_suffix(".npy") == Some(name))
        };
        for name in ["mu", "sigma"] {
            if !has(name) {
                let message = format!("no array {name:?}; there are {}", names.join(", "));
                return Err(StoreError::malformed(path, message));
            }
        }
        let mu = f64_array::<ndarray::Ix1, _>(&mut npz, "mu").map_err(fail)?;
        let sigma = f64_array::<ndarray::Ix2, _>(&mut npz, "sigma").map_err(fail)?;
        let n = if has("n") { Some(count(path, &mut npz)?) } else { None };
        let extractor = if has("provenance") { Some(origin(path, &mut npz)?) } else { None };
        let statistics = Self { mu, sigma, n, extractor };
        statistics.check(path)?;
        Ok(statistics)
    }

    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let dim = self.mu.len();
        if dim == 0 || self.sigma.dim() != (dim, dim) {
            let message =
                format!("mu has {dim} entries, sigma is {:?}, not square alike", self.sigma.dim());
            return Err(StoreError::malformed(path, message));
        }
        if self.mu.iter().chain(&self.sigma).any(|value| !value.is_finite()) {
            return Err(StoreError::malformed(path, "mu or sigma hold values that are not finite"));
        }
        if self.n.is_some_and(|n| n < 2) {
            return Err(StoreError::malformed(path, "statistics of fewer than 2 images"));
        }
        Ok(())
    }
}

/// An array of f64, or of f32 as some tools write.
fn f64_array<D: ndarray::Dimension, R: Read + Seek>(
    npz: &mut NpzReader<R>,
    name: &str,
) -> Result<ndarray::Array<f64, D>, ReadNpzError> {
    match npz.by_name::<ndarray::OwnedRepr<f64>, D>(name) {
        Err(ReadNpzError::Npy(_)) => {
            npz.by_name::<ndarray::OwnedRepr<f32>, D>(name).map(|array| array.mapv(f64::from))
        }
        other => other,
    }
}

fn count<R: Read + Seek>(path: &Path, npz: &mut NpzReader<R>) -> Result<u64, StoreError> {
    let n: Array0<i64> = npz.by_name("n").map_err(StoreError::decode(path))?;
    u64::try_from(n.into_scalar()).map_err(|_| StoreError::malformed(path, "n is negative"))
}

fn origin<R: Read + Seek>(path: &Path, npz: &mut NpzReader<R>) -> Result<ExtractorId, StoreError> {
    let bytes: Array1<u8> = npz.by_name("provenance").map_err(StoreError::decode(path))?;
    let origin: Origin = serde_json::from_slice(&bytes.to_vec())
        .map_err(|error| StoreError::malformed(path, format!("provenance: {error}")))?;
    Ok(origin.extractor)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::array;
    use ndarray_npy::NpzWriter;

    use super::*;

    fn written(fill: impl FnOnce(&mut NpzWriter<Cursor<&mut Vec<u8>>>)) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        fill(&mut npz);
        npz.finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        super::super::publish(file.path(), &bytes).unwrap();
        file
    }

    #[test]
    fn files_of_other_tools_have_no_count_and_no_provenance() {
        let file = written(|npz| {
            npz.add_array("mu", &array![1.0_f32, 2.0]).unwrap();
            npz.add_array("sigma", &array![[1.0, 0.0], [0.0, 1.0]]).unwrap();
        });
        let statistics = Statistics::read(file.path()).unwrap();
        assert_eq!(statistics.mu, array![1.0, 2.0]);
        assert_eq!((statistics.n, statistics.extractor), (None, None));
    }

    #[test]
    fn what_cannot_be_statistics_is_refused() {
        let square = array![[1.0, 0.0], [0.0, 1.0]];
        let message =
            |file: tempfile::NamedTempFile| Statistics::read(file.path()).unwrap_err().to_string();
        let no_sigma = written(|npz| npz.add_array("mu", &array![1.0]).unwrap());
        assert!(message(no_sigma).contains("\"sigma\""));
        let shapes = written(|npz| {
            npz.add_array("mu", &array![1.0]).unwrap();
            npz.add_array("sigma", &square).unwrap();
        });
        assert!(message(shapes).contains("(2, 2)"));
        let nan = written(|npz| {
            npz.add_array("mu", &array![1.0, f64::NAN]).unwrap();
            npz.add_array("sigma", &square).unwrap();
        });
        assert!(message(nan).contains("not finite"));
        let one = written(|npz| {
            npz.add_array("mu", &array![1.0, 1.0]).unwrap();
            npz.add_array("sigma", &square).unwrap();
            npz.add_array("n", &ndarray::arr0(1_i64)).unwrap();
        });
        assert!(message(one).contains("fewer than 2"));
        let file = tempfile::NamedTempFile::new().unwrap();
        super::super::publish(file.path(), b"PK\x03\x04 no zip").unwrap();
        assert!(matches!(Statistics::read(file.path()), Err(StoreError::Malformed { .. })));
    }
}
