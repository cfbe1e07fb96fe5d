//! Reading people's own arrays, `.npy` and `.npz`. Never a pickle.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use dubench_metrics::Features;
use ndarray::{Array1, Array2, ArrayD, Axis};

use super::StoreError;
use super::elements::{self, Numbers};
use super::npy::{self, Header};
use super::npz::Npz;
use super::trouble::{PICKLE, Trouble};

/// Names under which tools keep features.
const FEATURE_KEYS: [&str; 3] = ["feats", "features", "arr_0"];

/// What a file is by its first bytes, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// One array.
    Npy,
    /// A zip of arrays.
    Npz,
    /// A table.
    Parquet,
    /// Something else.
    Other,
}

/// A matrix as it lay in the file: one row an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Single precision.
    F32(Array2<f32>),
    /// Double precision.
    F64(Array2<f64>),
}

/// An array with its shape, for readers to whom axes mean something.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) header: Header,
    pub(crate) numbers: Numbers,
}

impl Matrix {
    /// Number of rows.
    pub fn n(&self) -> usize {
        self.as_features().n()
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        self.as_features().dim()
    }

    /// The rows as the metrics take them.
    pub fn as_features(&self) -> Features<'_> {
        match self {
            Self::F32(rows) => rows.into(),
            Self::F64(rows) => rows.into(),
        }
    }

    /// Row, column and value of the first element that is NaN or infinite.
    pub(crate) fn not_finite(&self) -> Option<(usize, usize, f64)> {
        match self {
            Self::F32(rows) => first_not_finite(rows),
            Self::F64(rows) => first_not_finite(rows),
        }
    }
}

fn first_not_finite<T: Copy + Into<f64>>(rows: &Array2<T>) -> Option<(usize, usize, f64)> {
    let mut elements =
        rows.indexed_iter().map(|((row, column), value)| (row, column, (*value).into()));
    elements.find(|(_, _, value)| !value.is_finite())
}

impl Loaded {
    /// The array in single precision.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "asked for by networks, which compute in it"
    )]
    pub(crate) fn into_f32(self) -> ArrayD<f32> {
        match self.numbers {
            Numbers::U8(array) => array.mapv(f32::from),
            Numbers::F32(array) => array,
            Numbers::F64(array) => array.mapv(|value| value as f32),
        }
    }

    /// All axes but the first as one; levels of 8 bits as numbers.
    pub(crate) fn into_rows(self) -> Result<Matrix, ndarray::ShapeError> {
        Ok(match self.numbers {
            Numbers::U8(array) => Matrix::F32(as_rows(array.mapv(f32::from))?),
            Numbers::F32(array) => Matrix::F32(as_rows(array)?),
            Numbers::F64(array) => Matrix::F64(as_rows(array)?),
        })
    }
}

/// What a file is, by its first bytes.
///
/// # Errors
/// [`StoreError::Read`], and [`StoreError::Input`] for a pickle.
pub(crate) fn content(path: &Path) -> Result<Content, StoreError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(StoreError::read(path))?;
    file.take(8).read_to_end(&mut start).map_err(StoreError::read(path))?;
    Ok(match start.as_slice() {
        start if start.starts_with(npy::MAGIC) => Content::Npy,
        start if start.starts_with(b"PK") => Content::Npz,
        start if start.starts_with(b"PAR1") => Content::Parquet,
        [0x80, 0..=5, ..] => return Err(StoreError::input(path, PICKLE)),
        _ => Content::Other,
    })
}

