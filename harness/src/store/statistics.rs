//! Reference statistics: `.npz` files with `mu` `[d]`, `sigma` `[d, d]` (or `sigma_upper` `[d (d + 1) / 2]`, its upper
//! triangle row after row, or `sigma_diagonal` `[d]` with `correlation_upper` `[2, d (d - 1) / 2]`), and where known `n` and `provenance` (JSON as bytes).

use std::path::Path;

use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2, s};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::arrays::{self, Content};
use super::correlations;
use super::elements::Numbers;
use super::npz::Npz;
use crate::extractor_id::ExtractorId;

/// Name of the array that holds the upper triangle of sigma instead of all of it.
pub const SIGMA_UPPER: &str = "sigma_upper";
/// Name of the array that holds the diagonal of sigma, beside [`CORRELATION_UPPER`].
pub const SIGMA_DIAGONAL: &str = "sigma_diagonal";
/// Name of the array that holds correlations in steps ([`super::correlations`]) instead of sigma.
pub const CORRELATION_UPPER: &str = "correlation_upper";

/// Names of the array of images that may stand beside moments, as in the reference files of guided-diffusion.
const SAMPLES: [&str; 2] = ["arr_0", "images"];

/// What the images behind statistics are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Height and width, where all have one size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u64; 2]>,
    /// What became of each of them: `adm-crop:64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// Who made the statistics, by which program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Images that were left out because they could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

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
    /// Height and width of the images, where the file says, or holds some of them.
    pub image_size: Option<[u64; 2]>,
}

/// What is read of the provenance; its other fields are for people.
#[derive(Deserialize)]
struct Origin {
    extractor: ExtractorId,
    #[serde(default)]
    images: Option<Images>,
}

impl Statistics {
    /// Reads a file of statistics, ours or that of another tool: compressed or not, of any type of numbers, `mu` as `[d]` or
    /// `[1, d]`, `n` as any number or absent.
    ///
    /// # Errors
    /// [`StoreError::Read`] when there is none, [`StoreError::Input`] for missing arrays, shapes that do not fit, or values
    /// that are not finite, [`StoreError::Broken`] for a damaged file.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        if arrays::content(path)? != Content::Npz {
            let message = "it is no .npz: statistics are an .npz with mu [d] and sigma [d, d]";
            return Err(StoreError::input(path, message));
        }
        let mut npz = Npz::open(path)?;
        let mu = widened(npz.read("mu")?.1);
        let forms = ["sigma", SIGMA_UPPER, CORRELATION_UPPER];
        let form = forms.into_iter().find(|name| npz.has(name)).unwrap_or("sigma");
        let mut read = |name: &str| npz.read(name).map(|(_, numbers)| numbers);
        let sigma = covariance(path, &mu, &mut read, form)?;
        let mu: Array1<f64> = mu.iter().copied().collect();
        let n = if npz.has("n") { Some(count(path, &npz.read("n")?.1)?) } else { None };
        let origin = if npz.has("provenance") { origin(path, &mut npz)? } else { None };
        if mu.iter().chain(&sigma).any(|value| !value.is_finite()) {
            let message = "mu or sigma hold values that are not finite: compute them again";
            return Err(StoreError::input(path, message));
        }
        let said = origin.as_ref().and_then(|origin| origin.images.as_ref()?.size);
        let image_size = said.or_else(|| size_of_samples(&mut npz));
        Ok(Self { mu, sigma, n, extractor: origin.map(|origin| origin.extractor), image_size })
    }
}

