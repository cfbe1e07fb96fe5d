//! What `model inspect`, `model renew` and `sample` say of a bundle that is not quite as they would like it.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::path::Path;
use std::process::Command;

use dubench::model::onnx::environment::library_path;

use crate::support::{Ended, Folder};

/// A folder `net` with small graphs under these names, and its description.
fn described(graphs: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("net")).unwrap();
    put(&folder, graphs);
    let ended = folder.dubench(&["model", "init", "net", "--graph", "denoiser.onnx"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    folder
}

fn put(folder: &Folder, graphs: &[(&str, &str)]) {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny");
    for (graph, name) in graphs {
        folder.bytes(&format!("net/{name}"), &std::fs::read(tiny.join(graph)).unwrap());
    }
}

/// `dubench` with a cache of its own and the library of this machine.
fn with_cache(folder: &Folder, cache: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dubench"));
    command.args(arguments).env("DUBENCH_CACHE", folder.path(cache));
    folder.ended(command.env("ORT_DYLIB_PATH", library_path(None).unwrap()))
}

#[test]
fn gradients_of_a_fixed_batch_are_told_apart_from_those_that_nobody_asked_for() {
    let folder = described(&[("fixed_batch.onnx", "denoiser.onnx")]);
    let asked = folder.dubench(&["model", "inspect", "net", "--gradients"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    let line = asked.stdout.lines().find(|line| line.contains(" gradients ")).unwrap();
    assert!(line.contains("applicable, memory ") && !line.contains("not applicable"), "{line}");
    assert!(line.contains("in pieces of the batch of "), "{line}");
    let inspect = ["model", "inspect", "net", "--format", "json"];
    let json = folder.dubench(&[&inspect[..], &["--gradients"]].concat()).json();
    assert_eq!((&json["gradients"], &json["gradient_reason"]), (&true.into(), &().into()));
    assert!(folder.dubench(&inspect).json()["gradients"].is_null());
}

#[test]
fn a_graph_of_training_that_cannot_drop_out_is_refused_for_its_own_reason() {
    let folder =
        described(&[("fixed_batch.onnx", "denoiser.onnx"), ("fixed_batch.onnx", "t.onnx")]);
    let text = std::fs::read_to_string(folder.path("net/model.yaml")).unwrap();
    folder.text("net/model.yaml", &text.replace("\nfiles:", "\n  train: {file: t.onnx}\nfiles:"));
    let json = folder.dubench(&["model", "inspect", "net", "--format", "json"]).json();
    let reason = json["dropout_reason"].as_str().unwrap();
    let call = ["sample", "net", "-o", "out", "-n", "1", "--steps", "4"];
    let ended = folder.dubench(&[&call[..], &["--estimator", "mc_dropout"]].concat());
    ended.fails(3, &["mc_dropout is not applicable", reason]);
    assert!(!ended.stderr.contains("export its train-mode graph"), "{}", ended.stderr);
}

/// A disk that refuses a file says nothing of the network.
#[test]
fn a_cache_that_cannot_be_written_is_no_property_of_the_network() {
    let folder = described(&[("quarter.onnx", "denoiser.onnx")]);
    let inspect = ["model", "inspect", "net", "--gradients"];
    let good = with_cache(&folder, "good", &inspect);
    assert_eq!(good.code, 0, "{}", good.stderr);
    let mut n = 0;
    for entry in std::fs::read_dir(folder.path("good/derived")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "onnx") {
            let name = path.file_name().unwrap().to_str().unwrap();
            // In the place of the file, so that even root cannot write it.
            std::fs::create_dir_all(folder.path(&format!("bad/derived/{name}"))).unwrap();
            n += 1;
        }
    }
    assert!(n > 0, "the gradient graph is in the cache");
    let words = ["cache of derived graphs", "bad/derived", "point DUBENCH_CACHE at a folder"];
    with_cache(&folder, "bad", &inspect).fails(7, &words);
    folder.text("file", "");
    with_cache(&folder, "file", &inspect).fails(7, &["DUBENCH_CACHE"]);
}

#[test]
fn a_graph_that_was_exported_again_on_purpose_is_renewed() {
    let folder = described(&[("quarter.onnx", "denoiser.onnx")]);
    let description = || std::fs::read_to_string(folder.path("net/model.yaml")).unwrap();
    folder.text("net/model.yaml", &description().replace("unknown   # CHECK", "MIT   # ours"));
    let (before, inspect) = (description(), ["model", "inspect", "net"]);
    put(&folder, &[("time_i32.onnx", "denoiser.onnx")]);
    let ended = folder.dubench(&inspect);
    assert!([3, 5].contains(&ended.code), "{}", ended.stderr);
    ended.fails(ended.code, &["denoiser.onnx", "`dubench model renew FOLDER`"]);
    folder.dubench(&["model", "init", "net"]).fails(2, &["`dubench model renew`"]);

    let renewed = folder.dubench(&["model", "renew", "net"]);
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    assert!(renewed.stdout.contains("renewed  denoiser.onnx: sha256 "), "{}", renewed.stdout);
    let changed: Vec<_> = description().lines().map(str::to_owned).collect();
    let differing = before.lines().zip(&changed).filter(|(old, new)| old != new).count();
    assert_eq!((differing, before.lines().count()), (1, changed.len()));
    assert_eq!(folder.dubench(&inspect).code, 0);
    let again = folder.dubench(&["model", "renew", "net", "--format", "json"]).json();
    assert_eq!(again["renewed"], serde_json::json!({}));
    folder.dubench(&["model", "renew", "nowhere"]).fails(2, &["nowhere/model.yaml"]);
}
