//! `dubench stats` over trees of photographs as people have them, and statistics that others have published: what is counted,
//! named and refused. `just test-photographs` makes the tree of real photographs, a thousand files of it.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzWriter;

use crate::files::{call, data, extractor};
use crate::support::{Ended, Folder, TINY};

/// Sizes that photographs have, width and height.
const SIZES: [(u32, u32); 7] =
    [(500, 375), (375, 500), (500, 333), (333, 500), (240, 180), (400, 400), (512, 341)];

/// A picture of slopes and shapes, 512 x 512, where no photograph is at hand.
fn drawn() -> RgbImage {
    RgbImage::from_fn(512, 512, |x, y| {
        let ring = ((x.abs_diff(256).pow(2) + y.abs_diff(256).pow(2)) / 900) % 2;
        Rgb([x / 2, y / 2, (x * y / 512 + 120 * ring) % 256]
            .map(|level| u8::try_from(level % 256).unwrap()))
    })
}

fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).unwrap();
    bytes
}

/// An APP1 segment that says "turn me by 90 degrees", behind the first two bytes of a JPEG.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = u16::try_from(2 + 6 + tiff.len()).unwrap().to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, b"Exif\0\0", tiff, &jpeg[2..]].concat()
}

/// Image `index` of a tree: a window of a photograph, encoded in one of the ways that photographs are.
fn encoded(photographs: &[RgbImage], index: usize) -> Vec<u8> {
    let photograph = &photographs[index % photographs.len()];
    let (w, h) = SIZES[index % SIZES.len()];
    let at = u32::try_from(index).unwrap();
    let (w, h) = (w.min(photograph.width()), h.min(photograph.height()));
    let (x, y) =
        ((at * 37) % (photograph.width() - w + 1), (at * 53) % (photograph.height() - h + 1));
    let window = image::imageops::crop_imm(photograph, x, y, w, h).to_image();
    let window = DynamicImage::ImageRgb8(window);
    let quality = u8::try_from(70 + index % 29).unwrap();
    match index % 10 {
        0 => {
            let mut png = Cursor::new(Vec::new());
            window.write_to(&mut png, ImageFormat::Png).unwrap();
            png.into_inner()
        }
        1 => jpeg(&DynamicImage::ImageLuma8(window.to_luma8()), quality),
        2 => turned(&jpeg(&window, quality)),
        _ => jpeg(&window, quality),
    }
}

/// What cannot be read, `n` files in turn of each kind, and a word that says why.
fn broken(photographs: &[RgbImage], n: usize) -> Vec<(Vec<u8>, &'static str)> {
    let good = encoded(photographs, 3);
    let mut deep = Vec::new();
    let levels: Vec<u8> = (0..2 * 3 * 20 * 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    image::codecs::png::PngEncoder::new(&mut deep)
        .write_image(&levels, 20, 20, ExtendedColorType::Rgb16)
        .unwrap();
    let cmyk = std::fs::read(data("refused/cmyk.jpg")).unwrap();
    let kinds = [
        (good[..good.len() / 3].to_vec(), "ends before its end marker"),
        (deep, "16 bits"),
        (cmyk, "CMYK"),
        (Vec::new(), "its content is no image"),
        (b"<html>404</html>".to_vec(), "its content is no image"),
    ];
    (0..n).map(|at| kinds[at % kinds.len()].clone()).collect()
}

/// A tree of `n` images in ten class folders, `n_broken` of which cannot be read; why, by name.
fn tree(
    folder: &Folder,
    photographs: &[RgbImage],
    (n, n_broken): (usize, usize),
) -> BTreeMap<String, &'static str> {
    let every = n / n_broken;
    let mut broken = broken(photographs, n_broken).into_iter();
    let mut names = BTreeMap::new();
    for index in 0..n {
        let class = format!("n0{}", index % 10);
        std::fs::create_dir_all(folder.path(&format!("tree/{class}"))).unwrap();
        std::fs::create_dir_all(folder.path(&format!("good/{class}"))).unwrap();
        let name = format!("{class}/{class}_{index:04}.JPEG");
        if index % every == every / 2 && names.len() < n_broken {
            let (bytes, why) = broken.next().unwrap();
            folder.bytes(&format!("tree/{name}"), &bytes);
            names.insert(name, why);
        } else {
            let bytes = encoded(photographs, index);
            folder.bytes(&format!("tree/{name}"), &bytes);
            folder.bytes(&format!("good/{name}"), &bytes);
        }
    }
    names
}

/// Asserts the exit code, and that the message holds every one of `words`.
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

