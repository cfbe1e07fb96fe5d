//! Real processes on real file systems: killed, started several times at once, without space, without permission.
//!
//! What needs rights that this machine may not give says that it was skipped, on a line of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::mount::Mount;
use crate::support::{Ended, Folder, find, skip};

const RUN: [&str; 5] = ["run", "tiny.yaml", "--scale", "smoke", "--quiet"];

fn spawn(folder: &Folder, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dubench"))
        .args(arguments)
        .current_dir(folder.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_process_killed_at_any_time_is_made_good_by_the_next() {
    let folder = Folder::new();
    let start = Instant::now();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r0"]);
    let duration = start.elapsed();
    let mut killed = 0;
    // A third of the kills on an empty folder each, the others one after another on what the last one left.
    for kill in 0..12_u32 {
        let name = format!("work-{}", if kill % 3 == 0 { kill } else { 99 });
        let mut child = spawn(&folder, &[&RUN[..], &["--work-dir", &name]].concat());
        std::thread::sleep(duration.mul_f64(0.1 + 0.07 * f64::from(kill)));
        // std's kill is SIGKILL.
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let results = format!("r{}", kill + 1);
        if kill % 3 != 1 {
            assert_eq!(folder.digest(&["--work-dir", &name, "--results-dir", &results]), whole);
        }
    }
    assert!(killed >= 3, "only {killed} of 12 processes were still there to be killed");
}

#[test]
fn the_same_work_started_many_times_at_once_gives_the_same_digits() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r0"]);
    let shards = ["0/2", "0/2", "0/2", "1/2", "0/3", "1/3", "2/3"];
    let start =
        |shard| spawn(&folder, &[&RUN[..], &["--work-dir", "shared", "--shard", shard]].concat());
    let children: Vec<Child> = shards.into_iter().map(start).collect();
    for (shard, mut child) in shards.into_iter().zip(children) {
        assert_eq!(child.wait().unwrap().code(), Some(0), "shard {shard}");
    }
    assert_eq!(folder.digest(&["--work-dir", "shared"]), whole);
}

#[test]
fn a_full_disk_ends_with_its_own_code_and_space_brings_the_same_digits() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r0"]);
    let Some(mount) = Mount::new(&folder.path("small"), "size=16k") else {
        return skip("a_full_disk", "no file system can be mounted here (needs root)");
    };
    let arguments = [&RUN[..], &["--work-dir", "small"]].concat();
    let mut n_full = 0;
    for size in [16, 40, 64, 96, 128] {
        mount.again(&format!("size={size}k"));
        let ended = folder.dubench(&arguments);
        if ended.code == 0 {
            break;
        }
        n_full += 1;
        ended.fails(7, &["No space left on device", "free space"]);
    }
    assert!(n_full >= 2, "the disk was full {n_full} times");
    mount.again("size=8m");
    assert_eq!(folder.digest(&["--work-dir", "small"]), whole);
    let verified =
        folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke", "--work-dir", "small"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
}

#[test]
fn a_graph_that_finds_no_space_ends_as_a_full_disk_does() {
    let folder = Folder::new();
    let Some(_mount) = Mount::new(&folder.path("small"), "size=16k") else {
        return skip("a_graph_that_finds_no_space", "no file system can be mounted here");
    };
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/graph/tests/data/ddpm_traced_17.onnx");
    let ended = folder.dubench(&["graph", "tap", graph, "-o", "small/o.onnx"]);
    ended.fails(7, &["small/o.onnx", "No space left on device", "free space"]);
    assert!(!folder.path("small/o.onnx").exists());
}

#[test]
fn a_folder_that_may_not_be_written_ends_with_its_own_code() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let complete = |ended: Ended| ended.fails(7, &["cannot be written", "fix the permissions"]);
    let locked = folder.path("locked");
    let mount = Mount::new(&locked, "ro");
    if mount.is_none() {
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
        if std::fs::create_dir(locked.join("probe")).is_ok() {
            return skip("a_folder_that_may_not_be_written", "permissions do not bind this user");
        }
    }
    complete(folder.dubench(&[&RUN[..], &["--work-dir", "locked"]].concat()));
    complete(folder.dubench(&[&RUN[..], &["--results-dir", "locked"]].concat()));
}

#[test]
fn left_overs_of_killed_processes_are_named_and_removed() {
    let folder = Folder::new();
    folder.digest(&[]);
    let part = find(&folder.path("work/parts/generate"), ".parquet");
    let half = part.with_file_name(".block-000001.parquet.0123456789abcdef.tmp");
    std::fs::copy(&part, &half).unwrap();
    let gc = |more: &[&str]| {
        folder
            .dubench(&[&["gc", "tiny.yaml", "--scale", "smoke", "--format", "json"], more].concat())
    };
    let young = gc(&[]).json();
    assert_eq!((young["stale"].as_array().unwrap().len(), half.exists()), (0, true));
    assert_eq!(young["young"][0]["path"].as_str().map(Path::new).map(Path::exists), Some(false));
    let named = gc(&["--min-age", "0", "--dry-run"]).json();
    assert_eq!((named["stale"].as_array().unwrap().len(), half.exists()), (1, true));
    let removed = gc(&["--min-age", "0"]).json();
    assert_eq!(
        (removed["bytes"].as_u64(), half.exists()),
        (part.metadata().ok().map(|m| m.len()), false)
    );
    let verified = folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
}

