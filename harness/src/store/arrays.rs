//! Reading people's own `.npy` arrays. Never a pickle: object arrays are refused by the reader.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use dubench_metrics::Features;
use ndarray::{Array1, Array2, ArrayD, Axis};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt};

use super::{StoreError, npy};

/// A matrix as it lay in the file: one row an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Single precision.
    F32(Array2<f32>),
    /// Double precision.
    F64(Array2<f64>),
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
}

/// Reads `.npy` of shape `[n, ...]`, f32 or f64; all axes but the first are made one.
///
/// # Errors
/// [`StoreError::Read`] and [`StoreError::Malformed`].
pub fn read_matrix(path: &Path) -> Result<Matrix, StoreError> {
    npy::check_file(path)?;
    match read::<f32>(path) {
        Ok(array) => Ok(Matrix::F32(as_rows(path, array)?)),
        Err(ReadNpyError::WrongDescriptor(_)) => match read::<f64>(path) {
            Ok(array) => Ok(Matrix::F64(as_rows(path, array)?)),
            Err(error) => Err(refuse(path, error)),
        },
        Err(error) => Err(refuse(path, error)),
    }
}

/// Reads `.npy` of shape `[n]`, f32 or f64, as f64.
///
/// # Errors
/// As [`read_matrix`].
pub fn read_vector(path: &Path) -> Result<Array1<f64>, StoreError> {
    let column = |dim: usize| {
        StoreError::malformed(
            path,
            format!("one number an image is expected ([n]), each image has {dim}"),
        )
    };
    let matrix = read_matrix(path)?;
    if matrix.dim() != 1 {
        return Err(column(matrix.dim()));
    }
    Ok(match matrix {
        Matrix::F32(rows) => rows.index_axis(Axis(1), 0).mapv(f64::from),
        Matrix::F64(rows) => rows.index_axis(Axis(1), 0).to_owned(),
    })
}

/// Whether an `.npz` file holds an array of this name.
///
/// # Errors
/// [`StoreError::Read`] and [`StoreError::Malformed`].
pub fn has_array(path: &Path, name: &str) -> Result<bool, StoreError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    let mut npz = NpzReader::new(file).map_err(|error| StoreError::malformed(path, error))?;
    let names = npz.names().map_err(|error| StoreError::malformed(path, error))?;
    Ok(names.iter().any(|entry| entry.strip_suffix(".npy").unwrap_or(entry) == name))
}

fn read<T: ndarray_npy::ReadableElement>(path: &Path) -> Result<ArrayD<T>, ReadNpyError> {
    ArrayD::<T>::read_npy(BufReader::new(File::open(path)?))
}

fn as_rows<T: Clone>(path: &Path, array: ArrayD<T>) -> Result<Array2<T>, StoreError> {
    let shape = array.shape().to_vec();
    let Some((&n, rest)) = shape.split_first() else {
        return Err(StoreError::malformed(
            path,
            "the array is a single number, expected [n, ...] with one row an image".to_owned(),
        ));
    };
    let dim: usize = rest.iter().product();
    // A file in C order is used where it was read: a copy would double the memory.
    let array =
        if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
    array.into_shape_with_order((n, dim)).map_err(|error| StoreError::malformed(path, error))
}

fn refuse(path: &Path, error: ReadNpyError) -> StoreError {
    match error {
        ReadNpyError::Io(source) => StoreError::Read { path: path.to_owned(), source },
        ReadNpyError::WrongDescriptor(descriptor) => StoreError::malformed(
            path,
            format!("elements are {descriptor}, expected f32 or f64: save with .astype('float32')"),
        ),
        other => StoreError::malformed(path, other),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array0, Array3, ShapeBuilder, arr0};
    use ndarray_npy::WriteNpyExt;

    use super::*;

    fn file<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(
        array: &ndarray::Array<T, D>,
    ) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        array.write_npy(&file).unwrap();
        file
    }

    #[test]
    fn all_axes_but_the_first_become_one() {
        let cube = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as f32);
        let matrix = read_matrix(file(&cube).path()).unwrap();
        assert_eq!((matrix.n(), matrix.dim()), (2, 12));
        let Matrix::F32(rows) = matrix else { panic!("f32 was written") };
        assert_eq!(rows[[1, 0]], 12.0);
    }

    #[test]
    fn fortran_order_is_read_by_meaning() {
        let matrix = Array2::from_shape_fn((3, 2), |(i, j)| (i * 2 + j) as f64);
        let mut fortran = Array2::zeros((3, 2).f());
        fortran.assign(&matrix);
        assert!(!fortran.is_standard_layout());
        assert_eq!(read_matrix(file(&fortran).path()).unwrap(), Matrix::F64(matrix));
    }

    #[test]
    fn integers_and_scalars_are_refused_by_name() {
        let integers: Array2<i64> = Array2::zeros((2, 2));
        let message = read_matrix(file(&integers).path()).unwrap_err().to_string();
        assert!(message.contains("expected f32 or f64"), "{message}");
        let scalar: Array0<f32> = arr0(1.0);
        let message = read_matrix(file(&scalar).path()).unwrap_err().to_string();
        assert!(message.contains("single number"), "{message}");
    }

    #[test]
    fn a_missing_file_and_a_truncated_one_are_errors() {
        assert!(matches!(read_matrix(Path::new("no-such.npy")), Err(StoreError::Read { .. })));
        let whole = file(&Array2::<f32>::zeros((8, 8)));
        let bytes = std::fs::read(whole.path()).unwrap();
        whole.as_file().set_len(bytes.len() as u64 - 5).unwrap();
        assert!(read_matrix(whole.path()).is_err());
    }

    #[test]
    fn a_vector_has_one_number_an_image() {
        let scores = Array1::from(vec![1.0_f32, 2.0]);
        assert_eq!(read_vector(file(&scores).path()).unwrap().to_vec(), vec![1.0, 2.0]);
        assert!(read_vector(file(&Array2::<f32>::zeros((2, 2))).path()).is_err());
    }
}
