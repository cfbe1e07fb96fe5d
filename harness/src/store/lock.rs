//! Two people who start the same work by mistake are told; correctness never rests on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::StoreError;

/// A held lock; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Takes the lock `path`, or refuses with the holder's process id.
    ///
    /// # Why is this not needed for correctness?
    /// Parts are published whole, first come first served, and depend on the plan alone, so two
    /// processes on the same blocks waste time and nothing else. File systems without locks
    /// therefore count as free.
    ///
    /// # Errors
    /// [`StoreError::Busy`], or [`StoreError::Write`] when the lock file cannot be made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(StoreError::write(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                return Err(StoreError::Busy { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, path = %path.display(), "no locks on this file system");
                return Ok(Self { _file: None });
            }
        }
        Self::noted(file, path)
    }

    /// Takes the lock `path`; where another process holds it, `told` is told who, and this one waits for it.
    ///
    /// # Errors
    /// [`StoreError::Write`] when the lock file cannot be made.
    pub fn wait(path: &Path, told: &dyn Fn(&str)) -> Result<Self, StoreError> {
        match Self::take(path) {
            Err(StoreError::Busy { holder, .. }) => told(&holder),
            taken => return taken,
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(StoreError::write(path))?;
        file.lock().map_err(StoreError::write(path))?;
        Self::noted(file, path)
    }

    /// Leaves the number of this process for whoever comes.
    fn noted(mut file: File, path: &Path) -> Result<Self, StoreError> {
        let note = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(StoreError::write(path))?;
        Ok(Self { _file: Some(file) })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(64).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    #[test]
    fn the_second_holder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert_eq!(error.exit(), Exit::Resources);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn who_waits_is_told_of_the_holder_and_goes_on_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let first = std::sync::Mutex::new(Some(Lock::take(&path).unwrap()));
        let holder = std::sync::Mutex::new(String::new());
        let told = |who: &str| {
            *holder.lock().unwrap() = who.to_owned();
            first.lock().unwrap().take();
        };
        let second = Lock::wait(&path, &told).unwrap();
        assert_eq!(*holder.lock().unwrap(), format!("process {}", std::process::id()));
        assert!(Lock::take(&path).is_err());
        drop(second);
        Lock::wait(&path, &|_| panic!("nobody holds it")).unwrap();
    }
}
