//! A program that is installed in an environment: `PREFIX/bin`, its data in `PREFIX/share`, its library among the packages.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::process::Command;

use crate::support::{Ended, Folder};

/// An environment around the binary with the tiny experiment among its data, and an empty folder to work in.
fn environment() -> Folder {
    let folder = Folder::new();
    for name in ["env/bin", "env/share/dubench/experiments", "empty"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    // A link to the same file has a path of its own, which is what counts; not every disk has them.
    let (binary, installed) = (env!("CARGO_BIN_EXE_dubench"), folder.path("env/bin/dubench"));
    if std::fs::hard_link(binary, &installed).is_err() {
        std::fs::copy(binary, &installed).unwrap();
    }
    for name in ["tiny.yaml", "reference.npz"] {
        let target = folder.path("env/share/dubench/experiments").join(name);
        std::fs::rename(folder.path(name), target).unwrap();
    }
    folder
}

/// Runs the installed program in the empty folder.
fn installed(folder: &Folder, arguments: &[&str]) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", "cd empty && exec ../env/bin/dubench \"$@\"", "sh"]).args(arguments);
    folder.ended(command.env_remove("ORT_DYLIB_PATH"))
}

#[test]
fn an_installed_experiment_runs_by_name_from_an_empty_folder_with_the_same_digits() {
    let folder = environment();
    let ended = installed(&folder, &["run", "tiny", "--scale", "smoke", "--format", "json"]);
    let answer = ended.json();
    assert_eq!(answer["metrics_sha256"].as_str().unwrap(), Folder::new().digest(&[]));
    assert_eq!(answer["results"], "results/tiny/smoke");
    assert!(folder.path("empty/results/tiny/smoke/table.md").is_file());
    let data: Vec<_> =
        std::fs::read_dir(folder.path("env/share/dubench/experiments")).unwrap().collect();
    assert_eq!(data.len(), 2, "nothing is written where the program is installed");
}

#[test]
fn a_name_that_is_nowhere_says_where_it_was_looked_for() {
    let folder = environment();
    let ended = installed(&folder, &["plan", "tinny", "--scale", "smoke"]);
    ended.fails(
        2,
        &[
            "tinny: no such experiment",
            "experiments/tinny.yaml",
            "env/share/dubench/experiments/tinny.yaml",
        ],
    );
}

#[test]
fn the_library_is_that_of_the_environment_and_doctor_says_so() {
    let folder = environment();
    let capi = "env/lib/python3.11/site-packages/onnxruntime/capi";
    std::fs::create_dir_all(folder.path(capi)).unwrap();
    folder.text(&format!("{capi}/libonnxruntime.so.1.2.3"), "no library");
    let ended = installed(&folder, &["doctor"]);
    assert_eq!(ended.code, 7);
    let line =
        |what: &str| ended.stdout.lines().find(|line| line.contains(what)).unwrap().to_owned();
    assert!(line(" installed ").contains("env/share/dubench"), "{}", ended.stdout);
    let library = line(" ONNX Runtime ");
    assert!(library.contains("capi/libonnxruntime.so.1.2.3: cannot be loaded"), "{library}");
    folder.text(&format!("{capi}/libonnxruntime.so.1.2.4"), "no library");
    let ended = installed(&folder, &["doctor"]);
    assert!(
        ended.stdout.contains("has several, set ORT_DYLIB_PATH to one of them"),
        "{}",
        ended.stdout
    );
}
