//! Every point at which a run can be killed or its disk can fail, and a thousand damaged files: a repetition gives the
//! digits of an undisturbed run, or an error says what is wrong. Never another number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::evaluate::evaluation::{self, Evaluation};
use super::open::inputs;
use super::tests::Bench;
use super::{Stop, gc};
use crate::exit::{Exit, Exits};
use crate::plan::Shard;
use crate::store::fault::tests::{EIO, ENOSPC, Ended, Fault, with_fault};
use crate::store::publish;

/// The smallest experiment with every kind of file, in memory where the system has a folder for that.
fn bench() -> Bench {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    Bench::in_folder(folder.unwrap(), |text| {
        let small = [
            ("shape: [3, 8, 8]", "shape: [3, 2, 2]"),
            ("n_pool: 48, n_keep: 40, block_size: 16", "n_pool: 20, n_keep: 16, block_size: 10"),
            ("n_random: 50", "n_random: 4"),
            ("n_points: 2, n_random: 10", "n_points: 2, n_random: 2"),
            ("- {kind: sample_var}", "- {kind: sample_var}\n  - {kind: mc_dropout}"),
        ];
        small.into_iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    })
}

/// Numbers, curves and scores, times apart.
fn content(evaluation: Evaluation) -> impl PartialEq + std::fmt::Debug {
    let Evaluation { digest, numbers, .. } = evaluation;
    (digest, numbers.curves, numbers.scores)
}

#[test]
fn wherever_a_run_is_killed_it_resumes_to_the_same_digits() {
    let bench = bench();
    let expected = content(bench.all("whole", 10).unwrap());
    let mut sites = BTreeMap::new();
    for at in 0.. {
        let name = format!("killed-{at}");
        let (ended, hit) = with_fault(Fault::Kill, at, || bench.all(&name, 10));
        let Some(hit) = hit else { break };
        assert!(matches!(ended, Ended::Killed), "{at} {hit}: {ended:?}");
        *sites.entry(hit).or_insert(0) += 1;
        let resumed = bench.all(&name, 10).unwrap_or_else(|error| panic!("{at} {hit}: {error}"));
        assert_eq!(content(resumed), expected, "killed at point {at}, {hit}");
        std::fs::remove_dir_all(bench.work(&name)).unwrap();
    }
    let n: i32 = sites.values().sum();
    assert!(n >= 100, "only {n} points: {sites:?}");
    assert!(["create", "write", "sync", "link", "rename"].iter().all(|site| sites[site] >= 5));
}

#[test]
fn a_run_that_is_killed_again_and_again_gets_done() {
    let bench = bench();
    let expected = content(bench.all("whole", 10).unwrap());
    let mut kills = 0;
    let evaluation = loop {
        // Each attempt dies one point later than the last, all in one folder with all that they left there.
        match with_fault(Fault::Kill, 9 + kills, || bench.all("work", 10)) {
            (Ended::Killed, _) => kills += 1,
            (Ended::Returned(result), _) => break result.unwrap(),
        }
    };
    assert!(kills >= 5, "{kills}");
    assert_eq!(content(evaluation), expected);
    let found = gc::find(&[bench.work("work")], Duration::ZERO).unwrap();
    assert!(!found.stale.is_empty(), "no kill left a temporary file");
    gc::collect(&found.stale).unwrap();
    assert_eq!(gc::find(&[bench.work("work")], Duration::ZERO).unwrap(), gc::Leftovers::default());
    assert_eq!(content(bench.all("work", 10).unwrap()), expected);
}

