//! Data sets as people have them on disk: what they hold, whatever they are called.

use std::io::{Cursor, Write};

use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use ndarray::{Array4, Axis, s};

use super::*;
use crate::units::ClassLabel;

fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::store::publish(path, bytes).unwrap();
}

/// A photograph's stand-in: no two have the same pixels.
fn picture(index: usize, width: u32, height: u32) -> RgbImage {
    let at = u32::try_from(index).unwrap();
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([x * 3 + at * 7, y * 5 + at, (x * y + at * 13) % 97]
            .map(|v| u8::try_from(v % 256).unwrap()))
    })
}

fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn refused(dataset: &Path, options: &ReadOptions) -> String {
    let mut source = match open_with(&dataset.to_string_lossy(), options) {
        Ok(source) => source,
        Err(error) => return error.to_string(),
    };
    let n = source.len();
    source.read_runs(0..n).unwrap_err().to_string()
}

fn at(path: &Path, transform: &str) -> String {
    format!("{}@{transform}", path.display())
}

/// A tree of four classes, ten images each of several sizes, PNG and JPEG under the name that `ImageNet` gives both.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..40 {
        let class = format!("n0{}", index % 4 + 1);
        let [w, h] = [[31, 50], [64, 40], [33, 33], [90, 21]][index / 4 % 4];
        let format = [ImageFormat::Png, ImageFormat::Jpeg][index % 2];
        let bytes = encoded(&picture(index, w, h), format);
        put(&folder.path().join(&class).join(format!("{class}_{index:02}.JPEG")), &bytes);
    }
    folder
}

#[test]
fn a_tree_at_a_size_is_one_array_and_the_same_on_any_number_of_threads() {
    let folder = tree();
    let dataset = at(folder.path(), "adm-crop:16");
    let mut one = open(&dataset).unwrap();
    let all = one.read(0..40).unwrap();
    assert_eq!(all.dim(), (40, 3, 16, 16));
    assert_eq!((one.image_size(), one.notes()), (Some([16, 16]), Vec::new()));
    assert_eq!(one.described().transform.as_deref(), Some("adm-crop:16"));
    let classes = one.classes(8..12).unwrap();
    assert_eq!(classes, Some([0, 0, 1, 1].map(ClassLabel).to_vec()));
    let options = ReadOptions { decode_threads: NonZeroUsize::new(3), ..ReadOptions::default() };
    let mut three = open_with(&dataset, &options).unwrap();
    assert_eq!(three.read(7..33).unwrap(), all.slice(s![7..33, .., .., ..]));
    let squashed = open(&at(folder.path(), "box-squash:16")).unwrap().read(0..40).unwrap();
    assert_ne!(squashed, all);
}

/// A tree with images of every kind that cannot be read right; how many, and words that name them.
fn with_broken(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let good = encoded(&picture(1, 40, 40), ImageFormat::Jpeg);
    put(&folder.join("n01/cut.JPEG"), &good[..good.len() / 2]);
    put(&folder.join("n02/empty.JPEG"), b"");
    put(&folder.join("n03/text.JPEG"), b"<html>not found</html>");
    let mut deep = Vec::new();
    image::codecs::png::PngEncoder::new(&mut deep)
        .write_image(&[7; 2 * 3 * 16], 4, 4, ExtendedColorType::Rgb16)
        .unwrap();
    put(&folder.join("n01/deep.png"), &deep);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/refused/cmyk.jpg");
    put(&folder.join("n04/cmyk.JPEG"), &std::fs::read(data).unwrap());
    vec![
        ("cut.JPEG", "ends before its end marker"),
        ("empty.JPEG", "its content is no image"),
        ("text.JPEG", "its content is no image"),
        ("deep.png", "16 bits"),
        ("cmyk.JPEG", "CMYK"),
    ]
}

#[test]
fn images_that_cannot_be_read_are_counted_named_and_budgeted() {
    let folder = tree();
    let broken = with_broken(folder.path());
    let whole = open(&at(tree().path(), "adm-crop:16")).unwrap().read(0..40).unwrap();
    let path = PathBuf::from(at(folder.path(), "adm-crop:16"));
    let options = |skip_unreadable| ReadOptions { skip_unreadable, ..ReadOptions::default() };
    let none = refused(&path, &options(0));
    assert!(none.contains("empty.JPEG") || none.contains("text.JPEG"), "{none}");
    let few = refused(&path, &options(broken.len() - 1));
    assert!(few.contains("5 images cannot be read, --skip-unreadable allows 4"), "{few}");
    let mut source = open_with(&path.to_string_lossy(), &options(broken.len())).unwrap();
    assert_eq!(source.len(), 45);
    let runs = source.read_runs(0..45).unwrap();
    let views: Vec<_> = runs.iter().map(|run| run.view()).collect();
    assert_eq!(ndarray::concatenate(Axis(0), &views).unwrap(), whole, "the others are untouched");
    let (left_out, notes) = (source.left_out(), source.notes().join("\n"));
    assert_eq!(left_out.len(), broken.len());
    for (name, why) in broken {
        let line = left_out.iter().find(|line| line.contains(name)).expect(name);
        assert!(line.contains(why), "{line}");
        assert!(notes.contains(line), "{notes}");
    }
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
    bytes.into_inner()
}

