//! `dubench metric`, `graph` and `model`, as people call them on their own files.

use crate::support::{Folder, features};
use ndarray::{Array2, Axis};

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_distance_of_a_shifted_copy_is_the_squared_shift() {
    let folder = Folder::new();
    folder.npy("real.npy", &features(400, 3, 0.0));
    folder.npy("fake.npy", &features(400, 3, 0.5));
    let call = ["metric", "fid", "--real", "real.npy", "--fake", "fake.npy", "--format", "json"];
    let answer = folder.dubench(&call).json();
    let mut expected = [
        "fid",
        "se",
        "bias",
        "fid_inf",
        "fid_inf_se",
        "n_real",
        "n_fake",
        "dim",
        "extractor",
        "notes",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&answer), expected);
    assert!((answer["fid"].as_f64().unwrap() - 3.0 * 0.25).abs() < 1e-9, "{answer}");
    assert_eq!((answer["n_fake"].as_u64(), answer["dim"].as_u64()), (Some(400), Some(3)));
}

/// Metric, its arguments, and the keys of its answer.
type Case = (&'static str, &'static str, &'static str);

const CASES: [Case; 9] = [
    (
        "kid",
        "--real real.npy --fake fake.npy --subsets 3 --subset-size 20",
        "kid n_fake n_real notes sd subset_size subsets",
    ),
    (
        "sparsification",
        "--error real.npy --uncertainty fake.npy --layout rows",
        "ause ause_se aurg aurg_se curve n_ignored n_images n_pixels notes rmse",
    ),
    (
        "filter",
        "--real real.npy --features fake.npy --scores scores.npy --keep 40 --permutations 20",
        "fid_keep_highest fid_keep_lowest fid_random_mean fid_random_sd keep n notes p_floor p_highest p_lowest",
    ),
    (
        "compare",
        "--real real.npy --a fake.npy --b real.npy --paired",
        "delta fid_a fid_b notes p paired se z",
    ),
    (
        "mmd",
        "--real real.npy --fake fake.npy",
        "dim estimator mmd_squared n_fake n_real notes se sigma",
    ),
    (
        "pr",
        "--real real.npy --fake fake.npy",
        "coverage coverage_se density density_se k n_fake n_real notes precision precision_se recall recall_se",
    ),
    ("realism", "--real real.npy --fake fake.npy", "k median n_copies n_fake n_real notes realism"),
    ("rarity", "--real real.npy --fake fake.npy", "k median n_fake n_outside n_real notes rarity"),
    ("is", "--logits real.npy", "classes is n sd se splits"),
];

#[test]
fn every_metric_answers_with_its_documented_keys() {
    let folder = Folder::new();
    folder.npy("real.npy", &features(60, 3, 0.0));
    folder.npy("fake.npy", &features(60, 3, 0.1));
    folder.npy("scores.npy", &features(60, 1, 0.0));
    for (name, arguments, expected) in CASES {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let call = [&["metric", name], &arguments[..], &["--format", "json"]].concat();
        let answer = folder.dubench(&call).json();
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(keys(&answer), expected, "{name}");
    }
}

#[test]
fn an_uncertainty_equal_to_the_error_has_no_sparsification_error() {
    let folder = Folder::new();
    let error = features(5, 16, -0.5);
    folder.npy("e.npy", &error);
    folder.npy("u.npy", &error.mapv(f64::abs));
    let call = [
        "metric",
        "sparsification",
        "--error",
        "e.npy",
        "--uncertainty",
        "u.npy",
        "--layout",
        "rows",
        "--format",
        "json",
    ];
    assert_eq!(folder.dubench(&call).json()["ause"].as_f64(), Some(0.0));
}

#[test]
fn bad_arrays_are_refused_by_name() {
    let folder = Folder::new();
    folder.npy("real.npy", &features(60, 3, 0.0));
    folder.npy("narrow.npy", &features(60, 2, 0.0));
    let mut broken = features(60, 3, 0.0);
    broken[[7, 1]] = f64::NAN;
    folder.npy("nan.npy", &broken);
    folder.npy("levels.npy", &Array2::<u8>::zeros((4, 3)));
    folder.npy("one.npy", &features(1, 3, 0.0));
    let fid = |fake: &str| folder.dubench(&["metric", "fid", "--real", "real.npy", "--fake", fake]);
    fid("narrow.npy").fails(3, &["3", "2"]);
    fid("nan.npy").fails(3, &["row 7", "column 1"]);
    fid("levels.npy").fails(3, &["levels of images"]);
    fid("one.npy").fails(3, &["at least"]);
    fid("missing.npy").fails(3, &["missing.npy"]);
    fid("pool.pkl").fails(3, &["pool.pkl"]);
    let pr = ["metric", "pr", "--real", "real.npy", "--fake", "real.npy", "--convention", "mine"];
    folder.dubench(&pr).fails(2, &["mine", "torch-fidelity"]);
    let filter = |keep: &str| {
        let call = ["metric", "filter", "--real", "real.npy", "--features", "real.npy"];
        folder.dubench(&[&call[..], &["--scores", "scores.npy", "--keep", keep]].concat())
    };
    let columns = features(60, 2, 0.0);
    folder.npy("scores.npy", &columns);
    filter("10").fails(3, &["one number an image"]);
    folder.npy("scores.npy", &columns.index_axis(Axis(1), 0).insert_axis(Axis(1)).to_owned());
    filter("60").fails(3, &["60"]);
}

#[test]
fn statistics_serve_as_reference_but_not_as_features() {
    let folder = Folder::new();
    folder.npy("fake.npy", &features(60, 12, 0.0));
    let fid =
        ["metric", "fid", "--real", "reference.npz", "--fake", "fake.npy", "--format", "json"];
    assert_eq!(folder.dubench(&fid).json()["n_real"].as_u64(), Some(1000));
    folder
        .dubench(&["metric", "pr", "--real", "reference.npz", "--fake", "fake.npy"])
        .fails(3, &["one row an image"]);
}

#[test]
fn graph_surgery_works_on_a_file_and_refuses_what_it_cannot_do() {
    let folder = Folder::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/graph/tests/data");
    let plain = format!("{data}/ddpm_traced_17.onnx");
    let answer =
        folder.dubench(&["graph", "vjp", &plain, "-o", "vjp.onnx", "--format", "json"]).json();
    let holds = |key: &str, name: &str| {
        answer[key].as_array().expect("a list").iter().any(|found| found == name)
    };
    assert!(holds("inputs", "cotangent") && holds("outputs", "jtv"), "{answer}");
    assert!(folder.path("vjp.onnx").is_file());
    folder.dubench(&["graph", "dropout", &plain, "-o", "d.onnx"]).fails(3, &["no Dropout"]);
    assert!(!folder.path("d.onnx").exists());
    let vjp =
        |more: &[&str]| folder.dubench(&[&["graph", "vjp", &plain, "-o", "v.onnx"], more].concat());
    vjp(&["--x", "none"]).fails(3, &["no input called none, the inputs are: sample, timestep"]);
    vjp(&["--output", "none"]).fails(3, &["no output called none, the outputs are: eps"]);
    folder.dubench(&["graph", "tap", data, "-o", "t.onnx"]).fails(3, &["is a folder"]);
    folder
        .dubench(&["graph", "tap", "vjp.onnx", "-o", "t.onnx"])
        .fails(3, &["(eps, jtv)", "--output"]);
    let tap = ["graph", "tap", "vjp.onnx", "-o", "t.onnx", "--output", "eps", "--format", "json"];
    assert!(folder.dubench(&tap).json()["outputs"].to_string().contains("features"));
    folder
        .dubench(&["graph", "variance-gradient", &plain, "-o", "g.onnx", "--draws", "1"])
        .fails(2, &["--draws"]);
    let step = |more: &[&str]| {
        folder.dubench(&[&["graph", "step", &plain, "-o", "s.onnx"], more].concat())
    };
    let answer = step(&["--clip=-1,1", "--draws", "3", "--format", "json"]).json();
    for (key, name) in [("inputs", "step_next_a"), ("outputs", "step_next"), ("outputs", "eps")] {
        assert!(answer[key].to_string().contains(&format!("\"{name}\"")), "{answer}");
    }
    let solver = step(&["--update", "dpm-solver-pp-2m", "--line", "--format", "json"]).json();
    assert!(solver["inputs"].to_string().contains("step_earlier"), "{solver}");
    assert!(solver["inputs"].to_string().contains("step_of_output"), "{solver}");
    step(&["--clip=1"]).fails(2, &["--clip", "two numbers"]);
    step(&["--draws", "1"]).fails(2, &["--draws"]);
    folder.bytes("broken.onnx", &std::fs::read(&plain).unwrap()[..40]);
    let broken = folder.dubench(&["graph", "vjp", "broken.onnx", "-o", "v.onnx"]);
    assert!([3, 5].contains(&broken.code), "{}", broken.stderr);
}

#[test]
fn a_bundle_with_a_damaged_file_is_an_integrity_error() {
    let folder = Folder::new();
    folder.dubench(&["model", "inspect", "nowhere"]).fails(2, &["nowhere"]);
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
    std::fs::create_dir(folder.path("bundle")).unwrap();
    for entry in std::fs::read_dir(bundle).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut bytes = std::fs::read(&path).unwrap();
        if name == "weights.safetensors" {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        folder.bytes(&format!("bundle/{name}"), &bytes);
    }
    folder.dubench(&["model", "inspect", "bundle"]).fails(5, &["weights.safetensors", "sha256"]);
}

#[test]
fn statistics_that_no_images_can_have_are_refused() {
    let folder = Folder::new();
    folder.npy("fake.npy", &features(400, 2, 0.0));
    let square = |values: [f64; 4]| Array2::from_shape_vec((2, 2), values.to_vec()).unwrap();
    for (sigma, n, code, word) in [
        (square([1.0, 0.5, 0.1, 1.0]), 9, 3, "symmetric"),
        (square([1.0, 2.0, 2.0, 1.0]), 9, 3, "positive semidefinite"),
        (square([1.0, f64::NAN, f64::NAN, 1.0]), 9, 3, "not finite"),
        (square([1.0, 0.0, 0.0, 1.0]), 1, 3, "fewer than 2"),
    ] {
        folder.moments("real.npz", &sigma, n);
        let call = ["metric", "fid", "--real", "real.npz", "--fake", "fake.npy"];
        folder.dubench(&call).fails(code, &[word]);
    }
}

#[test]
fn arrays_made_to_harm_their_reader_are_refused() {
    let folder = Folder::new();
    folder.npy("good.npy", &features(400, 3, 0.0));
    let found = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz/array");
    let mut n = 0;
    for entry in std::fs::read_dir(found).unwrap() {
        let path = entry.unwrap().path();
        let real = path.display().to_string();
        // 5 where it is damaged, 3 where it is whole and no such thing. Never killed for want of memory or stack.
        let ended = folder.dubench(&["metric", "fid", "--real", &real, "--fake", "good.npy"]);
        assert!([3, 5].contains(&ended.code), "{real}: {} {}", ended.code, ended.stderr);
        ended.fails(ended.code, &[]);
        n += 1;
    }
    assert!(n >= 6, "{n}");
    // A pickle under the name of an array, and one inside an array of objects.
    folder.bytes("pickle.npy", b"\x80\x04\x95\x10\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x93.");
    let header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let objects = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), b"\x80\x04N."].concat();
    folder.bytes("objects.npy", &objects);
    for (name, word) in [("pickle.npy", "pickle"), ("objects.npy", "never opened")] {
        let call = ["metric", "fid", "--real", name, "--fake", "good.npy"];
        folder.dubench(&call).fails(3, &[word]);
    }
}

