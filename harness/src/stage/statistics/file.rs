//! The `.npz` of reference statistics: `mu`, `sigma`, `n`, and a `provenance` in JSON.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use ndarray::{Array0, Array1, Array2, Ix0, Ix1, Ix2, OwnedRepr, arr0};
use ndarray_npy::{NpzReader, NpzWriter};

use super::StatisticsError;
use crate::model::ExtractorId;
use crate::store::publish;

/// Version of the provenance format.
pub const FORMAT: u32 = 1;

/// Where statistics come from: what must agree before two sets of them may be compared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Format version.
    pub format: u32,
    /// Name of the data set.
    pub dataset: String,
    /// Digest of the images in order.
    pub images_sha256: String,
    /// Network and preprocessing.
    pub extractor: ExtractorId,
    /// Version of the program.
    pub code_version: String,
    /// Version of ONNX Runtime.
    pub runtime: Option<String>,
}

/// `(n, mu, sigma)` of the features of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceStatistics {
    /// Number of images.
    pub n: usize,
    /// Mean `[d]`.
    pub mu: Array1<f64>,
    /// Covariance `[d, d]`, divisor `n - 1`.
    pub sigma: Array2<f64>,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl ReferenceStatistics {
    /// Publishes the statistics as `.npz`, readable by `numpy.load` and by `pytorch-fid`.
    ///
    /// # Errors
    /// [`StatisticsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), StatisticsError> {
        let fail = |message: String| StatisticsError::input(path, message);
        let provenance =
            serde_json::to_vec(&self.provenance).map_err(|error| fail(error.to_string()))?;
        let n = i64::try_from(self.n).map_err(|error| fail(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array("mu", &self.mu)
            .and_then(|()| npz.add_array("sigma", &self.sigma))
            .and_then(|()| npz.add_array("n", &arr0(n)))
            .and_then(|()| npz.add_array("provenance", &Array1::from(provenance)))
            .and_then(|()| npz.finish().map(|_| ()))
            .map_err(|error| fail(error.to_string()))?;
        publish(path, &bytes).map_err(StatisticsError::io(path))
    }

    /// Reads statistics that [`ReferenceStatistics::write`] wrote.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when there is no file, [`StatisticsError::Damaged`] when it is no
    /// whole `.npz` with these arrays, [`StatisticsError::Input`] for shapes that do not fit,
    /// values that are not finite, a covariance that is not symmetric, or fewer than 2 images.
    pub fn read(path: &Path) -> Result<Self, StatisticsError> {
        let file = File::open(path).map_err(StatisticsError::io(path))?;
        let damaged = |error: ndarray_npy::ReadNpzError| StatisticsError::Damaged {
            path: path.to_owned(),
            message: format!("{error}: make the statistics again with `dubench stats`"),
        };
        let mut npz = NpzReader::new(file).map_err(damaged)?;
        let mu: Array1<f64> = npz.by_name::<OwnedRepr<f64>, Ix1>("mu").map_err(damaged)?;
        let sigma: Array2<f64> = npz.by_name::<OwnedRepr<f64>, Ix2>("sigma").map_err(damaged)?;
        let n: Array0<i64> = npz.by_name::<OwnedRepr<i64>, Ix0>("n").map_err(damaged)?;
        let text: Array1<u8> = npz.by_name::<OwnedRepr<u8>, Ix1>("provenance").map_err(damaged)?;
        let provenance: Provenance = serde_json::from_slice(&text.to_vec())
            .map_err(|error| StatisticsError::input(path, format!("provenance: {error}")))?;
        let n = usize::try_from(n.into_scalar()).unwrap_or(0);
        let statistics = Self { n, mu, sigma, provenance };
        statistics.check().map_err(|message| StatisticsError::input(path, message))?;
        Ok(statistics)
    }

    /// Refuses statistics of other features than `extractor` gives.
    ///
    /// # Errors
    /// [`StatisticsError::Input`] with the field that differs.
    pub fn expect_extractor(
        &self,
        path: &Path,
        extractor: &ExtractorId,
    ) -> Result<(), StatisticsError> {
        let own = &self.provenance.extractor;
        let fields = [
            ("name", own.name.clone(), extractor.name.clone()),
            ("sha256", own.sha256.clone(), extractor.sha256.clone()),
            ("preprocess", own.preprocess.clone(), extractor.preprocess.clone()),
            ("dim", own.dim.to_string(), extractor.dim.to_string()),
        ];
        match fields.into_iter().find(|(_, own, wanted)| own != wanted) {
            None => Ok(()),
            Some((field, own, wanted)) => Err(StatisticsError::input(
                path,
                format!(
                    "the statistics have extractor {field} {own}, the features have {wanted}: a distance between them means nothing"
                ),
            )),
        }
    }

    fn check(&self) -> Result<(), String> {
        let dim = self.mu.len();
        if self.sigma.dim() != (dim, dim) || dim != self.provenance.extractor.dim {
            return Err(format!(
                "mu has {dim} values, sigma {:?}, the extractor {}",
                self.sigma.dim(),
                self.provenance.extractor.dim
            ));
        }
        if self.n < 2 {
            return Err(format!("n is {}, a covariance needs at least 2 images", self.n));
        }
        if self.provenance.format != FORMAT {
            return Err(format!("format {}, expected {FORMAT}", self.provenance.format));
        }
        if self.mu.iter().chain(&self.sigma).any(|value| !value.is_finite()) {
            return Err("values of mu or sigma are not finite".to_owned());
        }
        let scale = self.sigma.diag().iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let asymmetry = self
            .sigma
            .indexed_iter()
            .fold(0.0, |a: f64, ((i, j), value)| a.max((value - self.sigma[[j, i]]).abs()));
        if asymmetry > 1e-9 * scale {
            return Err(format!("sigma is not symmetric: its halves differ by {asymmetry:e}"));
        }
        Ok(())
    }
}