/// Sigma `[d, d]` in whatever form the file has it, for `mu` as it stands there.
fn covariance(
    path: &Path,
    mu: &ArrayD<f64>,
    read: &mut dyn FnMut(&str) -> Result<Numbers, StoreError>,
    form: &str,
) -> Result<Array2<f64>, StoreError> {
    let numbers = read(form)?;
    let shapes = format!("mu is {:?} and {form} {:?}", mu.shape(), numbers.shape());
    let refuse = |why: &str| StoreError::input(path, format!("{shapes}: {why}"));
    let (long, dim) = (mu.shape().iter().filter(|axis| **axis != 1).count(), mu.len());
    if long > 1 || mu.ndim() == 0 {
        return Err(refuse("mu is a vector, [d] or [1, d]"));
    }
    let sigma = match form {
        CORRELATION_UPPER => {
            let diagonal = widened(read(SIGMA_DIAGONAL)?).into_dimensionality::<Ix1>().ok();
            let steps = match numbers {
                Numbers::U8(steps) => steps.into_dimensionality::<Ix2>().ok(),
                _ => None,
            };
            let sigma =
                diagonal.zip(steps).and_then(|(d, steps)| correlations::covariance(&d, &steps));
            sigma.ok_or_else(|| {
                refuse("expected u8 [2, d (d - 1) / 2] and variances of 0 or more")
            })?
        }
        SIGMA_UPPER => unpacked(&widened(numbers), dim)
            .ok_or_else(|| refuse("expected [d] and [d (d + 1) / 2]"))?,
        _ => widened(numbers)
            .into_dimensionality::<Ix2>()
            .map_err(|_| refuse("sigma is a matrix, [d, d]"))?,
    };
    if dim == 0 || sigma.dim() != (dim, dim) {
        return Err(refuse("expected [d] and [d, d]"));
    }
    Ok(sigma)
}

/// The upper triangle of a symmetric matrix, row after row: `[d (d + 1) / 2]`.
///
/// # Examples
/// ```
/// use dubench::store::statistics::upper_triangle;
/// use ndarray::array;
///
/// let triangle = upper_triangle(&array![[1.0, 2.0], [2.0, 3.0]]);
/// assert_eq!(triangle, array![1.0, 2.0, 3.0]);
/// ```
pub fn upper_triangle(sigma: &Array2<f64>) -> Array1<f64> {
    let rows = sigma.rows().into_iter().enumerate();
    rows.flat_map(|(i, row)| row.slice_move(s![i..]).iter().copied().collect::<Vec<_>>()).collect()
}

/// The symmetric matrix `[d, d]` of its upper triangle.
fn unpacked(upper: &ArrayD<f64>, dim: usize) -> Option<Array2<f64>> {
    if upper.ndim() != 1 || upper.len() != dim * (dim + 1) / 2 {
        return None;
    }
    let mut sigma = Array2::zeros((dim, dim));
    let places = (0..dim).flat_map(|i| (i..dim).map(move |j| (i, j)));
    for ((i, j), value) in places.zip(upper) {
        sigma[[i, j]] = *value;
        sigma[[j, i]] = *value;
    }
    Some(sigma)
}

fn widened(numbers: Numbers) -> ArrayD<f64> {
    match numbers {
        Numbers::U8(array) => array.mapv(f64::from),
        Numbers::F32(array) => array.mapv(f64::from),
        Numbers::F64(array) => array,
    }
}