#[test]
fn published_files_that_change_are_found_and_made_again() {
    let folder = Folder::new();
    folder.digest(&[]);
    let verify = || folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke", "--blocks", "0"]);
    assert!(verify().stdout.contains("published files are what they were"));
    for name in ["table.md", "metrics.parquet", "run.json", "plots/filter-curve.svg"] {
        let path = format!("results/tiny/smoke/{name}");
        let before = std::fs::read(folder.path(&path)).unwrap();
        let mut flipped = before.clone();
        flipped[before.len() / 2] ^= 1;
        folder.bytes(&path, &flipped);
        verify().fails(5, &[name]);
        folder.digest(&[]);
        let after = std::fs::read(folder.path(&path)).unwrap();
        // Times of the same plan are the same while its parts are.
        assert!(after == before || name == "run.json", "{name} was not made again");
        assert_eq!(verify().code, 0, "{name}");
    }
}

#[test]
fn reports_written_at_the_same_time_leave_one_that_holds_together() {
    let folder = Folder::new();
    let digest = folder.digest(&["--results-dir", "once"]);
    let report = ["report", "tiny.yaml", "--scale", "smoke", "--force", "--quiet"];
    let children: Vec<Child> = (0..6).map(|_| spawn(&folder, &report)).collect();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let verified =
        folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke", "--format", "json"]).json();
    assert_eq!(verified["metrics_sha256"], digest.as_str());
    assert!(verified["n_published"].as_u64().is_some_and(|n| n >= 5), "{verified}");
    for name in ["table.md", "table.tex", "metrics.parquet", "plots/filter-curve.svg"] {
        let read =
            |results: &str| std::fs::read(folder.path(&format!("{results}/{name}"))).unwrap();
        assert!(read("once/tiny/smoke") == read("results/tiny/smoke"), "{name}");
    }
}

#[test]
fn another_question_is_another_report_of_the_same_numbers() {
    let folder = Folder::new();
    let digest = folder.digest(&[]);
    let table = || std::fs::read_to_string(folder.path("results/tiny/smoke/table.md")).unwrap();
    let text = std::fs::read_to_string(folder.path("tiny.yaml")).unwrap();
    folder.text("tiny.yaml", &text.replace("Do all stages fit together?", "Is this new?"));
    assert_eq!(folder.digest(&[]), digest);
    assert!(table().contains("Is this new?"), "{}", table());
}

/// Calls of a trace in order: what was done, and whether it named a temporary file.
fn calls(log: &str) -> Vec<(&'static str, String)> {
    let kind = |line: &str| {
        let name = line.split_whitespace().find(|word| word.contains('('))?.split('(').next()?;
        Some(match name {
            "fsync" | "fdatasync" => "sync",
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => "publish",
            _ => return None,
        })
    };
    let succeeded = |line: &&str| line.trim_end().ends_with("= 0");
    log.lines().filter(succeeded).filter_map(|line| Some((kind(line)?, line.to_owned()))).collect()
}

#[test]
fn every_file_is_on_the_disk_before_its_name_and_its_name_before_the_next() {
    let folder = Folder::new();
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-o",
        "trace",
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat",
    ]);
    // One network: the calls of several threads would be mixed in the trace.
    command
        .arg(env!("CARGO_BIN_EXE_dubench"))
        .args(RUN)
        .args(["--networks", "1"])
        .stderr(Stdio::null())
        .stdout(Stdio::null());
    match command.current_dir(folder.path(".")).status() {
        Ok(status) if status.success() => {}
        _ => return skip("every_file_is_on_the_disk", "strace is not installed or may not trace"),
    }
    let log = std::fs::read_to_string(folder.path("trace")).unwrap();
    let calls = calls(&log);
    let published = calls.iter().filter(|(kind, _)| *kind == "publish").count();
    assert!(published >= 30, "{published} publications in {log}");
    for (index, (kind, line)) in calls.iter().enumerate() {
        if *kind == "publish" {
            let (before, after) = (&calls[index - 1], &calls[index + 1]);
            assert!(before.0 == "sync" && before.1.contains(".tmp>"), "{line} after {}", before.1);
            assert!(after.0 == "sync" && !after.1.contains(".tmp>"), "{line} before {}", after.1);
        }
    }
}

#[test]
fn a_signal_stops_samples_as_it_stops_a_run() {
    let folder = Folder::new();
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dubench"));
    command.args(["sample", bundle, "-o", "out", "-n", "64", "--steps", "1000"]);
    command.current_dir(folder.path(".")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The first line tells that the work has begun.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = lines.next().unwrap().unwrap();
    let kill = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    lines.for_each(|line| said.push_str(&line.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(75), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    assert!(!folder.path("out/final.npy").exists());
}

#[test]
fn a_signal_stops_within_seconds_with_nothing_lost() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(folder.path("tiny.yaml")).unwrap();
    let long = text.replace("n_pool: 48, n_keep: 40", "n_pool: 480000, n_keep: 400000");
    folder.text("long.yaml", &long);
    for signal in ["TERM", "USR1"] {
        let mut child = spawn(&folder, &["generate", "long.yaml", "--scale", "smoke", "--quiet"]);
        std::thread::sleep(Duration::from_millis(700));
        let sent = Instant::now();
        let status = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(status.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(75), "{signal}");
        assert!(sent.elapsed() < Duration::from_secs(10), "{signal}: {:?}", sent.elapsed());
    }
}
