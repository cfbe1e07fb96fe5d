//! Files as people have them: every form of features, statistics and images, beside the values of NumPy and Pillow
//! (`scripts/golden/files.py`).

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};

use ndarray::Array4;
use ndarray_npy::WriteNpyExt;
use sha2::{Digest, Sha256};

use crate::support::{Folder, features};

pub(crate) fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files");
    folder.join(name).display().to_string()
}

fn right() -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(data("right.json")).unwrap();
    let right: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of = |(name, value): (&String, &serde_json::Value)| (name.clone(), value.as_f64().unwrap());
    right["fid"].as_object().unwrap().iter().map(of).collect()
}

#[test]
fn features_and_statistics_in_every_form_have_the_distance_of_numpy() {
    let folder = Folder::new();
    let cases = right();
    assert!(cases.len() > 25, "{}", cases.len());
    for (name, expected) in cases {
        let real = if name.starts_with("stats") { "stats_a.npz" } else { "a.npy" };
        let real = data(&format!("arrays/{real}"));
        let fake = data(&format!("arrays/{name}"));
        let call = ["metric", "fid", "--real", &real, "--fake", &fake, "--format", "json"];
        let answer = folder.dubench(&call).json();
        let fid = answer["fid"].as_f64().unwrap();
        assert!((fid / expected - 1.0).abs() < 1e-9, "{name}: {fid}, numpy {expected}");
        let unknown = ["stats_compressed.npz", "stats_big_endian.npz", "stats_with_rows.npz"];
        assert_eq!(answer["n_fake"].is_null(), unknown.contains(&name.as_str()), "{name}");
        let no_bar = answer["n_fake"].is_null() || name == "copies.npy";
        for key in ["se", "bias", "fid_inf", "fid_inf_se"] {
            assert_eq!(answer[key].is_null(), no_bar, "{name} {key}: {answer}");
        }
        assert_eq!(
            answer["notes"].to_string().contains("no error bar"),
            no_bar,
            "{name}: {answer}"
        );
    }
}

#[test]
fn statistics_that_hold_rows_too_serve_metrics_of_rows() {
    let folder = Folder::new();
    let (real, fake) = (data("arrays/a.npy"), data("arrays/stats_with_rows.npz"));
    let pr = ["metric", "pr", "--real", &real, "--fake", &fake, "--format", "json"];
    assert_eq!(folder.dubench(&pr).json()["n_fake"].as_u64(), Some(50));
    let fake = data("arrays/stats_compressed.npz");
    let pr = ["metric", "pr", "--real", &real, "--fake", &fake];
    folder.dubench(&pr).fails(3, &["one row an image"]);
}

#[test]
fn what_cannot_be_read_is_named_with_its_type_and_a_remedy_and_never_to_be_deleted() {
    let folder = Folder::new();
    folder.npy("a.npy", &features(60, 4, 0.0));
    folder.npy("u8.npy", &ndarray::Array2::<u8>::zeros((9, 4)));
    folder.bytes("weights.pt", b"\x80\x02\x8a and so on");
    folder.bytes("text.npy", b"1.0 2.0\n3.0 4.0\n");
    folder.bytes("table.parquet", b"PAR1....");
    folder.bytes("cut.npz", &std::fs::read(data("arrays/stats_a.npz")).unwrap()[..500]);
    folder.bytes("cut.npy", &std::fs::read(data("arrays/f64.npy")).unwrap()[..700]);
    let mut flipped = std::fs::read(data("arrays/stats_compressed.npz")).unwrap();
    flipped[150] ^= 0x10;
    folder.bytes("flipped.npz", &flipped);
    let objects = "{'descr': '|O', 'fortran_order': False, 'shape': (), }\n";
    let length = u16::try_from(objects.len()).unwrap().to_le_bytes();
    let objects = [b"\x93NUMPY\x01\x00", &length[..], objects.as_bytes(), b"\x80\x04N."].concat();
    folder.bytes("objects.npy", &objects);
    for (name, code, words) in [
        ("u8.npy", 3, &["|u1 [9, 4]", ".astype('float32')"][..]),
        ("weights.pt", 3, &["pickle", "numpy.savez"]),
        ("text.npy", 3, &["no set of images"]),
        ("table.parquet", 5, &["copy or write it again"]),
        ("objects.npy", 3, &["never opened"]),
        ("cut.npz", 5, &["copy or write it again"]),
        ("cut.npy", 5, &["promises <f8 [50, 4]"]),
        ("flipped.npz", 5, &["copy or write it again"]),
    ] {
        let ended = folder.dubench(&["metric", "fid", "--real", "a.npy", "--fake", name]);
        ended.fails(code, &[&[name], words].concat());
        assert!(!ended.stderr.contains("delete"), "{}", ended.stderr);
    }
}

