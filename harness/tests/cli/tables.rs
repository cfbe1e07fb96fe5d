//! Features in Parquet, of others and of ours. Values of other tools: `files.rs`.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};

use crate::support::Folder;

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files");
    folder.join(name).display().to_string()
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    std::fs::create_dir_all(to).unwrap();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(from).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in &files {
        std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
    files
}

#[test]
fn columns_that_are_no_features_are_left_out_and_named() {
    let folder = Folder::new();
    let (real, fake) = (data("arrays/a.npy"), data("arrays/columns_f32.parquet"));
    let fid = ["metric", "fid", "--real", &real, "--fake", &fake, "--format", "json"];
    let answer = folder.dubench(&fid).json();
    assert_eq!((answer["n_fake"].as_u64(), answer["dim"].as_u64()), (Some(50), Some(4)));
    assert!(answer["notes"].to_string().contains("left out: id, path"), "{answer}");
    let fake = data("arrays/parts");
    let fid = ["metric", "fid", "--real", &real, "--fake", &fake, "--format", "json"];
    let notes = folder.dubench(&fid).json()["notes"].to_string();
    assert!(notes.contains("2 Parquet files; 0 other and 1 hidden files left out"), "{notes}");
}

#[test]
fn tables_that_hold_no_features_are_refused_with_the_remedy() {
    let folder = Folder::new();
    let real = data("arrays/a.npy");
    for (name, words) in [
        ("integers", &["id (Int64), label (Int64)", "float16, float32 or float64"][..]),
        ("nulls", &["column \"x0\" has 1 nulls", "drop these rows"]),
        ("ragged", &["row 1 has 1 features, the first row 2"]),
        ("two_lists", &["2 columns of lists of floats (a, b)", "one column of lists"]),
        ("list_and_columns", &["1 columns of lists of floats (a) and 1 of floats"]),
        ("empty", &["it has no rows"]),
        ("zstd", &["compressed by ZSTD", "compression='snappy'"]),
    ] {
        let fake = data(&format!("tables/{name}.parquet"));
        let ended = folder.dubench(&["metric", "fid", "--real", &real, "--fake", &fake]);
        ended.fails(3, &[&[name], words].concat());
    }
    let scores = data("arrays/columns_f64.parquet");
    let filter = ["metric", "filter", "--real", &real, "--features", &real, "--keep", "9"];
    folder
        .dubench(&[&filter[..], &["--scores", &scores]].concat())
        .fails(3, &["it is a Parquet table", "numpy.save"]);
    folder
        .dubench(&["stats", &scores, "-o", "x.npz"])
        .fails(3, &["it has no column of images; there are x0 (Float64)"]);
}

#[test]
fn a_folder_is_one_table_or_refused() {
    let folder = Folder::new();
    let real = data("arrays/a.npy");
    let both = folder.path("both");
    std::fs::create_dir(&both).unwrap();
    let parts = ["columns_f32", "list_f32"].map(|name| data(&format!("arrays/{name}.parquet")));
    for (index, part) in parts.iter().enumerate() {
        std::fs::copy(part, both.join(format!("{index}.parquet"))).unwrap();
    }
    let fid = ["metric", "fid", "--real", &real, "--fake", "both"];
    folder.dubench(&fid).fails(3, &["lists embedding", "4 columns x0 .. x3"]);
    std::fs::copy(data("images/rgb.png"), both.join("1.parquet")).unwrap();
    folder.dubench(&fid).fails(3, &["1 Parquet files and 1 images or arrays", "1.parquet"]);
    let whole = std::fs::read(&parts[0]).unwrap();
    folder.bytes("both/1.parquet", &whole[..whole.len() / 2]);
    folder.dubench(&fid).fails(5, &["1.parquet", "copy or write it again"]);
}

#[test]
fn our_own_parts_have_the_distance_that_the_run_published() {
    let folder = Folder::new();
    folder.digest(&["--work-dir", "work"]);
    let rows = ["collect", "--where", "metric=fid", "--where", "method=full", "--format", "json"];
    let published = folder.dubench(&rows).json()[0]["value"].as_f64().unwrap();
    let features = folder.path("work/parts/features");
    let stage = std::fs::read_dir(&features).unwrap().next().unwrap().unwrap().path();
    let fid = |fake: &Path, more: &[&str]| {
        let fake = fake.display().to_string();
        let call = ["metric", "fid", "--real", "reference.npz", "--fake", &fake];
        folder.dubench(&[&call, more].concat())
    };
    let answer = fid(&stage, &["--format", "json"]).json();
    assert!((answer["fid"].as_f64().unwrap() / published - 1.0).abs() < 1e-12, "{answer}");
    assert_eq!(answer["n_fake"].as_u64(), Some(48));
    assert!(answer["extractor"].to_string().contains("pixels"), "{answer}");

    // A gap, a block twice, damage, and parts of another kind.
    let other = folder.path("other");
    let files = copy(&stage, &other);
    let part = |index: usize| other.join(format!("block-00000{index}.parquet"));
    std::fs::copy(part(1), other.join("block-000009.parquet")).unwrap();
    fid(&other, &[]).fails(3, &["stands in an earlier part too", "several arms"]);
    std::fs::remove_file(other.join("block-000009.parquet")).unwrap();
    std::fs::remove_file(part(1)).unwrap();
    fid(&other, &[]).fails(3, &["blocks 1 are missing between 0 and 2"]);
    copy(&stage, &other);
    let mut bytes = std::fs::read(part(2)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.bytes("other/block-000002.parquet", &bytes);
    fid(&other, &[]).fails(5, &["block-000002.parquet", "sha256"]);
    assert!(files.len() > 6, "{files:?}");
    let images = folder.path("work/parts/generate");
    fid(&images, &[]).fails(3, &["it holds images of a run", "parts/features/ID"]);
}

#[test]
fn parts_of_another_network_are_not_compared() {
    let folder = Folder::new();
    folder.digest(&["--work-dir", "work"]);
    let other =
        crate::support::TINY.replace("grid: 2}", "grid: 4}").replace("name: tiny", "name: other");
    folder.text("other.yaml", &other);
    folder.statistics("reference.npz", 48);
    let run = ["features", "other.yaml", "--scale", "smoke", "--work-dir", "work"];
    folder.dubench(&["generate", "other.yaml", "--scale", "smoke", "--work-dir", "work"]);
    assert_eq!(folder.dubench(&run).code, 0);
    let mut stages: Vec<String> = std::fs::read_dir(folder.path("work/parts/features"))
        .unwrap()
        .map(|stage| stage.unwrap().path().display().to_string())
        .collect();
    stages.sort();
    let [a, b] = stages.as_slice() else { panic!("{stages:?}") };
    let fid = folder.dubench(&["metric", "fid", "--real", a, "--fake", b]);
    fid.fails(3, &["numbers across networks or preprocessings mean nothing"]);
}
