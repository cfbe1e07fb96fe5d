//! Writing the `.npz` of reference statistics: `mu`, `sigma`, `n`, and a `provenance` in JSON.
//! [`crate::store::statistics`] reads them, ours and those of other tools.

use std::io::{Cursor, Write};
use std::path::Path;

use ndarray::{Array1, Array2, arr0};
use ndarray_npy::{WriteNpyError, WriteNpyExt};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::StatisticsError;
use crate::model::ExtractorId;
use crate::store::publish;
use crate::store::statistics::{Images, SIGMA_UPPER, upper_triangle};

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
    /// Digest of the images in order; of statistics that others have made nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_sha256: Option<String>,
    /// Network and preprocessing.
    pub extractor: ExtractorId,
    /// Version of the program.
    pub code_version: String,
    /// Version of ONNX Runtime.
    pub runtime: Option<String>,
    /// What the images are, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
}

/// How sigma is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covariance {
    /// `sigma [d, d]`, which every tool reads.
    #[default]
    Full,
    /// `sigma_upper [d (d + 1) / 2]`: half the bytes, for this program alone.
    Upper,
    /// `sigma_upper` in f32 with significands of [`SIGNIFICAND_BITS`] bits, deflated: a fifth of the bytes. On the statistics
    /// of CIFAR-10 it moves the FID of 1,707 images by 4e-6.
    Rounded,
}

/// Bits of the significands of [`Covariance::Rounded`], the leading one included: a relative error of at most 2^-16.
pub const SIGNIFICAND_BITS: u32 = 16;

/// The nearest f32 with a significand of [`SIGNIFICAND_BITS`] bits, ties to even.
///
/// # Examples
/// ```
/// use dubench::stage::statistics::file::rounded;
///
/// assert_eq!(rounded(1.0 + 2.0_f64.powi(-15)), 1.0 + 2.0_f32.powi(-15));
/// assert_eq!(rounded(1.0 + 2.0_f64.powi(-16)), 1.0);
/// assert_eq!(rounded(-3.0 - 3.0 * 2.0_f64.powi(-15)), -3.0 - 2.0_f32.powi(-13));
/// ```
#[expect(clippy::cast_possible_truncation, reason = "rounding is what it is for")]
pub fn rounded(value: f64) -> f32 {
    let dropped = f64::MANTISSA_DIGITS - SIGNIFICAND_BITS;
    let (half, bits) = (1_u64 << (dropped - 1), value.to_bits());
    let nearest = bits + (half - 1) + ((bits >> dropped) & 1);
    f64::from_bits(nearest >> dropped << dropped) as f32
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
    /// the size, digit for digit the same, [`Covariance::Rounded`] in a fifth.
    ///
    /// # Errors
    /// [`StatisticsError::Io`].
    pub fn write(&self, path: &Path, covariance: Covariance) -> Result<(), StatisticsError> {
        let fail = |message: String| StatisticsError::input(path, message);
        let provenance =
            serde_json::to_vec(&self.provenance).map_err(|error| fail(error.to_string()))?;
        let n = i64::try_from(self.n).map_err(|error| fail(error.to_string()))?;
        let (name, sigma) = match covariance {
            Covariance::Full => ("sigma", npy(&self.sigma)),
            Covariance::Upper => (SIGMA_UPPER, npy(&upper_triangle(&self.sigma))),
            Covariance::Rounded => (SIGMA_UPPER, npy(&upper_triangle(&self.sigma).mapv(rounded))),
        };
        let members = [
            ("mu", npy(&self.mu)),
            (name, sigma),
            ("n", npy(&arr0(n))),
            ("provenance", npy(&Array1::from(provenance))),
        ];
        let bytes = npz(members, covariance).map_err(|error| fail(error.to_string()))?;
        publish(path, &bytes).map_err(StatisticsError::io(path))
    }
}

/// An array as a `.npy` file.
fn npy(array: &impl WriteNpyExt) -> Result<Vec<u8>, WriteNpyError> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).map(|()| bytes)
}

/// A zip of `.npy` files, as NumPy reads and writes it.
fn npz<const N: usize>(
    members: [(&str, Result<Vec<u8>, WriteNpyError>); N],
    covariance: Covariance,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let method = match covariance {
        Covariance::Full | Covariance::Upper => CompressionMethod::Stored,
        Covariance::Rounded => CompressionMethod::Deflated,
    };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&content?)?;
    }
    Ok(zip.finish()?.into_inner())
}
