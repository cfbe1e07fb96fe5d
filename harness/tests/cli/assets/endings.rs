//! How a set-up ends: several at once, signals, disks that are full or may not be written, files that change.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::place::{BRINGS, Place, THING};
use crate::mount::Mount;
use crate::support::skip;

#[test]
fn of_several_at_once_one_works_and_the_others_say_that_they_wait() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(&format!("while [ ! -e \"$HERE/go\" ]; do sleep 0.02; done; {BRINGS}"));
    let name = |at: usize| format!("said-{at}");
    let spawn = |at: usize| -> Child {
        place.folder.text(&name(at), "");
        let said = std::fs::File::options().append(true).open(place.folder.path(&name(at)));
        let mut command = place.command(&["--only", "thing"]);
        command.current_dir(place.folder.path("")).stderr(said.unwrap()).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let children: Vec<Child> = (0..3).map(spawn).collect();
    let waits = |at: &usize| {
        let said = std::fs::read_to_string(place.folder.path(&name(*at))).unwrap();
        said.contains("is preparing thing, waiting for it")
    };
    let start = Instant::now();
    while (0..3).filter(waits).count() < 2 {
        assert!(start.elapsed() < Duration::from_mins(2), "nobody says that it waits");
        std::thread::sleep(Duration::from_millis(20));
    }
    place.folder.text("go", "");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!((place.asked().len(), place.is_made()), (1, true));
}

#[test]
fn a_signal_ends_the_client_too_and_the_next_call_goes_on() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip("echo $$ > \"$HERE/pid\"; exec sleep 60");
    let mut command = place.command(&["--only", "thing"]);
    let child = command.current_dir(place.folder.path("")).stderr(Stdio::piped()).spawn().unwrap();
    let pid = loop {
        let noted = std::fs::read_to_string(place.folder.path("pid")).unwrap_or_default();
        if noted.ends_with('\n') {
            break noted.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let kill = |signal: &str, pid: &str| {
        Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status().unwrap()
    };
    assert!(kill("-TERM", &child.id().to_string()).success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8(output.stderr).unwrap().contains("run the same command again"));
    assert!(!kill("-0", &pid).success(), "the client lives on");
    place.pip(BRINGS);
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn a_cache_that_may_not_be_written_ends_with_its_own_code_unless_all_is_there() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let Some(mount) = Mount::new(&place.folder.path("cache"), "size=1m") else {
        return skip(
            "a_cache_that_may_not_be_written",
            "no file system can be mounted here (needs root)",
        );
    };
    mount.again("ro");
    place.setup(&[]).fails(7, &["cache/locks: Read-only file system", "DUBENCH_CACHE"]);
    mount.again("rw");
    assert_eq!(place.setup(&[]).code, 0);
    mount.again("ro");
    assert_eq!(place.setup(&[]).code, 0, "nothing is written where all is there");
}

#[test]
fn a_full_disk_ends_with_its_own_code_and_leaves_nothing_half() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let Some(mount) = Mount::new(&place.folder.path("cache"), "size=4k") else {
        return skip("a_full_disk_at_setup", "no file system can be mounted here (needs root)");
    };
    place.setup(&[]).fails(7, &["free some space"]);
    assert!(!place.is_made());
    mount.again("size=1m");
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn a_finished_file_that_changes_is_found_and_made_again() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.setup(&["--verify"]).fails(5, &["that of no file", "without --verify"]);
    place.pip(BRINGS);
    assert_eq!(place.setup(&[]).code, 0);
    let path = place.folder.path("cache/lib/thing.so");
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut changed = THING.to_vec();
    changed[0] ^= 1;
    place.folder.bytes("cache/lib/thing.so", &changed);
    // Of the same size and time, as a bit that the disk has turned.
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    place.setup(&["--verify"]).fails(5, &["is pinned"]);
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}
