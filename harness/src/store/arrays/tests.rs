//! People's own arrays, whole and broken.

use half::f16;
use ndarray::{Array0, ShapeBuilder, arr0};
use ndarray_npy::WriteNpyExt;

use super::*;

fn file<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(
    array: &ndarray::Array<T, D>,
) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    array.write_npy(&file).unwrap();
    file
}

/// An array of this type and these bytes.
fn raw(descriptor: &str, shape: &str, bytes: &[u8]) -> tempfile::NamedTempFile {
    let text = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    let all = [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), bytes].concat();
    let file = tempfile::NamedTempFile::new().unwrap();
    super::super::publish(file.path(), &all).unwrap();
    file
}

fn refusal(file: &tempfile::NamedTempFile) -> String {
    match read_matrix(file.path()).unwrap_err() {
        StoreError::Input { message, .. } => message,
        other => panic!("{other}"),
    }
}

#[test]
fn every_type_of_numbers_is_read_by_meaning() {
    let expected = Array2::from_shape_vec((1, 2), vec![1.0, -2.0]).unwrap();
    let halves: Vec<u8> =
        [1.0, -2.0].iter().flat_map(|v| f16::from_f64(*v).to_be_bytes()).collect();
    let big: Vec<u8> = [1.0, -2.0].iter().flat_map(|v: &f64| v.to_be_bytes()).collect();
    let long: Vec<u8> = [1, -2].iter().flat_map(|v: &i64| v.to_le_bytes()).collect();
    for (descriptor, bytes) in [(">f2", halves), (">f8", big), ("<i8", long), ("|i1", vec![1, 254])]
    {
        let rows = read_matrix(raw(descriptor, "(1, 2)", &bytes).path()).unwrap();
        let rows = match rows {
            Matrix::F32(rows) => rows.mapv(f64::from),
            Matrix::F64(rows) => rows,
        };
        assert_eq!(rows, expected, "{descriptor}");
    }
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
fn only_a_row_of_numbers_is_a_row_of_features() {
    let unit = ndarray::Array4::<f32>::zeros((2, 5, 1, 1));
    assert_eq!(read_matrix(file(&unit).path()).unwrap().dim(), 5);
    let images = ndarray::Array4::<f32>::zeros((2, 3, 4, 4));
    assert!(refusal(&file(&images)).contains("[2, 3, 4, 4]: images are read as u8"));
    let maps = ndarray::Array4::<f32>::zeros((2, 7, 4, 4));
    assert!(refusal(&file(&maps)).contains(".reshape(len(a), -1)"));
    assert!(refusal(&file(&Array1::<f32>::zeros(4))).contains("features are [n, d]"));
    let scalar: Array0<f32> = arr0(1.0);
    assert!(refusal(&file(&scalar)).contains("features are [n, d]"));
    assert!(refusal(&file(&Array2::<u8>::zeros((2, 5)))).contains("levels of images"));
}

#[test]
fn what_holds_no_numbers_is_named_by_its_type() {
    for (descriptor, word) in [("<c8", "of type <c8"), ("<U3", "of type <U3"), ("|O", "pickle")] {
        assert!(refusal(&raw(descriptor, "(1, 1)", &[0; 16])).contains(word), "{descriptor}");
    }
    let pickle = tempfile::NamedTempFile::new().unwrap();
    super::super::publish(pickle.path(), b"\x80\x04\x95 and so on").unwrap();
    assert!(refusal(&pickle).contains("never opened"));
    super::super::publish(pickle.path(), b"some text").unwrap();
    assert!(refusal(&pickle).contains("no NumPy array"));
}

#[test]
fn a_missing_file_and_a_truncated_one_are_errors() {
    assert!(matches!(read_matrix(Path::new("no-such.npy")), Err(StoreError::Read { .. })));
    let whole = file(&Array2::<f32>::zeros((8, 8)));
    let bytes = std::fs::read(whole.path()).unwrap();
    for keep in [bytes.len() - 5, 90, 9] {
        whole.as_file().set_len(keep as u64).unwrap();
        assert!(matches!(read_matrix(whole.path()), Err(StoreError::Broken { .. })), "{keep}");
    }
}

#[test]
fn a_vector_has_one_number_an_image() {
    let scores = Array1::from(vec![1_i32, 2]);
    assert_eq!(read_vector(file(&scores).path()).unwrap().to_vec(), vec![1.0, 2.0]);
    let column = Array2::from_shape_vec((2, 1), vec![1.0_f32, 2.0]).unwrap();
    assert_eq!(read_vector(file(&column).path()).unwrap().to_vec(), vec![1.0, 2.0]);
    assert!(read_vector(file(&Array2::<f32>::zeros((2, 2))).path()).is_err());
}
