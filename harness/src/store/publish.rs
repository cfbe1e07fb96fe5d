//! Files appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` under `path` so that no reader, and no crash, ever sees a part of them: a
/// temporary file in the same folder, `fsync`, rename, `fsync` of the folder.
///
/// # Errors
/// Those of the file system; the temporary file is removed.
pub fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let temporary = temporary_beside(path, folder)?;
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to report; a left-over is never read.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// How a file that must not be replaced came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// By this call.
    New,
    /// It was there already, by an earlier run or another process; it is as it was.
    AlreadyThere,
}

/// As [`publish`], but never replaces: of several processes, the first wins and the others are told.
///
/// # Why a hard link?
/// `rename` replaces in silence. A link of the temporary file to the final name fails when the name
/// is taken, in one step, on local and network file systems. Where links do not exist (FAT, some
/// FUSE), the name is looked up before `rename`, which leaves a gap of microseconds; two processes in
/// that gap write equal content, because a part depends on its plan alone.
///
/// # Errors
/// As [`publish`].
pub fn publish_new(path: &Path, bytes: &[u8]) -> io::Result<Publication> {
    if path.try_exists()? {
        return Ok(Publication::AlreadyThere);
    }
    let folder = folder_of(path);
    let temporary = temporary_beside(path, folder)?;
    let linked = write_synced(&temporary, bytes).and_then(|()| link_or_rename(&temporary, path));
    // Whatever happened, the temporary name has served; a left-over is never read.
    let _ = fs::remove_file(&temporary);
    let publication = linked?;
    File::open(folder)?.sync_all()?;
    Ok(publication)
}

fn link_or_rename(temporary: &Path, path: &Path) -> io::Result<Publication> {
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(Publication::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Publication::AlreadyThere),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            if path.try_exists()? {
                return Ok(Publication::AlreadyThere);
            }
            fs::rename(temporary, path).map(|()| Publication::New)
        }
        Err(error) => Err(error),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_beside(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    let nonce = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".{}.{}-{nonce}.tmp", name.to_string_lossy(), std::process::id());
    Ok(folder.join(name))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{Publication, publish, publish_new};

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
    fn a_folder_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(publish_new(&folder.path().join("no/part"), b"x").is_err());
    }
}