#[test]
fn wherever_the_disk_fails_the_error_says_so_and_a_repetition_gives_the_same_digits() {
    let bench = bench();
    let expected = content(bench.all("whole", 10).unwrap());
    for fault in [EIO, ENOSPC] {
        let mut n = 0;
        // Every point of a run; every third for the second error, whose path is the same.
        for at in (0..).step_by(if fault == EIO { 1 } else { 3 }) {
            let name = format!("failed-{at}");
            let (ended, hit) = with_fault(fault, at, || bench.all(&name, 10));
            let Ended::Returned(result) = ended else { panic!("nobody was killed") };
            let Some(hit) = hit else { break };
            n += 1;
            match result {
                Err(error) => assert_eq!(error.exit(), Exit::Resources, "{at} {hit}: {error}"),
                // Only the removal of a temporary file that has served may fail in silence, and nothing after it did.
                Ok(_) => assert_eq!(hit, "remove", "the error at point {at} was swallowed"),
            }
            let repeated = bench.all(&name, 10).unwrap_or_else(|error| panic!("{hit}: {error}"));
            assert_eq!(content(repeated), expected, "{fault:?} at point {at}, {hit}");
            std::fs::remove_dir_all(bench.work(&name)).unwrap();
        }
        assert!(n >= 30, "only {n} points");
    }
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// The `index`-th damage of a file: flipped bits at places that a Weyl sequence spreads, and every fifth time a cut.
pub(crate) fn damaged(bytes: &[u8], index: usize) -> Vec<u8> {
    let spread = (index as f64 + 1.0) * 0.618_033_988_749_895;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let at = (spread.fract() * bytes.len() as f64) as usize;
    if index % 5 == 4 {
        return bytes[..at].to_vec();
    }
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1 << (index % 8);
    damaged
}

#[test]
fn of_a_thousand_damaged_files_none_gives_another_number() {
    let bench = bench();
    let expected = content(bench.all("work", 10).unwrap());
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let timings = evaluation::read_timings(&run).unwrap();
    drop(run);
    let pristine = files(&bench.work("work"));
    let kinds: Vec<_> = pristine.iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    assert!(kinds.len() >= 18, "{kinds:?}");
    let (mut n, mut refused, mut harmless) = (0, 0, BTreeSet::new());
    for index in 0..1000_usize.div_ceil(kinds.len()) {
        for (path, bytes) in &kinds {
            let damage = damaged(bytes, index);
            publish(path, &damage).unwrap();
            n += 1;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match bench.all("work", 10) {
                Err(error) => {
                    assert!(
                        matches!(error.exit(), Exit::Integrity | Exit::Input),
                        "{name}: {error}"
                    );
                    refused += 1;
                }
                Ok(got) => {
                    assert_eq!(content(got), expected, "{name}, damage {index}, was accepted");
                    let run = bench.run("work", Shard::whole(), &stop);
                    // Either as they were, or those of a second evaluation; never unreadable.
                    let times = evaluation::read_timings(&run).unwrap();
                    assert_eq!(times.generate_seconds, timings.generate_seconds, "{name} {index}");
                    harmless.insert(name);
                }
            }
            // What was evaluated again has other times, and so other bytes.
            put_back(&pristine);
        }
    }
    println!("{n} damages of {} files: {refused} refused, the others without harm", kinds.len());
    assert!(n >= 1000 && refused * 2 > n, "{refused} of {n} refused");
    for name in harmless {
        assert!(may_be_damaged(&name), "damage to {name} went unnoticed");
    }
}

/// What may be damaged without harm: files that are made again, and a cut behind the hash of a sidecar; nobody reads a lock.
fn may_be_damaged(name: &str) -> bool {
    ["plan.json", "evaluated.json"].contains(&name)
        || [".sha256", ".lock"].iter().any(|ending| name.ends_with(ending))
}

fn put_back(pristine: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, bytes) in pristine {
        if std::fs::read(path).ok().as_ref() != Some(bytes) {
            publish(path, bytes).unwrap();
        }
    }
}

#[test]
fn a_damaged_reference_is_refused_or_makes_another_plan() {
    let bench = bench();
    let path = bench.folder.path().join("reference.npz");
    let pristine = std::fs::read(&path).unwrap();
    let (n, mut refused) = (500, 0);
    for index in 0..n {
        publish(&path, &damaged(&pristine, index)).unwrap();
        match inputs::plan(&bench.experiment, "smoke") {
            Err(error) => {
                assert!(matches!(error.exit(), Exit::Integrity | Exit::Input), "{index}: {error}");
                refused += 1;
            }
            Ok(plan) => assert_ne!(plan.id(), bench.plan.id(), "damage {index} was accepted"),
        }
    }
    println!("{n} damages of a reference: {refused} refused, the others other plans");
    assert!(refused >= 100, "{refused}");
}

#[test]
fn files_that_no_plan_names_are_never_read() {
    let bench = bench();
    let expected = content(bench.all("whole", 10).unwrap());
    // What a slow listing, a careless copy or another tool may leave beside the parts.
    for path in files(&bench.work("whole")).keys() {
        let from = path.strip_prefix(bench.work("whole")).unwrap();
        let folder = bench.work("work").join(from).parent().unwrap().to_owned();
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["block-000099.parquet", "block-0.parquet", "copy of a part", ".nfs0001"] {
            publish(&folder.join(name), b"nothing that anybody should read").unwrap();
        }
    }
    assert_eq!(content(bench.all("work", 10).unwrap()), expected);
}

#[test]
fn clocks_that_go_back_or_forth_lose_nothing() {
    let bench = bench();
    let expected = content(bench.all("work", 10).unwrap());
    let year = Duration::from_hours(365 * 24);
    for time in [SystemTime::UNIX_EPOCH, SystemTime::now() + 50 * year] {
        for path in files(&bench.work("work")).keys() {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }
        let again = bench.all("work", 10).unwrap();
        assert!(again.found);
        assert_eq!(content(again), expected);
    }
}
