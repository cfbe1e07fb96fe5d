//! `dubench submit`, with a scheduler that is missing, that refuses, or that only writes down what it is
//! asked; and the job scripts run by hand, with the variables that Slurm would set.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::path::Path;
use std::process::Command;

use crate::support::{Ended, Folder};

const SUBMIT: [&str; 6] = ["submit", "tiny.yaml", "--engine", "slurm", "--scale", "smoke"];

/// Runs `program` in the folder, with `path` as the only place where programs are found.
fn call(folder: &Folder, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    folder.ended(Command::new(program).args(arguments).envs(variables.iter().copied()))
}

fn submit(folder: &Folder, more: &[&str], path: &str) -> Ended {
    let arguments = [&SUBMIT[..], more].concat();
    call(folder, env!("CARGO_BIN_EXE_dubench"), &arguments, &[("PATH", path)])
}

/// An `sbatch` in `bin/` that runs `script`.
fn scheduler(folder: &Folder, script: &str) -> String {
    folder.program("sbatch", script);
    format!("{}:/usr/bin:/bin", folder.path("bin").display())
}

fn path_of(answer: &serde_json::Value, key: &str) -> String {
    let path = answer[key].as_str().unwrap();
    assert!(Path::new(path).is_absolute(), "{path}");
    path.to_owned()
}

#[test]
fn the_evaluation_waits_for_any_end_of_the_array() {
    let folder = Folder::new();
    let path =
        scheduler(&folder, "echo \"$@\" >> asked; echo \"4$(wc -l < asked | tr -d ' ');cluster\"");
    let words = ["--shards", "3", "--cuda", "layout=nhwc", "--step-graph", "on"];
    let answer = submit(&folder, &[&words[..], &["--format", "json"]].concat(), &path).json();
    assert_eq!(
        (answer["array_job"].as_str(), answer["evaluate_job"].as_str()),
        (Some("41"), Some("42"))
    );
    let asked = std::fs::read_to_string(folder.path("asked")).unwrap();
    let array = path_of(&answer, "array_script");
    let evaluate = path_of(&answer, "evaluate_script");
    let script = std::fs::read_to_string(&array).unwrap();
    assert!(script.contains("'--step-graph' 'on' '--cuda' 'layout=nhwc'"), "{script}");
    assert_eq!(
        asked,
        format!("--parsable {array}\n--parsable --dependency=afterany:41 {evaluate}\n")
    );
}

#[test]
fn a_scheduler_that_is_missing_or_refuses_is_a_clear_error() {
    let folder = Folder::new();
    submit(&folder, &[], "/nowhere").fails(7, &["sbatch", "login node", "--dry-run"]);
    let path = scheduler(&folder, "echo 'sbatch: error: invalid partition' >&2; exit 1");
    submit(&folder, &["--partition", "none"], &path).fails(7, &["invalid partition"]);
}

#[test]
fn an_evaluation_that_is_refused_names_the_array_that_is_queued() {
    let folder = Folder::new();
    let path =
        scheduler(&folder, "case $* in *afterany*) echo no >&2; exit 1 ;; *) echo 41 ;; esac");
    submit(&folder, &[], &path).fails(7, &["refused", "array job 41 is queued"]);
}

#[test]
fn options_that_no_task_could_follow_are_refused() {
    let folder = Folder::new();
    let cases: [(&[&str], &str); 9] = [
        (&["--shards", "0"], "--shards"),
        (&["--shards", "4"], "1 to 3"),
        (&["--throttle", "0"], "--throttle"),
        (&["--partition", "a b"], "--partition"),
        (&["--gres", ""], "--gres"),
        (&["--time", "4h"], "--time"),
        (&["--time", "2:00"], "at least 5 minutes"),
        (&["--device", "tpu"], "--device"),
        (&["--work-dir", "a\"b"], "--work-dir"),
    ];
    for (options, word) in cases {
        submit(&folder, options, "/nowhere").fails(2, &[word]);
    }
    assert!(!folder.path("work/slurm").exists());
}

/// Tables 5 and 6: a task of an array would refuse its share of the blocks.
#[test]
fn what_is_timed_is_one_task() {
    let folder = Folder::new();
    let timed = "extends: tiny.yaml\nname: timed\ncontrols: null\nfeatures: null\nreference: null\n\
                 protocol: {kind: timing}\nscales: {smoke: {n_keep: null}, mini: null}\n";
    folder.text("timed.yaml", timed);
    let call = ["submit", "timed.yaml", "--engine", "slurm", "--scale", "smoke", "--dry-run"];
    let answer = folder.dubench(&[&call[..], &["--format", "json"]].concat()).json();
    assert_eq!((&answer["n_shards"], &answer["n_blocks"]), (&1.into(), &9.into()));
    folder
        .dubench(&[&call[..], &["--shards", "2"]].concat())
        .fails(2, &["--shards", "one process"]);
}

#[test]
fn the_scripts_give_the_numbers_of_one_process() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    let work = "it's $HOME 100%";
    let options = ["--shards", "3", "--work-dir", work, "--dry-run", "--format", "json"];
    let answer = submit(&folder, &options, "/nowhere").json();
    assert!(answer["array_job"].is_null());
    let array = path_of(&answer, "array_script");
    let evaluate = path_of(&answer, "evaluate_script");
    let task = |index: &str| {
        let variables = [
            ("SLURM_JOB_ID", "7"),
            ("SLURM_ARRAY_JOB_ID", "7"),
            ("SLURM_ARRAY_TASK_ID", index),
            // The count of this submission, which must not matter.
            ("SLURM_ARRAY_TASK_COUNT", "1"),
            // Left over in the shell of whoever submits.
            ("DUBENCH_SHARD", "0/1"),
        ];
        call(&folder, "bash", &[&array], &variables).code
    };
    assert_eq!((task("2"), task("0")), (0, 0));
    let early = call(&folder, "bash", &[&evaluate], &[]);
    early.fails(4, &["1 of 3 blocks", "are missing: 1;", "submit again"]);
    assert_eq!(task("1"), 0);
    let ended = call(&folder, "bash", &[&evaluate], &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(folder.digest(&["--work-dir", work]), whole);
    // An index that the frozen count does not have, and none at all.
    assert_eq!(task("3"), 2);
    assert_eq!(call(&folder, "bash", &[&array], &[]).code, 2);
}
