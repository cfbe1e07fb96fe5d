//! Outputs that would take the place of an input, counts that no machine has room for, and arrays of another kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::io::Cursor;

use ndarray::{Array1, Array2, arr2};
use ndarray_npy::NpzWriter;

use crate::support::Folder;

const GRAPHS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/graph/tests/data");
const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");

type Npz = NpzWriter<Cursor<Vec<u8>>>;

/// Runs a command that must be refused, and asserts that `file` is as it was.
fn keeps(folder: &Folder, file: &str, call: &[&str]) {
    let before = std::fs::read(folder.path(file)).unwrap();
    folder.dubench(call).fails(2, &["--output", "would be lost"]);
    assert!(std::fs::read(folder.path(file)).unwrap() == before, "{call:?} has changed {file}");
}

#[test]
fn no_output_takes_the_place_of_an_input() {
    let folder = Folder::new();
    let plain = std::fs::read(format!("{GRAPHS}/ddpm_traced_17.onnx")).unwrap();
    folder.bytes("g.onnx", &plain);
    keeps(&folder, "g.onnx", &["graph", "vjp", "g.onnx", "-o", "g.onnx"]);
    keeps(&folder, "g.onnx", &["graph", "tap", "g.onnx", "-o", "./g.onnx"]);
    for name in ["denoiser.onnx", "weights.safetensors", "model.yaml", "denoiser_train.onnx"] {
        folder.bytes(name, &std::fs::read(format!("{BUNDLE}/{name}")).unwrap());
    }
    let weights = "weights.safetensors";
    keeps(&folder, weights, &["graph", "tap", "denoiser.onnx", "-o", weights]);
    keeps(&folder, "model.yaml", &["fit-laplace", ".", "-n", "1", "-o", "model.yaml"]);
    keeps(&folder, "tiny.yaml", &["starts", "tiny.yaml", "--scale", "smoke", "-o", "tiny.yaml"]);
    folder.npy("in.npy", &arr2(&[[1.0f32, 2.0]]));
    keeps(&folder, "in.npy", &["stats", "in.npy", "-o", "in.npy"]);
    let own = ["import-stats", "reference.npz", "--from", "dubench", "-o", "reference.npz"];
    keeps(&folder, "reference.npz", &own);
    folder
        .dubench(&["graph", "tap", "g.onnx", "-o", "gone/t.onnx"])
        .fails(2, &["make the folder first"]);
}

#[test]
fn variances_of_another_type_are_refused_and_never_dropped() {
    let folder = Folder::new();
    let graph = format!("{GRAPHS}/ddpm_traced_17.onnx");
    let weights = |values: &Array1<f32>, bias: &dyn Fn(&mut Npz)| {
        let mut npz = NpzWriter::new(Cursor::new(Vec::new()));
        npz.add_array("weight_variance", values).unwrap();
        bias(&mut npz);
        folder.bytes("v.npz", npz.finish().unwrap().get_ref());
        let call = ["graph", "last-layer-variance", &graph, "-o", "o.onnx", "--variances", "v.npz"];
        folder.dubench(&call)
    };
    let ones = Array1::<f32>::ones(4);
    let wide =
        weights(&ones, &|npz| npz.add_array("bias_variance", &Array1::<f64>::ones(3)).unwrap());
    wide.fails(3, &["v.npz", "bias_variance", "f32, one axis"]);
    let flat = weights(&ones, &|npz| {
        npz.add_array("bias_variance", &Array2::<f32>::ones((1, 3))).unwrap();
    });
    flat.fails(3, &["v.npz", "bias_variance"]);
    let nan = weights(&Array1::from_elem(4, f32::NAN), &|_| {});
    nan.fails(3, &["v.npz", "weight_variance holds NaN"]);
    folder.npy("v.npy", &arr2(&[[1.0f32]]));
    folder
        .dubench(&["graph", "last-layer-variance", &graph, "-o", "o.onnx", "--variances", "v.npy"])
        .fails(3, &["v.npy", "expected an .npz with weight_variance"]);
    assert!(!folder.path("o.onnx").exists());
}

#[test]
fn counts_have_an_end() {
    const HUGE: &str = "18446744073709551615";
    let folder = Folder::new();
    let rows = Array2::from_shape_fn((40, 4), |(i, j)| (7 * i + j) as f32);
    folder.npy("a.npy", &rows);
    let sides = ["--real", "a.npy", "--fake", "a.npy"];
    for (metric, option) in
        [("pr", "--k"), ("realism", "--k"), ("kid", "--subsets"), ("rarity", "--k")]
    {
        let call = [&["metric", metric], &sides[..], &[option, HUGE]].concat();
        folder.dubench(&call).fails(2, &[option]);
    }
    folder.dubench(&["sample", "net", "-o", "s", "-n", HUGE]).fails(2, &["-n"]);
    folder.dubench(&["starts", "tiny.yaml", "-o", "s.npz", "-n", HUGE]).fails(2, &["-n"]);
    folder
        .dubench(&["run", "tiny.yaml", "--scale", "smoke", "--threads", "1000000"])
        .fails(2, &["--threads", "at most 4096"]);
    assert_eq!(folder.dubench(&["gc", "tiny.yaml", "--scale", "smoke", "--min-age", HUGE]).code, 0);
    // More neighbours than there are images.
    folder
        .dubench(&[&["metric", "pr"], &sides[..], &["--k", "1000"]].concat())
        .fails(3, &["the real set", "1001"]);
}

