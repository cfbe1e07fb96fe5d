//! Writing the `.npz` of reference statistics: `mu`, `sigma`, `n`, and a `provenance` in JSON.
//! [`crate::store::statistics`] reads them, ours and those of other tools.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array1, Array2, arr0};
use ndarray_npy::NpzWriter;

use super::StatisticsError;
use crate::model::ExtractorId;
use crate::store::publish;
use crate::store::statistics::{SIGMA_UPPER, upper_triangle};

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

/// How sigma is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covariance {
    /// `sigma [d, d]`, which every tool reads.
    #[default]
    Full,
    /// `sigma_upper [d (d + 1) / 2]`: half the bytes, for this program alone.
    Upper,
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
    /// Publishes the statistics as `.npz`: [`Covariance::Full`] for `pytorch-fid` and its kin, [`Covariance::Upper`] in half
    /// the size, digit for digit the same.
    ///
    /// # Errors
    /// [`StatisticsError::Io`].
    pub fn write(&self, path: &Path, covariance: Covariance) -> Result<(), StatisticsError> {
        let fail = |message: String| StatisticsError::input(path, message);
        let provenance =
            serde_json::to_vec(&self.provenance).map_err(|error| fail(error.to_string()))?;
        let n = i64::try_from(self.n).map_err(|error| fail(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array("mu", &self.mu)
            .and_then(|()| match covariance {
                Covariance::Full => npz.add_array("sigma", &self.sigma),
                Covariance::Upper => npz.add_array(SIGMA_UPPER, &upper_triangle(&self.sigma)),
            })
            .and_then(|()| npz.add_array("n", &arr0(n)))
            .and_then(|()| npz.add_array("provenance", &Array1::from(provenance)))
            .and_then(|()| npz.finish().map(|_| ()))
            .map_err(|error| fail(error.to_string()))?;
        publish(path, &bytes).map_err(StatisticsError::io(path))
    }
}