/// The four features of an image: its channel means, then their sum.
pub(crate) fn extractor(folder: &Folder) -> Vec<String> {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/extractor.onnx");
    let bytes = std::fs::read(&tiny).unwrap();
    let mut sha256 = String::new();
    for byte in Sha256::digest(&bytes) {
        sha256.push_str(&format!("{byte:02x}"));
    }
    folder.text(
        "means.yaml",
        &format!(
            "format: 1\nkind: extractor\nname: means\nfile: {{path: {}, sha256: {sha256}, bytes: {}}}\n\
             input: {{name: images, size: 299, channels: 3, layout: NCHW}}\n\
             output: {{name: features, dim: 4}}\npreprocess: pytorch-fid\n\
             weights: {{sha256: {sha256}, origin: none, licence: none}}\n",
            tiny.display(),
            bytes.len()
        ),
    );
    ["--extractor", "means.yaml", "--quiet", "--format", "json"].map(str::to_owned).to_vec()
}

pub(crate) fn call(
    folder: &Folder,
    arguments: &[&str],
    network: &[String],
) -> crate::support::Ended {
    let network: Vec<&str> = network.iter().map(String::as_str).collect();
    folder.dubench(&[arguments, &network].concat())
}

/// Nine images as a folder with a subfolder, as `[n, h, w, 3]`, and as `[n, 3, h, w]` under a name that says nothing.
fn nine_images(folder: &Folder) {
    let level = |n: usize, y: usize, x: usize, c: usize| {
        u8::try_from((n * 37 + y * 11 + x * 5 + c * 61 + n * n * 3) % 256).unwrap()
    };
    let images = Array4::from_shape_fn((9, 4, 5, 3), |(n, y, x, c)| level(n, y, x, c));
    std::fs::create_dir_all(folder.path("folder/sub")).unwrap();
    for (n, ending) in (0..9).zip(["png", "bmp", "tiff"].into_iter().cycle()) {
        let pixel =
            |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| level(n, y as usize, x as usize, c)));
        let below = if n < 4 { "folder" } else { "folder/sub" };
        let path = folder.path(&format!("{below}/{n}.{ending}"));
        image::RgbImage::from_fn(5, 4, pixel).save(path).unwrap();
    }
    folder.bytes("folder/._0.png", b"resource fork");
    let mut bytes = Vec::new();
    images.write_npy(&mut bytes).unwrap();
    folder.bytes("images.npy", &bytes);
    let channels_first = images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned();
    let mut bytes = Vec::new();
    channels_first.write_npy(&mut bytes).unwrap();
    folder.bytes("images.dat", &bytes);
}

#[test]
fn folders_and_arrays_of_images_have_the_same_features() {
    let folder = Folder::new();
    let network = extractor(&folder);
    nine_images(&folder);
    for fake in ["images.npy", "images.dat"] {
        let fid = ["metric", "fid", "--real", "folder", "--fake", fake];
        let answer = call(&folder, &fid, &network).json();
        // The same images, each as often: zero by definition, and no ± that would mean anything.
        assert_eq!(answer["fid"].as_f64(), Some(0.0), "{answer}");
        assert_eq!(answer["n_fake"].as_u64(), Some(9));
        assert!(answer["se"].is_null() && answer["fid_inf"].is_null());
        let notes = answer["notes"].to_string();
        assert!(notes.contains("1 hidden files left out") && notes.contains("the same images"));
    }
    let answer = call(&folder, &["stats", "folder", "-o", "stats.npz"], &network).json();
    assert!(answer["n"] == 9 && answer["notes"].to_string().contains("hidden"), "{answer}");
}

/// A file of statistics in another form, without its images; what is rounded is not rounded again.
#[test]
fn statistics_are_written_again_in_a_smaller_form() {
    let folder = Folder::new();
    let network = extractor(&folder);
    nine_images(&folder);
    call(&folder, &["stats", "folder", "-o", "full.npz"], &network).json();
    let again = |file: &str, more: &[&str]| {
        folder
            .dubench(&[&["import-stats", file, "--from", "dubench", "-o", "c.npz"], more].concat())
    };
    let ended = again("full.npz", &["--compact=correlations", "--format", "json"]);
    let answer = ended.json();
    assert_eq!(answer["n"], 9);
    assert_eq!(answer["provenance"]["covariance"], "correlations rounded to steps of 1/32767");
    let fid = ["metric", "fid", "--real", "c.npz", "--fake", "folder"];
    let small = call(&folder, &fid, &network).json();
    assert!(small["fid"].as_f64().unwrap().abs() < 1e-3, "{small}");
    std::fs::copy(folder.path("c.npz"), folder.path("small.npz")).unwrap();
    again("small.npz", &[]).fails(3, &["small.npz", "rounded already", "all digits"]);
    again("full.npz", &["-n", "9"]).fails(2, &["-n", "the file says it itself"]);
}

