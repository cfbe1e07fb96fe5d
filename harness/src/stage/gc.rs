//! What killed processes leave behind: temporary files that nobody reads and nobody will rename.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::store::publish::is_temporary;
use crate::store::{StoreError, remove};

/// A temporary file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How long ago it was written to; `None` where the clock says that this is still to come.
    pub age_seconds: Option<u64>,
}

impl Leftover {
    /// Whether its writer must be gone. A file from the future is kept: a clock went back, and its age is unknown.
    fn is_stale(&self, min_age: Duration) -> bool {
        self.age_seconds.is_some_and(|age| age >= min_age.as_secs())
    }
}

/// What was found: what is older than the least age, and what may still be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    /// Nobody will ever use these.
    pub stale: Vec<Leftover>,
    /// These may belong to a process that is at work.
    pub young: Vec<Leftover>,
}

/// Temporary files in `folders` and below, by age. Only names of ours count; links are not followed.
///
/// # Why by age and not by process?
/// The writer may be on another machine. A publication takes seconds, so after an hour nobody is writing any more.
///
/// # Errors
/// [`StoreError::Read`] for a folder that cannot be listed. One that is not there is empty.
pub fn find(folders: &[PathBuf], min_age: Duration) -> Result<Leftovers, StoreError> {
    let now = SystemTime::now();
    let mut left = folders.to_vec();
    let mut found = Leftovers::default();
    while let Some(folder) = left.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::read(&folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(StoreError::read(&folder))?.path();
            match leftover(&path, now)? {
                Entry::Folder => left.push(path),
                Entry::Temporary(leftover) if leftover.is_stale(min_age) => {
                    found.stale.push(leftover);
                }
                Entry::Temporary(leftover) => found.young.push(leftover),
                Entry::Other => {}
            }
        }
    }
    found.stale.sort_by(|a, b| a.path.cmp(&b.path));
    found.young.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

enum Entry {
    Folder,
    Temporary(Leftover),
    Other,
}

fn leftover(path: &Path, now: SystemTime) -> Result<Entry, StoreError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // Its writer has just finished.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Entry::Other),
        Err(error) => return Err(StoreError::read(path)(error)),
    };
    if metadata.is_dir() {
        return Ok(Entry::Folder);
    }
    let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(is_temporary);
    if !ours || !metadata.is_file() {
        return Ok(Entry::Other);
    }
    let written = metadata.modified().map_err(StoreError::read(path))?;
    let age_seconds = now.duration_since(written).ok().map(|age| age.as_secs());
    Ok(Entry::Temporary(Leftover { path: path.to_owned(), bytes: metadata.len(), age_seconds }))
}

/// Removes files. Those that are gone already are no error.
///
/// # Errors
/// [`StoreError::Write`] for one that cannot be removed; the others before it are gone.
pub fn collect(stale: &[Leftover]) -> Result<(), StoreError> {
    stale.iter().try_for_each(|file| remove(&file.path).map_err(StoreError::write(&file.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish;

    const HOUR: Duration = Duration::from_hours(1);

    fn file(folder: &Path, name: &str, written: SystemTime) -> PathBuf {
        let path = folder.join(name);
        publish(&path, b"half").unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        path
    }

    #[test]
    fn only_old_temporary_files_of_ours_go() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("parts");
        std::fs::create_dir(&below).unwrap();
        let now = SystemTime::now();
        let old = file(&below, ".block-000001.parquet.0123456789abcdef.tmp", now - 2 * HOUR);
        let young = file(&below, ".block-000002.parquet.0123456789abcdef.tmp", now);
        let future = file(&below, ".block-000003.parquet.0123456789abcdef.tmp", now + 2 * HOUR);
        let part = file(&below, "block-000001.parquet", now - 2 * HOUR);
        let foreign = file(folder.path(), ".mine.tmp", now - 2 * HOUR);
        let folders = [folder.path().to_owned(), folder.path().join("none")];
        let found = find(&folders, HOUR).unwrap();
        let paths = |files: &[Leftover]| -> Vec<PathBuf> {
            files.iter().map(|file| file.path.clone()).collect()
        };
        assert_eq!(paths(&found.stale), std::slice::from_ref(&old));
        assert_eq!(paths(&found.young), [young.clone(), future.clone()]);
        assert_eq!((found.stale[0].bytes, found.young[1].age_seconds), (4, None));
        collect(&found.stale).unwrap();
        collect(&found.stale).unwrap();
        assert!(!old.exists());
        assert!([young, future, part, foreign].iter().all(|path| path.exists()));
    }
}
