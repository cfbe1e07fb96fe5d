//! Folders of image files beside the levels that Pillow reads from them (`scripts/golden/files.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array4, Ix3};

use super::*;
use crate::stage::statistics::ImageSource;
use crate::stage::statistics::pictures::Pictures;
use crate::store::npz::Npz;

fn listed(folder: &Path) -> Result<ImageFolder, StatisticsError> {
    ImageFolder::open(folder, &FolderOptions::default())
}

fn open(folder: &Path) -> Result<Pictures, StatisticsError> {
    Ok(Pictures::new(Box::new(listed(folder)?)))
}

/// Greatest difference to Pillow's libjpeg-turbo, of any level, and the mean over all levels of a file. Measured: 2 and 0.023
/// where no channel is subsampled, 3 and 0.393 where chroma is, because both interpolate it.
fn measured(name: &str) -> (u8, f64) {
    match name {
        "422_q90.jpeg" | "420_q95.jpeg" | "420_q50.jpeg" => (3, 0.4),
        "liar.png" | "turned.jpg" | "grey.JPG" => (2, 0.025),
        name if name.contains(".jpeg") => (2, 0.025),
        _ => (0, 0.0),
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files").join(name)
}

/// Levels by file name, `[h, w, 3]`.
fn of_pillow() -> BTreeMap<String, ndarray::Array3<u8>> {
    let mut npz = Npz::open(&data("pixels.npz")).unwrap();
    let read = |name: String| {
        let pixels = npz.levels(&name).unwrap().into_dimensionality::<Ix3>().unwrap();
        (name, pixels)
    };
    Npz::open(&data("pixels.npz")).unwrap().names().into_iter().map(read).collect()
}

#[test]
fn levels_are_those_of_pillow() {
    let (names, mut folder) =
        (listed(&data("images")).unwrap().files, open(&data("images")).unwrap());
    let expected = of_pillow();
    assert_eq!(folder.len(), expected.len());
    let mut wrong = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let name = name.file_name().unwrap().to_string_lossy().into_owned();
        let ours = folder.read_runs(index..index + 1).unwrap().remove(0);
        let ours = ours.index_axis(ndarray::Axis(0), 0).permuted_axes([1, 2, 0]).to_owned();
        let theirs = &expected[&name];
        assert_eq!(ours.dim(), theirs.dim(), "{name}");
        let differences: Vec<u8> = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).collect();
        let largest = differences.iter().copied().max().unwrap();
        let mean =
            differences.iter().map(|d| f64::from(*d)).sum::<f64>() / differences.len() as f64;
        let (most, mean_most) = measured(&name);
        if largest > most || mean > mean_most {
            wrong.push(format!("{name}: largest {largest}, mean {mean:.4}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let notes = folder.notes().join("\n");
    assert!(notes.contains("1 images have an EXIF orientation"), "{notes}");
    assert!(notes.contains("images of 2 sizes"), "{notes}");
}

/// A folder with one image in a subfolder, one beside it, and what else lies in folders.
fn assorted() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::store::publish(&path, bytes).unwrap();
    };
    let image = |name: &str| std::fs::read(data("images").join(name)).unwrap();
    put("2.png", &image("rgb.png"));
    // The name says otherwise, in one case, and nothing in the other.
    put("class/a.png", &image("444_q75.jpeg"));
    put("class/deep/b", &image("plain.tif"));
    put("._2.png", &[0, 5, 22, 7]);
    put(".DS_Store", b"x");
    put("class/._a.png", b"");
    put("labels.csv", b"a,b\n");
    folder
}

#[test]
fn subfolders_are_read_and_what_is_left_out_is_counted() {
    let folder = assorted();
    let (files, mut source) = (listed(folder.path()).unwrap().files, open(folder.path()).unwrap());
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["2.png", "a.png", "b"]);
    let runs = source.read_runs(0..3).unwrap();
    let sizes: Vec<_> = runs.iter().map(Array4::dim).collect();
    assert_eq!(sizes, [(2, 3, 37, 45), (1, 3, 16, 16)]);
    let notes = source.notes().join("\n");
    for note in ["3 hidden files left out", "1 files that are no images", "labels.csv", "2 sizes"] {
        assert!(notes.contains(note), "{note} is not in {notes}");
    }
    let error = source.read(0..3).unwrap_err();
    assert!(error.to_string().contains("16 x 16, 37 x 45"), "{error}");
}