/// A whole number of 2 or more, in whatever type it was saved.
fn count(path: &Path, numbers: &Numbers) -> Result<u64, StoreError> {
    let values = widened(numbers.clone());
    let refuse = |why: &str| {
        let message = format!("n: {why}: expected the number of images, or no n at all");
        StoreError::input(path, message)
    };
    let [value] = values.iter().copied().collect::<Vec<_>>()[..] else {
        return Err(refuse(&format!("an array {:?}", values.shape())));
    };
    if value.fract() != 0.0 || !(0.0..=9e15).contains(&value) {
        return Err(refuse(&format!("{value} is no number of images")));
    }
    if value < 2.0 {
        return Err(refuse("statistics of fewer than 2 images have no covariance"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, in range")]
    Ok(value as u64)
}

/// Our provenance is JSON in bytes; what others keep under that name is theirs.
fn origin(path: &Path, npz: &mut Npz) -> Result<Option<Origin>, StoreError> {
    if !npz.entry("provenance").is_ok_and(|entry| entry.header.dtype.is_u8()) {
        return Ok(None);
    }
    let (_, Numbers::U8(bytes)) = npz.read("provenance")? else { return Ok(None) };
    let bytes: Vec<u8> = bytes.iter().copied().collect();
    let origin: Origin = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::input(path, format!("provenance: {error}")))?;
    Ok(Some(origin))
}

/// Height and width of images `[n, h, w, 3]` that stand beside moments.
fn size_of_samples(npz: &mut Npz) -> Option<[u64; 2]> {
    let key = SAMPLES.into_iter().find(|key| npz.has(key))?;
    let header = npz.entry(key).ok()?.header;
    match header.shape[..] {
        [_, h, w, 3] if header.dtype.is_u8() => Some([h as u64, w as u64]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array0, arr0, array};
    use ndarray_npy::NpzWriter;

    use super::*;

    type Writer<'a> = NpzWriter<Cursor<&'a mut Vec<u8>>>;

    fn written(fill: impl FnOnce(&mut Writer<'_>)) -> tempfile::NamedTempFile {
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
        assert_eq!((statistics.n, statistics.extractor, statistics.image_size), (None, None, None));
    }

    #[test]
    fn the_number_of_images_is_a_whole_number_of_any_type() {
        let square = array![[1.0, 0.0], [0.0, 1.0]];
        let with = |n: &dyn Fn(&mut Writer<'_>)| {
            let file = written(|npz| {
                npz.add_array("mu", &array![[1.0], [2.0]]).unwrap();
                npz.add_array("sigma", &square).unwrap();
                n(npz);
            });
            Statistics::read(file.path()).map(|found| found.n)
        };
        assert_eq!(with(&|npz| npz.add_array("n", &arr0(400_i32)).unwrap()).unwrap(), Some(400));
        assert_eq!(
            with(&|npz| npz.add_array("n", &array![400.0_f32]).unwrap()).unwrap(),
            Some(400)
        );
        for wrong in [400.5, f64::NAN, -3.0, 1.0] {
            let n: Array0<f64> = arr0(wrong);
            assert!(with(&|npz| npz.add_array("n", &n).unwrap()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_upper_triangle_is_the_symmetric_matrix() {
        let file = written(|npz| {
            npz.add_array("mu", &array![1.0, 2.0, 3.0]).unwrap();
            npz.add_array(SIGMA_UPPER, &array![4.0, 0.5, 0.25, 5.0, -1.0, 6.0]).unwrap();
        });
        let expected = array![[4.0, 0.5, 0.25], [0.5, 5.0, -1.0], [0.25, -1.0, 6.0]];
        assert_eq!(Statistics::read(file.path()).unwrap().sigma, expected);
        assert_eq!(upper_triangle(&expected), array![4.0, 0.5, 0.25, 5.0, -1.0, 6.0]);
        let short = written(|npz| {
            npz.add_array("mu", &array![1.0, 2.0, 3.0]).unwrap();
            npz.add_array(SIGMA_UPPER, &array![4.0, 0.5, 0.25, 5.0, -1.0]).unwrap();
        });
        let message = Statistics::read(short.path()).unwrap_err().to_string();
        assert!(
            message.contains("sigma_upper [5]") && message.contains("d (d + 1) / 2"),
            "{message}"
        );
    }

    #[test]
    fn correlations_that_do_not_fit_are_refused() {
        let file = written(|npz| {
            npz.add_array("mu", &array![1.0, 2.0, 3.0]).unwrap();
            npz.add_array(SIGMA_DIAGONAL, &array![4.0, 5.0, 6.0]).unwrap();
            npz.add_array(CORRELATION_UPPER, &array![[1_u8, 2], [3, 4]]).unwrap();
        });
        let message = Statistics::read(file.path()).unwrap_err().to_string();
        assert!(message.contains("correlation_upper [2, 2]: expected u8"), "{message}");
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
        assert!(message(shapes).contains("mu is [1] and sigma [2, 2]"));
        let nan = written(|npz| {
            npz.add_array("mu", &array![1.0, f64::NAN]).unwrap();
            npz.add_array("sigma", &square).unwrap();
        });
        assert!(message(nan).contains("not finite"));
        let one = written(|npz| {
            npz.add_array("mu", &array![1.0, 1.0]).unwrap();
            npz.add_array("sigma", &square).unwrap();
            npz.add_array("n", &arr0(1_i64)).unwrap();
        });
        assert!(message(one).contains("fewer than 2"));
        let file = tempfile::NamedTempFile::new().unwrap();
        super::super::publish(file.path(), b"PK\x03\x04 no zip").unwrap();
        assert!(matches!(Statistics::read(file.path()), Err(StoreError::Broken { .. })));
    }
}
