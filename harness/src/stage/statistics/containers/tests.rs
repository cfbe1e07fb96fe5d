//! Parquet tables of images beside the levels that Pillow reads from them (`scripts/golden/pictures.py`).

use ndarray::{Array4, Ix4, s};

use super::*;
use crate::exit::{Exit, Exits};
use crate::stage::statistics::PIECE_IMAGES;
use crate::stage::statistics::open::open;
use crate::store::npz::Npz;

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures");
    folder.join(name).display().to_string()
}

/// Levels of Pillow, `[n, 3, h, w]`.
fn of_pillow() -> Array4<u8> {
    let mut npz = Npz::open(Path::new(&data("levels.npz"))).unwrap();
    let levels = npz.levels("levels").unwrap().into_dimensionality::<Ix4>().unwrap();
    levels.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned()
}

#[test]
fn a_table_is_its_images_in_order_whatever_is_asked_for_first() {
    let expected = of_pillow();
    let mut table = open(&data("table")).unwrap();
    assert_eq!(table.len(), 11);
    // Across row groups and files, back, and from the middle of a group.
    for range in [0..11, 6..8, 2..3, 4..11, 10..11, 0..1] {
        let images = table.read(range.clone()).unwrap();
        assert_eq!(images, expected.slice(s![range.clone(), .., .., ..]), "{range:?}");
    }
    assert!(table.notes().join("\n").contains("1 other and 0 hidden files left out"));
    assert_eq!(table.run_limit(), Some(PIECE_IMAGES));
    let classes: Vec<u32> =
        table.classes(0..11).unwrap().unwrap().iter().map(|class| class.0).collect();
    assert_eq!(classes, [7, 0, 999, 3, 3, 12, 1, 0, 500, 2, 41]);
    let mut plain = open(&data("plain_bytes.parquet")).unwrap();
    assert_eq!(plain.read(0..2).unwrap(), expected.slice(s![0..2, .., .., ..]));
    assert_eq!(plain.classes(0..2).unwrap(), None);
}

#[test]
fn tables_that_hold_no_images_or_no_classes_are_refused_by_what_they_are() {
    let images = |name: &str| {
        let mut table = open(&data(name))?;
        let n = table.len();
        table.read_runs(0..n)
    };
    for (name, words) in [
        ("no_image.parquet", "it has no column of images; there are text (Utf8), label (Int64)"),
        ("two_columns.parquet", "it has 2 columns of bytes (left, right)"),
        ("paths.parquet", "row 0: it holds no bytes of an image"),
        ("zstd.parquet", "write it with compression='snappy'"),
    ] {
        let error = images(name).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit(), Exit::Input);
    }
    let error = images("truncated.parquet").unwrap_err();
    assert!(error.to_string().contains("truncated.parquet: row 1"), "{error}");
    assert_eq!(error.exit(), Exit::Integrity);
    for (name, words) in
        [("no_class.parquet", "row 1: -1 is no class"), ("null_class.parquet", "row 1: null is no")]
    {
        let mut table = open(&data(name)).unwrap();
        assert_eq!(table.read(0..2).unwrap().dim().0, 2, "images alone ask for no class");
        let error = table.classes(0..2).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit(), Exit::Input);
    }
}

#[test]
fn a_damaged_table_is_damage_or_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let pristine = std::fs::read(data("table/train-00001-of-00002.parquet")).unwrap();
    let mut refused = 0;
    for index in 0..200 {
        crate::store::publish(&path, &crate::stage::fault_tests::damaged(&pristine, index))
            .unwrap();
        let images = || {
            let mut table = open(&path.to_string_lossy())?;
            let n = table.len().min(8);
            table.classes(0..n)?;
            table.read_runs(0..n)
        };
        refused += usize::from(images().is_err());
    }
    assert!(refused >= 50, "{refused} of 200");
}
