//! Files that appear, and that do not.

use std::io::Write;
use std::path::Path;

use super::super::fault::tests::{EIO, ENOSPC, Ended, Fault, with_fault};
use super::{Publication, is_temporary, publish, publish_new, publish_with, temporary_beside};

#[test]
fn a_published_file_holds_the_bytes_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    publish(&path, b"first").unwrap();
    publish(&path, b"second").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failed_publication_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("taken");
    std::fs::create_dir(&target).unwrap();
    assert!(publish(&target, b"bytes").is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
#[test]
fn of_many_writers_of_one_name_exactly_one_wins_and_nothing_is_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let publications: Vec<Publication> = std::thread::scope(|scope| {
        let writer = |id: u8| {
            let path = &path;
            move || publish_new(path, &[id; 4096]).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|id| scope.spawn(writer(id))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(publications.iter().filter(|p| **p == Publication::New).count(), 1);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() == 4096 && bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_published_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    assert_eq!(publish_new(&path, b"first").unwrap(), Publication::New);
    assert_eq!(publish_new(&path, b"second").unwrap(), Publication::AlreadyThere);
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
}

#[test]
fn temporary_names_never_repeat_and_are_known_as_ours() {
    let folder = Path::new("w");
    let name = || temporary_beside(Path::new("w/part"), folder).unwrap();
    let names: std::collections::BTreeSet<_> = (0..1000).map(|_| name()).collect();
    assert_eq!(names.len(), 1000);
    let plain = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(names.iter().all(|path| is_temporary(&plain(path))));
    for name in ["part", ".part.tmp", ".part.12-0.tmp", ".0123456789abcdef.tmp", "..tmp", ""] {
        assert!(!is_temporary(name), "{name:?}");
    }
}

#[test]
fn wherever_a_publication_is_killed_the_file_is_the_old_one_or_the_new_one() {
    let (old, new) = ([b'o'; 5000], [b'n'; 9000]);
    let mut seen = Vec::new();
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        publish(&path, &old).unwrap();
        let (ended, hit) = with_fault(Fault::Kill, at, || publish(&path, &new));
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes == old || bytes == new, "killed at {hit:?}");
        let Some(hit) = hit else { break };
        assert!(matches!(ended, Ended::Killed));
        seen.push(hit);
        publish(&path, &new).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), new);
    }
    assert_eq!(seen, ["create", "write", "sync", "rename", "sync of the folder"]);
}

#[test]
fn wherever_the_disk_fails_the_error_surfaces_and_a_repetition_succeeds() {
    let mut n = 0;
    for fault in [EIO, ENOSPC] {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("part");
            let (ended, hit) = with_fault(fault, at, || publish_new(&path, b"bytes"));
            let Ended::Returned(result) = ended else { panic!("nobody was killed") };
            let Some(hit) = hit else { break };
            n += 1;
            // A temporary file that cannot be removed is no failure of the publication.
            assert!(result.is_err() || hit == "remove", "{fault:?} at {hit} was swallowed");
            assert!(!path.exists() || std::fs::read(&path).unwrap() == b"bytes");
            publish_new(&path, b"bytes").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
        }
    }
    assert_eq!(n, 2 * 6);
}

#[test]
fn content_that_cannot_be_made_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let half = |out: &mut dyn Write| {
        out.write_all(b"half")?;
        Err(std::io::Error::other("no more"))
    };
    assert_eq!(publish_with(&path, half).unwrap_err().to_string(), "no more");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(publish_new(&folder.path().join("no/part"), b"x").is_err());
}