#[test]
fn links_that_lead_back_are_followed_once() {
    #[cfg(unix)]
    {
        let folder = assorted();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("class/again")).unwrap();
        assert_eq!(listed(folder.path()).unwrap().len(), 3);
    }
}

#[test]
fn images_that_cannot_be_read_right_are_refused_by_name() {
    for (name, word) in [
        ("grey_16.png", "16 bits"),
        ("cmyk.jpg", "CMYK"),
        ("float.tif", "save it as an 8-bit PNG"),
        ("animation.gif", "GIF: 1 of 4 images"),
    ] {
        let folder = assorted();
        let to = folder.path().join(name);
        crate::store::publish(&to, &std::fs::read(data("refused").join(name)).unwrap()).unwrap();
        let read = || open(folder.path())?.read_runs(0..4);
        match read().unwrap_err() {
            StatisticsError::Input { path, message } => {
                assert_eq!(path, to);
                assert!(message.contains(word), "{message}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn a_truncated_image_of_any_format_is_damaged() {
    for (name, keep) in of_pillow().into_keys().flat_map(|name| [(name.clone(), 2), (name, 3)]) {
        // `keep` quarters of the file.
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(data("images").join(&name)).unwrap();
        let part = &bytes[..bytes.len() * keep / 4];
        crate::store::publish(&folder.path().join(&name), part).unwrap();
        let read = || open(folder.path())?.read_runs(0..1);
        let ended = read();
        assert!(
            matches!(ended, Err(StatisticsError::Damaged { .. })),
            "{name}, {keep} quarters: {ended:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    crate::store::publish(&folder.path().join("empty.png"), b"").unwrap();
    assert!(matches!(open(folder.path()), Err(StatisticsError::Damaged { .. })));
}

#[test]
fn subfolders_are_classes_where_every_image_lies_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let png = std::fs::read(data("images/rgb.png")).unwrap();
    let put = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::store::publish(&path, &png).unwrap();
    };
    ["b/1.png", "b/deep/0.png"].into_iter().for_each(put);
    let classes = || open(folder.path()).unwrap().classes(0..2).unwrap();
    assert_eq!(classes(), None, "one subfolder tells nothing apart");
    ["a/9.png", "c/0.png"].into_iter().for_each(put);
    let mut source = open(folder.path()).unwrap();
    let expected = Some([0, 1, 1, 2].map(ClassLabel).to_vec());
    assert_eq!(source.classes(0..4).unwrap(), expected);
    assert_eq!(source.classes(3..4).unwrap(), Some(vec![ClassLabel(2)]));
    put("0.png");
    assert_eq!(classes(), None, "one image lies in no subfolder");
}

#[test]
fn a_folder_without_images_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    crate::store::publish(&folder.path().join("notes.txt"), b"text").unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("1 other and 0 hidden files"), "{error}");
}

#[test]
fn a_class_without_images_is_no_gap_in_the_numbers_that_nobody_sees() {
    let folder = tempfile::tempdir().unwrap();
    let png = std::fs::read(data("images/rgb.png")).unwrap();
    for class in ["n01", "n02", "n04"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        crate::store::publish(&folder.path().join(class).join("1.png"), &png).unwrap();
    }
    std::fs::create_dir(folder.path().join("n03")).unwrap();
    let mut source = open(folder.path()).unwrap();
    assert!(source.notes().join("\n").contains("1 subfolders hold no image (such as n03)"));
    let message = source.classes(0..3).unwrap_err().to_string();
    assert!(message.contains("n03 first, so classes would be numbered without them"), "{message}");
    // A list numbers them without a look at the folders, and misses the class too.
    let list = folder.path().join("list.txt");
    crate::store::publish(&list, b"n01 a\nn02 b\nn04 c\n").unwrap();
    let options = FolderOptions { class_list: Some(list.clone()), ..FolderOptions::default() };
    let mut listed = ImageFolder::open(folder.path(), &options).unwrap();
    let expected = [0, 1, 2].map(ClassLabel).to_vec();
    assert_eq!(listed.classes(0..3).unwrap(), Some(expected));
    crate::store::publish(&list, b"n01 a\nn02 b\nn03 lost\nn04 c\n").unwrap();
    let message = ImageFolder::open(folder.path(), &options).unwrap_err().to_string();
    assert!(message.contains("1 of the 4 classes") && message.contains("n03 first"), "{message}");
}
