//! Arrays of images, whole, packed, labelled and cut short.

use std::io::Cursor;

use ndarray::{Array4, Dimension, ShapeBuilder, s};
use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};

use super::*;

fn file<T: WritableElement, D: Dimension>(
    name: &str,
    array: &ndarray::Array<T, D>,
) -> tempfile::NamedTempFile {
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    npz.add_array(name, array).unwrap();
    npz.finish().unwrap();
    written(&bytes)
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), bytes).unwrap();
    file
}

fn npy<D: Dimension>(array: &ndarray::Array<u8, D>) -> tempfile::NamedTempFile {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).unwrap();
    written(&bytes)
}

fn compressed(array: &Array4<u8>) -> tempfile::NamedTempFile {
    let mut bytes = Vec::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(&mut bytes));
    let deflated = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("arr_0.npy", deflated).unwrap();
    array.write_npy(&mut zip).unwrap();
    zip.finish().unwrap();
    written(&bytes)
}

fn images() -> Array4<u8> {
    Array4::from_shape_fn((7, 4, 5, 3), |(n, y, x, c)| {
        u8::try_from((n * 60 + y * 15 + x * 3 + c) % 256).unwrap()
    })
}

#[test]
fn blocks_in_any_order_are_those_of_the_array() {
    let expected = images().permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned();
    let files = [
        file("arr_0", &images()),
        npy(&images()),
        npy(&expected),
        compressed(&images()),
        compressed(&expected),
    ];
    for file in files {
        let mut source = ArrayImages::open(file.path()).unwrap();
        assert_eq!(source.len(), 7);
        for range in [4..7, 0..7, 2..3, 5..5] {
            let block = source.read(range.clone()).unwrap();
            assert_eq!(block, expected.slice(s![range, .., .., ..]));
        }
    }
}

fn labelled<T: WritableElement>(key: &str, classes: &ndarray::Array1<T>) -> ArrayImages {
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    npz.add_array("arr_0", &images()).unwrap();
    npz.add_array(key, classes).unwrap();
    npz.finish().unwrap();
    let file = written(&bytes);
    let mut source = ArrayImages::open(file.path()).unwrap();
    // Read while the file is there, and then no more.
    source.classes = source.all_classes().unwrap_or_else(|error| panic!("{error}"));
    source
}

#[test]
fn classes_of_an_npz_are_those_of_its_images() {
    let classes = ndarray::array![3_i64, 0, 9, 9, 1, 2, 7];
    let some = |wanted: &[u32]| Some(wanted.iter().copied().map(ClassLabel).collect());
    for key in CLASS_KEYS {
        let mut source = labelled(key, &classes);
        assert_eq!(source.classes(1..4).unwrap(), some(&[0, 9, 9]), "{key}");
    }
    let mut bytes = labelled("labels", &classes.mapv(|class| u8::try_from(class).unwrap()));
    assert_eq!(bytes.classes(5..7).unwrap(), some(&[2, 7]));
    for file in [file("arr_0", &images()), npy(&images())] {
        assert_eq!(ArrayImages::open(file.path()).unwrap().classes(0..7).unwrap(), None);
    }
}

#[test]
fn numbers_that_are_no_classes_are_refused() {
    let refused = |classes: &ndarray::Array1<f64>| {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array("arr_0", &images()).unwrap();
        npz.add_array("labels", classes).unwrap();
        npz.finish().unwrap();
        let file = written(&bytes);
        let error = ArrayImages::open(file.path()).unwrap().classes(0..7).unwrap_err();
        error.to_string()
    };
    let short = refused(&ndarray::Array1::zeros(6));
    assert!(short.contains("labels is <f8 [6]: expected") && short.contains("[7]"), "{short}");
    for odd in [0.5, -1.0, f64::NAN, 16_777_216.0] {
        let message = refused(&ndarray::Array1::from_elem(7, odd));
        assert!(message.contains("whole numbers [7]"), "{odd}: {message}");
    }
}

#[test]
fn other_arrays_are_refused_by_what_they_are() {
    let message =
        |file: &tempfile::NamedTempFile| ArrayImages::open(file.path()).unwrap_err().to_string();
    let floats = message(&file("arr_0", &images().mapv(f32::from)));
    assert!(floats.contains("<f4") && floats.contains("u8 [n, h, w, 3]"), "{floats}");
    let mut fortran = Array4::zeros((7, 4, 5, 3).f());
    fortran.assign(&images());
    assert!(message(&file("arr_0", &fortran)).contains("C order"));
    let grey = images().slice(s![.., .., .., ..1]).to_owned();
    assert!(message(&npy(&grey)).contains("[7, 4, 5, 1]: it has no three channels"));
    assert!(message(&npy(&Array4::zeros((7, 3, 5, 3)))).contains("either of two axes"));
    assert!(message(&npy(&Array4::zeros((7, 4, 5, 4)))).contains("alpha"));
    assert!(message(&file("mu", &images())).contains("arr_0"));
}

#[test]
fn a_truncated_file_is_refused() {
    for whole in [file("arr_0", &images()), npy(&images()), compressed(&images())] {
        let bytes = std::fs::read(whole.path()).unwrap();
        for keep in [3, bytes.len() / 2, bytes.len() - 1] {
            whole.as_file().set_len(keep as u64).unwrap();
            assert!(ArrayImages::open(whole.path()).is_err(), "{keep} bytes");
        }
    }
}

#[test]
fn a_header_that_promises_more_than_there_is_is_refused() {
    let file = file("arr_0", &images());
    let mut bytes = std::fs::read(file.path()).unwrap();
    let at = bytes.windows(2).position(|w| w == b"(7").unwrap() + 1;
    bytes[at] = b'9';
    let message = ArrayImages::open(written(&bytes).path()).unwrap_err().to_string();
    assert!(message.contains("[9, 4, 5, 3], 420 bytes follow it"), "{message}");
}