/// A zip as the data set tools of EDM write it, in another order than its names have.
fn edm(labels: Option<&str>) -> (tempfile::TempDir, PathBuf, Array4<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..6).rev().map(|k| format!("0000{}/img{k:08}.png", k / 3)).collect();
    let images: Vec<Vec<u8>> =
        (0..6).rev().map(|k| encoded(&picture(k, 8, 8), ImageFormat::Png)).collect();
    let mut entries: Vec<(&str, &[u8])> =
        names.iter().zip(&images).map(|(name, image)| (name.as_str(), image.as_slice())).collect();
    if let Some(labels) = labels {
        entries.push(("dataset.json", labels.as_bytes()));
    }
    let path = folder.path().join("imagenet-8x8.zip");
    put(&path, &zip(&entries));
    let pixels = Array4::from_shape_fn((6, 3, 8, 8), |(k, c, y, x)| {
        picture(k, 8, 8).get_pixel(u32::try_from(x).unwrap(), u32::try_from(y).unwrap())[c]
    });
    (folder, path, pixels)
}

fn labels(classes: &[i64]) -> String {
    let of = |(k, class): (usize, &i64)| format!(r#"["0000{}/img{k:08}.png", {class}]"#, k / 3);
    let list: Vec<String> = classes.iter().enumerate().map(of).collect();
    format!(r#"{{"labels": [{}]}}"#, list.join(", "))
}

#[test]
fn a_zip_of_edm_is_its_images_by_name_and_the_classes_of_its_json() {
    let (_folder, path, pixels) = edm(Some(&labels(&[3, 0, 999, 1, 1, 2])));
    let mut source = open(&path.to_string_lossy()).unwrap();
    assert_eq!(source.read(0..6).unwrap(), pixels);
    assert_eq!(source.read(4..5).unwrap(), pixels.slice(s![4..5, .., .., ..]));
    let classes = source.classes(1..4).unwrap();
    assert_eq!(classes, Some([0, 999, 1].map(ClassLabel).to_vec()));
    let (_folder, path, _) = edm(Some(r#"{"labels": null}"#));
    assert_eq!(open(&path.to_string_lossy()).unwrap().classes(0..6).unwrap(), None);
}

#[test]
fn a_zip_that_says_its_classes_wrong_is_refused_by_what_is_wrong() {
    let short = labels(&[3, 0, 999, 1, 1]);
    for (json, word) in [
        (None, "dataset.json: there is none"),
        (Some("{"), "dataset.json: EOF"),
        (Some(r#"{"classes": []}"#), "it has no list of labels"),
        (Some(labels(&[3, 0, -1, 1, 1, 2]).as_str()), "is no image and its class"),
        (Some(short.as_str()), "it names 5 images, and not 00001/img00000005.png"),
    ] {
        let (_folder, path, pixels) = edm(json);
        let mut source = open(&path.to_string_lossy()).unwrap();
        assert_eq!(source.read(0..6).unwrap(), pixels, "images alone ask for no class");
        let message = source.classes(0..6).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_damaged_zip_and_one_without_images_are_refused() {
    let (_folder, path, _) = edm(None);
    let mut bytes = std::fs::read(&path).unwrap();
    // Inside the first image, which is the last one by name.
    bytes[60] ^= 1;
    put(&path, &bytes);
    let message = refused(&path, &ReadOptions::default());
    assert!(message.contains("img00000005.png"), "{message}");
    put(&path, &bytes[..bytes.len() / 2]);
    assert!(open(&path.to_string_lossy()).is_err());
    put(&path, &zip(&[("notes.txt", b"x")]));
    let message = refused(&path, &ReadOptions::default());
    assert!(message.contains("arr_0"), "{message}");
}

#[test]
fn a_pickled_batch_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let batch = folder.path().join("train_data_batch_1");
    put(&batch, b"\x80\x02}q\x00(U\x04dataq\x01");
    for path in [batch.as_path(), folder.path()] {
        let message = refused(path, &ReadOptions::default());
        assert!(message.contains("train_data_batch_1: is a pickle"), "{message}");
        assert!(message.contains("numpy.savez(NAME + '.npz', data=b['data']"), "{message}");
    }
}

#[test]
fn options_that_mean_nothing_to_a_data_set_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut bytes = Vec::new();
    ndarray_npy::WriteNpyExt::write_npy(&Array4::<u8>::zeros((2, 4, 5, 3)), &mut bytes).unwrap();
    put(&path, &bytes);
    let message = refused(&PathBuf::from(at(&path, "adm-crop:4")), &ReadOptions::default());
    assert!(message.contains("@adm-crop:4 is for files of images"), "{message}");
    let list = ReadOptions { class_list: Some(path.clone()), ..ReadOptions::default() };
    assert!(refused(&path, &list).contains("--classes is for files"));
    let (_folder, zip, _) = edm(None);
    assert!(refused(&zip, &list).contains("--classes is for files"));
}

#[test]
fn an_unknown_name_lists_what_there_is() {
    let error = open("cifar100").err().expect("there is no such data set").to_string();
    assert!(error.starts_with("cifar100:") && error.contains("cifar10-train"), "{error}");
    let error = open("cifar100@adm-crop:x").err().expect("no size").to_string();
    assert!(error.contains("expected RECIPE:SIZE"), "{error}");
}

#[test]
fn an_empty_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open(&folder.path().to_string_lossy()).is_err());
}