#[test]
fn images_serve_where_features_do() {
    let folder = Folder::new();
    let network = extractor(&folder);
    nine_images(&folder);
    folder.npy("real.npy", &features(40, 4, 0.0));
    folder.npy("scores.npy", &features(9, 1, 0.0));
    let sets = ["--real", "real.npy", "--a", "folder", "--b", "images.npy", "--paired"];
    let compare = [&["metric", "compare"], &sets[..]].concat();
    assert_eq!(call(&folder, &compare, &network).json()["delta"].as_f64(), Some(0.0));
    let pool = ["--real", "real.npy", "--features", "folder", "--scores", "scores.npy"];
    let filter = [&["metric", "filter", "--keep", "5"], &pool[..]].concat();
    assert_eq!(call(&folder, &filter, &network).json()["n"].as_u64(), Some(9));
}

#[test]
fn a_truncated_image_ends_as_damage() {
    let folder = Folder::new();
    let network = extractor(&folder);
    std::fs::create_dir(folder.path("images")).unwrap();
    for name in ["rgb.png", "444_q75.jpeg"] {
        let bytes = std::fs::read(data(&format!("images/{name}"))).unwrap();
        folder.bytes("images/a.png", &bytes);
        folder.bytes("images/b.png", &bytes[..bytes.len() / 2]);
        let fid = ["metric", "fid", "--real", "images", "--fake", "images"];
        let ended = call(&folder, &fid, &network);
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("b.png") && !ended.stderr.contains("delete"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_byte_order_mark_before_an_experiment_changes_nothing() {
    let folder = Folder::new();
    let plain = folder.dubench(&["plan", "tiny.yaml", "--scale", "smoke", "--format", "json"]);
    let text = format!("\u{feff}{}", crate::support::TINY);
    folder.text("tiny.yaml", &text);
    let marked = folder.dubench(&["plan", "tiny.yaml", "--scale", "smoke", "--format", "json"]);
    assert_eq!((plain.code, marked.code), (0, 0), "{}", marked.stderr);
    assert_eq!(plain.stdout, marked.stdout);
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = Folder::new();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_dubench"));
    // The reader is gone before anything is written.
    let script = format!(
        "set -o pipefail; (sleep 0.5; {} metric fid --real {} --fake {}) | true",
        program.display(),
        data("arrays/a.npy"),
        data("arrays/f64.npy")
    );
    let ended = folder.ended(std::process::Command::new("bash").args(["-c", &script]));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn copies_are_counted_within_and_across_sets() {
    let folder = Folder::new();
    let real = features(300, 4, 0.0);
    // 100 images of another set twice, and 40 of the real one.
    let others = features(100, 4, 0.3);
    let shared = real.slice(ndarray::s![..40, ..]);
    let fake = ndarray::concatenate![ndarray::Axis(0), others, others, shared];
    let once = ndarray::concatenate![ndarray::Axis(0), others, shared];
    folder.npy("real.npy", &real);
    folder.npy("fake.npy", &fake);
    folder.npy("once.npy", &once);
    let fid = |fake: &str| {
        folder
            .dubench(&["metric", "fid", "--real", "real.npy", "--fake", fake, "--format", "json"])
            .json()
    };
    let (twice, single) = (fid("fake.npy"), fid("once.npy"));
    let notes = twice["notes"].to_string();
    for note in [
        "100 of 240 images are copies of others (140 distinct)",
        "40 of 240 images stand in real.npy too",
        "that of 140 images",
    ] {
        assert!(notes.contains(note), "{note} is not in {notes}");
    }
    assert!(!single["notes"].to_string().contains("copies"), "{single}");
    // As if there were 240 images, ± would be two thirds of this.
    let ratio = twice["se"].as_f64().unwrap() / single["se"].as_f64().unwrap();
    assert!((0.85..1.2).contains(&ratio), "{ratio}");
}

#[test]
fn a_set_held_against_itself_is_told() {
    let folder = Folder::new();
    folder.npy("real.npy", &features(300, 4, 0.0));
    let kid = [
        "metric",
        "kid",
        "--real",
        "real.npy",
        "--fake",
        "real.npy",
        "--subset-size",
        "100",
        "--format",
        "json",
    ];
    assert!(folder.dubench(&kid).json()["notes"].to_string().contains("the same images"));
    let text =
        folder.dubench(&["metric", "fid", "--real", "real.npy", "--fake", "real.npy"]).stdout;
    assert!(
        text.starts_with("FID      0.0000\nimages") && text.contains("\nnote: both sets"),
        "{text}"
    );
}