/// Reads one array: that of a `.npy`, or of a `.npz` the first of `keys` that it has, or its only one.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Input`], [`StoreError::Broken`].
pub(crate) fn load(path: &Path, keys: &[&str]) -> Result<Loaded, StoreError> {
    match content(path)? {
        Content::Npy => {
            let file = File::open(path).map_err(StoreError::read(path))?;
            let size = file.metadata().map_err(StoreError::read(path))?.len();
            let mut reader = BufReader::new(file);
            let read = |reader: &mut BufReader<File>| -> Result<Loaded, Trouble> {
                let header = Header::read(reader, size)?;
                let numbers = elements::read(reader, &header)?;
                Ok(Loaded { header, numbers })
            };
            read(&mut reader).map_err(|trouble| trouble.at(path))
        }
        Content::Npz => {
            let mut npz = Npz::open(path)?;
            let names = npz.names();
            let key = keys.iter().map(|key| (*key).to_owned()).find(|key| npz.has(key));
            let Some(key) = key.or_else(|| (names.len() == 1).then(|| names[0].clone())) else {
                let (expected, found) = (keys.join(", "), names.join(", "));
                let message = format!("expected an array called {expected}; there are {found}");
                return Err(StoreError::input(path, message));
            };
            let (header, numbers) = npz.read(&key)?;
            Ok(Loaded { header, numbers })
        }
        Content::Parquet => Err(StoreError::input(
            path,
            "it is a Parquet table, and this is read from arrays alone: save its column with numpy.save(\"NAME.npy\", table[\"COLUMN\"].to_numpy())",
        )),
        Content::Other => Err(StoreError::input(
            path,
            "it is no NumPy array: expected .npy or .npz, by its content",
        )),
    }
}

/// Reads features: `.npy`, or `.npz` with `feats`, `features` or `arr_0`, of shape `[n, d]` (further axes of length one pass)
/// and any type of numbers but u8.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Broken`], and [`StoreError::Input`] for what is no array, for shapes in which a
/// row is not a vector of features, and for u8, which is images.
pub fn read_matrix(path: &Path) -> Result<Matrix, StoreError> {
    let loaded = load(path, &FEATURE_KEYS)?;
    let refuse = |why: String| {
        StoreError::input(path, format!("the array is {}: {why}", loaded.header.describe()))
    };
    let shape = &loaded.header.shape;
    if matches!(loaded.numbers, Numbers::U8(_)) {
        let why = "u8 is levels of images, [n, h, w, 3] or [n, 3, h, w]; features are saved with .astype('float32')";
        return Err(refuse(why.to_owned()));
    }
    let long = shape.iter().skip(1).filter(|axis| **axis != 1).count();
    if shape.len() < 2 {
        let why = "features are [n, d], one row an image: reshape it to (n, d)";
        return Err(refuse(why.to_owned()));
    }
    if long > 1 {
        let image = shape.len() == 4 && (shape[1] == 3 || shape[3] == 3);
        let why = if image {
            "images are read as u8, [n, h, w, 3] or [n, 3, h, w]: round to 0..=255 and save with .astype('uint8'); features are [n, d]"
        } else {
            "features are [n, d], one row an image: if every value is a feature, save it with .reshape(len(a), -1)"
        };
        return Err(refuse(why.to_owned()));
    }
    if shape[1..].contains(&0) {
        return Err(refuse("an image has no feature in it: give features [n, d]".to_owned()));
    }
    loaded.into_rows().map_err(|error| StoreError::input(path, error))
}

/// Reads one number an image, `[n]` (further axes of length one pass), of any type, as f64.
///
/// # Errors
/// As [`read_matrix`].
pub fn read_vector(path: &Path) -> Result<Array1<f64>, StoreError> {
    let loaded = load(path, &["scores", "arr_0"])?;
    let what = loaded.header.describe();
    if loaded.header.shape.is_empty() || loaded.header.shape[1..].iter().any(|axis| *axis != 1) {
        let message = format!("the array is {what}: expected one number an image, [n]");
        return Err(StoreError::input(path, message));
    }
    let rows = loaded.into_rows().map_err(|error| StoreError::input(path, error))?;
    Ok(match rows {
        Matrix::F32(rows) => rows.index_axis(Axis(1), 0).mapv(f64::from),
        Matrix::F64(rows) => rows.index_axis(Axis(1), 0).to_owned(),
    })
}

fn as_rows<T: Clone>(array: ArrayD<T>) -> Result<Array2<T>, ndarray::ShapeError> {
    let n = array.shape().first().copied().unwrap_or(1);
    let dim: usize = array.shape().iter().skip(1).product();
    // A file in C order is used where it was read: a copy would double the memory.
    let array =
        if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
    array.into_shape_with_order((n, dim))
}