#[test]
fn realism_and_rarity_of_points_on_a_line_are_those_of_their_balls() {
    let folder = Folder::new();
    // Reaches 1, 1, 1 and 10 for k = 1; the ball above the median reach counts for rarity alone.
    folder.npy("real.npy", &ndarray::array![[0.0], [1.0], [2.0], [12.0]]);
    folder.npy("fake.npy", &ndarray::array![[4.0], [2.0], [0.5], [30.0]]);
    let pair = ["--real", "real.npy", "--fake", "fake.npy", "--k", "1", "--format", "json"];
    let answer = |name| folder.dubench(&[&["metric", name], &pair[..]].concat()).json();
    let (realism, rarity) = (answer("realism"), answer("rarity"));
    assert_eq!(realism["realism"], serde_json::json!([0.5, null, 2.0, 1.0 / 28.0]));
    assert_eq!((&realism["n_copies"], &realism["median"]), (&1.into(), &0.5.into()));
    assert_eq!(rarity["rarity"], serde_json::json!([10.0, 1.0, 1.0, null]));
    assert_eq!((&rarity["n_outside"], &rarity["median"]), (&1.into(), &1.0.into()));
    let few = ["metric", "realism", "--real", "real.npy", "--fake", "fake.npy", "--k", "4"];
    folder.dubench(&few).fails(3, &["the real set", "4 samples", "at least 5"]);
    folder.npy("wide.npy", &features(60, 2, 0.0));
    let other = ["metric", "rarity", "--real", "real.npy", "--fake", "wide.npy"];
    folder.dubench(&other).fails(3, &["1 features an image", "2"]);
}