#[test]
fn rows_without_features_and_rows_beyond_f32_are_refused() {
    let folder = Folder::new();
    folder.npy("none.npy", &Array2::<f32>::zeros((4, 0)));
    folder.npy(
        "huge.npy",
        &Array2::from_shape_fn((20, 3), |(i, _)| if i % 2 == 0 { 1e200 } else { -1e200 }),
    );
    folder.npy("plain.npy", &Array2::from_shape_fn((20, 3), |(i, j)| (i * 3 + j) as f64));
    for metric in ["fid", "kid", "pr", "mmd", "compare"] {
        let other = if metric == "compare" { "--fake-b" } else { "--fake" };
        let first = if metric == "compare" { "--fake-a" } else { other };
        let mut call = vec!["metric", metric, "--real", "none.npy", first, "none.npy"];
        if metric == "compare" {
            call.extend([other, "none.npy"]);
        }
        let ended = folder.dubench(&call);
        assert!([2, 3].contains(&ended.code), "{metric}: {} {}", ended.code, ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{metric}: {}", ended.stderr);
    }
    for sides in [["huge.npy", "plain.npy"], ["plain.npy", "huge.npy"]] {
        folder
            .dubench(&["metric", "fid", "--real", sides[0], "--fake", sides[1]])
            .fails(3, &["the sum of squares of a feature", "scale all sets down"]);
    }
    for metric in ["pr", "realism", "rarity"] {
        folder
            .dubench(&["metric", metric, "--real", "huge.npy", "--fake", "plain.npy"])
            .fails(3, &["scale both sets down"]);
    }
}

#[test]
fn options_out_of_their_range_end_as_wrong_options() {
    let folder = Folder::new();
    let rows = Array2::from_shape_fn((40, 4), |(i, j)| (7 * i + j) as f32);
    folder.npy("a.npy", &rows);
    let pair = ["--real", "a.npy", "--fake", "a.npy"];
    let refused = |before: &[&str], after: &[&str]| {
        folder.dubench(&[before, after].concat()).fails(2, &[after[0]]);
    };
    for (metric, option) in [
        ("kid", ["--subset-size", "0"]),
        ("kid", ["--subset-size", "1"]),
        ("pr", ["--k", "0"]),
        ("mmd", ["--sigma", "0"]),
        ("mmd", ["--sigma", "nan"]),
        ("fid", ["--device", "tpu"]),
        ("fid", ["--preprocess", "bicubic"]),
        ("fid", ["--networks", "2"]),
    ] {
        refused(&[&["metric", metric], &pair[..]].concat(), &option);
    }
    refused(&["metric", "is", "--logits", "a.npy"], &["--splits", "0"]);
    refused(&["metric", "is", "--logits", "a.npy"], &["--block-size", "0"]);
    let maps = ["metric", "sparsification", "--error", "a.npy", "--uncertainty", "a.npy"];
    refused(&maps, &["--intervals", "0"]);
    folder.dubench(&["check", ".", ".", "--sigmas=-1"]).fails(2, &["--sigmas", "0 or more"]);
    for band in ["fid=nan", "fid=-1", "fid=inf"] {
        folder.dubench(&["check", ".", ".", "--band", band]).fails(2, &["--band", "0 or more"]);
    }
    let filter =
        ["metric", "filter", "--real", "a.npy", "--features", "a.npy", "--scores", "a.npy"];
    refused(&[&filter[..], &["--keep", "4"]].concat(), &["--permutations", "1"]);
    refused(&["setup", "cpu", "tiny.yaml"], &["--list"]);
    folder.dubench(&["model", "inspect", "nope"]).fails(2, &["nope/model.yaml"]);
}

#[test]
fn what_is_wrong_with_data_names_its_file() {
    let folder = Folder::new();
    let rows = Array2::from_shape_fn((40, 4), |(i, j)| (7 * i + j) as f32);
    folder.npy("a.npy", &rows);
    let mut broken = rows.clone();
    broken[[3, 1]] = f32::NAN;
    folder.npy("nan.npy", &broken);
    folder.npy("one.npy", &rows.slice_move(ndarray::s![..1, ..]));
    let fid =
        |real: &str, fake: &str| folder.dubench(&["metric", "fid", "--real", real, "--fake", fake]);
    fid("nan.npy", "a.npy").fails(3, &["nan.npy: features hold NaN at row 3, column 1"]);
    fid("a.npy", "nan.npy").fails(3, &["nan.npy: features hold NaN at row 3, column 1"]);
    fid("one.npy", "a.npy").fails(3, &["--real one.npy", "--fake a.npy"]);
    let mut sigma = Array2::<f64>::eye(2048);
    sigma[[0, 1]] = 2.0;
    sigma[[1, 0]] = 2.0;
    folder.moments("sigma.npz", &sigma, 1000);
    let import =
        ["import-stats", "sigma.npz", "--from", "pytorch-fid", "--dataset", "mine", "--size", "32"];
    let network =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/extractors/fid-inception.yaml");
    folder
        .dubench(&[&import[..], &["-n", "1000", "-o", "out.npz", "--extractor", network]].concat())
        .fails(3, &["sigma.npz", "not positive semidefinite"]);
    assert!(!folder.path("out.npz").exists());
}

#[test]
fn a_graph_that_was_cut_off_is_damage_to_every_command() {
    let folder = Folder::new();
    let whole = std::fs::read(format!("{GRAPHS}/ddpm_traced_17.onnx")).unwrap();
    std::fs::create_dir(folder.path("net")).unwrap();
    folder.bytes("net/cut.onnx", &whole[..whole.len() / 2]);
    for call in
        [&["graph", "tap", "net/cut.onnx", "-o", "o.onnx"] as &[&str], &["model", "init", "net"]]
    {
        let ended = folder.dubench(call);
        ended.fails(5, &["net/cut.onnx", "damaged or cut off"]);
        assert_eq!(ended.stderr.matches("cut.onnx").count(), 1, "{}", ended.stderr);
    }
    assert!(!folder.path("o.onnx").exists() && !folder.path("net/model.yaml").exists());
}

#[test]
fn a_line_that_is_not_understood_is_answered_in_the_format_that_it_asks_for() {
    let folder = Folder::new();
    let ended = folder.dubench(&["metric", "fid", "--format", "json", "--nope"]);
    let said: serde_json::Value = serde_json::from_str(ended.stderr.trim_end()).unwrap();
    assert_eq!((ended.code, said["exit_code"].as_i64()), (2, Some(2)));
    assert!(said["error"].as_str().unwrap().contains("--nope"), "{said}");
    assert!(folder.dubench(&["metric", "fid", "--nope"]).stderr.starts_with("error: "));
}

#[test]
fn what_only_reads_makes_no_work_folder() {
    let folder = Folder::new();
    for command in ["evaluate", "report", "verify"] {
        let call = [command, "tiny.yaml", "--scale", "smoke", "--work-dir", "slip"];
        folder.dubench(&call).fails(4, &["slip: there is no such folder", "--work-dir"]);
        assert!(!folder.path("slip").exists(), "{command}");
    }
}

#[test]
fn a_block_that_was_copied_over_another_is_found() {
    let folder = Folder::new();
    let generate = ["generate", "tiny.yaml", "--scale", "smoke"];
    assert_eq!(folder.dubench(&generate).code, 0);
    let mut parts: Vec<_> = walk(&folder.path("work"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("generate"))
        .filter(|path| path.extension().is_some_and(|ending| ending == "parquet"))
        .collect();
    parts.sort();
    for ending in ["", ".sha256"] {
        let named = |at: usize| format!("{}{ending}", parts[at].display());
        std::fs::copy(named(1), named(0)).unwrap();
    }
    folder.dubench(&generate).fails(5, &["it holds block 1, and its name is that of block 0"]);
    folder.dubench(&["features", "tiny.yaml", "--scale", "smoke"]).fails(5, &["it holds block 1"]);
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_file_in_the_place_of_a_folder_is_a_wrong_option() {
    let folder = Folder::new();
    folder.text("afile", "mine");
    for command in ["run", "verify", "status"] {
        for (option, path) in
            [("--work-dir", "afile"), ("--work-dir", "afile/x"), ("--results-dir", "afile")]
        {
            let call = [command, "tiny.yaml", "--scale", "smoke", option, path];
            folder.dubench(&call).fails(2, &[option, path, "a file is in its place"]);
        }
    }
    folder.dubench(&["model", "init", "nodir"]).fails(2, &["nodir", "denoiser.onnx", "make it"]);
    let pipeline = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd15-random");
    folder
        .dubench(&["fit-laplace", pipeline, "--images", "a.npy", "-n", "1", "-o", "o.parquet"])
        .fails(2, &["the posterior of a pipeline cannot be fitted"]);
}