/// Statistics of a tree with files that cannot be read are those of the tree without them, to `within`, and say which they were.
fn statistics_leave_out_what_cannot_be_read(
    photographs: &[RgbImage],
    (n, n_broken): (usize, usize),
    within: f64,
) {
    let folder = Folder::new();
    let network = extractor(&folder);
    let names = tree(&folder, photographs, (n, n_broken));
    let stats = |dataset: &str, more: &[&str]| {
        let output = format!("{}.npz", dataset.split('@').next().unwrap());
        call(&folder, &[&["stats", dataset, "-o", &output], more].concat(), &network)
    };
    let without = stats("tree@adm-crop:64", &[]);
    assert!([3, 5].contains(&without.code), "{}: {}", without.code, without.stderr);
    let few = (n_broken - 1).to_string();
    let too_many = stats("tree@adm-crop:64", &["--skip-unreadable", &few]);
    refused(&too_many, 3, &["images cannot be read, --skip-unreadable allows"]);
    assert!(!folder.path("tree.npz").exists(), "nothing half-written");
    let enough = n_broken.to_string();
    let answer = stats("tree@adm-crop:64", &["--skip-unreadable", &enough]).json();
    assert_eq!(answer["n"].as_u64(), Some((n - n_broken) as u64), "{answer}");
    let left_out: Vec<&str> =
        answer["left_out"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(left_out.len(), n_broken);
    for (name, why) in names {
        assert!(left_out.iter().any(|line| line.contains(&name) && line.contains(why)), "{name}");
    }
    assert!(answer["notes"].to_string().contains("EXIF orientation, which is not applied"));
    assert_eq!(answer["provenance"]["images"]["transform"], "adm-crop:64");
    assert_eq!(stats("good@adm-crop:64", &[]).code, 0);
    let moments = |name: &str| {
        let file = std::fs::File::open(folder.path(name)).unwrap();
        let mut npz = ndarray_npy::NpzReader::new(file).unwrap();
        let mu: Array1<f64> = npz.by_name("mu").unwrap();
        let sigma: Array2<f64> = npz.by_name("sigma").unwrap();
        (mu, sigma)
    };
    let ((mu, sigma), (own_mu, own_sigma)) = (moments("tree.npz"), moments("good.npz"));
    assert!(mu.iter().zip(&own_mu).all(|(a, b)| (a - b).abs() <= within), "{mu} {own_mu}");
    assert!(
        sigma.iter().zip(&own_sigma).all(|(a, b)| (a - b).abs() <= within),
        "{sigma} {own_sigma}"
    );
}

#[test]
fn unreadable_images_are_counted_named_and_left_out_of_the_statistics() {
    statistics_leave_out_what_cannot_be_read(&[drawn()], (40, 5), 0.0);
}

#[test]
#[ignore = "a thousand files of real photographs: `just test-photographs`"]
fn a_thousand_photographs_are_read_and_the_broken_ones_named() {
    let folder = std::env::var("DUBENCH_PHOTOGRAPHS").expect("the folder of the asset");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jpg"));
    files.sort();
    assert!(files.len() >= 20, "{} photographs", files.len());
    let open = |file: &PathBuf| image::open(file).unwrap().to_rgb8();
    let photographs: Vec<RgbImage> = files.iter().map(open).collect();
    // Images behind a broken one travel in other batches, and the runtime may add in another order there; measured: 2e-9.
    statistics_leave_out_what_cannot_be_read(&photographs, (1_020, 20), 1e-7);
}

/// A reference file as guided-diffusion publishes it, of `dim` features of images of `side`.
fn published(folder: &Folder, name: &str, (dim, side): (usize, usize)) {
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    npz.add_array("arr_0", &Array4::<u8>::zeros((3, side, side, 3))).unwrap();
    npz.add_array("mu", &Array1::from_elem(dim, 0.5)).unwrap();
    npz.add_array("sigma", &(Array2::<f64>::eye(dim) * 0.004)).unwrap();
    npz.finish().unwrap();
    folder.bytes(name, &bytes);
}

#[test]
fn published_statistics_are_imported_with_their_convention() {
    let folder = Folder::new();
    let network = extractor(&folder);
    published(&folder, "VIRTUAL_imagenet64_labeled.npz", (4, 64));
    let import = |more: &[&str]| {
        let file = ["import-stats", "VIRTUAL_imagenet64_labeled.npz", "-o", "out.npz"];
        call(&folder, &[&file, more].concat(), &network)
    };
    refused(&import(&["--from", "tensorflow"]), 2, &["--from", "adm, u-vit, edm"]);
    refused(&import(&["--from", "pytorch-fid"]), 3, &["by adm, not by pytorch-fid"]);
    let size = import(&["--from", "adm", "--size", "128"]);
    refused(&size, 3, &["--size says 128, its name 64"]);
    assert!(!folder.path("out.npz").exists());
    let answer = import(&["--from", "adm"]).json();
    assert_eq!(answer["n"].as_u64(), Some(1_281_167));
    assert_eq!(answer["provenance"]["extractor"]["preprocess"], "torch-fidelity");
    assert_eq!(answer["provenance"]["images"]["transform"], "adm-crop:64");
    // Features by another resize are not compared with it.
    std::fs::create_dir(folder.path("fake")).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        drawn().save(folder.path(&format!("fake/{name}.png"))).unwrap();
    }
    let fid = ["metric", "fid", "--real", "out.npz", "--fake", "fake"];
    refused(&call(&folder, &fid, &network), 3, &["torch-fidelity", "pytorch-fid"]);
    let alike = [&fid[..], &["--preprocess", "torch-fidelity"]].concat();
    assert_eq!(call(&folder, &alike, &network).code, 0);
}

#[test]
fn statistics_of_another_resolution_or_network_are_refused_before_any_work() {
    let folder = Folder::new();
    let plan = |text: &str| {
        folder.text("other.yaml", text);
        folder.dubench(&["run", "other.yaml", "--scale", "smoke"])
    };
    // The model makes images of 8 x 8, and its features have 12 values.
    published(&folder, "other.npz", (12, 64));
    let text = TINY.replace("reference.npz", "other.npz");
    assert_ne!(text, TINY);
    plan(&text).fails(3, &["they are of images of 64 x 64", "makes 8 x 8", "docs/imagenet.md"]);
    published(&folder, "other.npz", (13, 8));
    plan(&text).fails(3, &["its dimension is 13", "have 12"]);
    assert!(!Path::new(&folder.path("work")).exists(), "nothing was begun");
}
