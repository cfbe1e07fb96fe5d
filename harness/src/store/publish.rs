//! Files appear whole or not at all.

#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::fault::{self, Guarded};

/// Writes `bytes` under `path` so that no reader, and no crash, ever sees a part of them: a
/// temporary file in the same folder, `fsync`, rename, `fsync` of the folder.
///
/// # Errors
/// Those of the file system; the temporary file is removed.
pub fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish_with(path, |out| out.write_all(bytes))
}

/// As [`publish`], for content that is written piece by piece.
///
/// # Errors
/// Those of `fill` and of the file system; the temporary file is removed.
///
/// # Examples
/// ```
/// let folder = std::env::temp_dir().join("dubench-publish-with");
/// std::fs::create_dir_all(&folder)?;
/// let path = folder.join("numbers");
/// dubench::store::publish_with(&path, |out| (0..3).try_for_each(|i| writeln!(out, "{i}")))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "0\n1\n2\n");
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn publish_with(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path);
    let temporary = temporary_beside(path, folder)?;
    let written = write_synced(&temporary, fill)
        .and_then(|()| fault::point("rename"))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to report; a left-over is never read.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

/// Removes a file, if it is there, for good.
///
/// # Errors
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    fault::point("remove")?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
    let linked = write_synced(&temporary, |out| out.write_all(bytes))
        .and_then(|()| fault::point("link"))
        .and_then(|()| link_or_rename(&temporary, path));
    // Whatever happened, the temporary name has served; a left-over is never read.
    let _ = remove(&temporary);
    let publication = linked?;
    sync_folder(folder)?;
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

fn sync_folder(folder: &Path) -> io::Result<()> {
    fault::point("sync of the folder")?;
    File::open(folder)?.sync_all()
}

const TEMPORARY: &str = ".tmp";
const NONCE_DIGITS: usize = 16;

/// `.NAME.0123456789abcdef.tmp`.
///
/// # Why random, and not the process id?
/// Containers on one shared folder all have a process 1 on hosts of one name. Two of them would take the same
/// name for the same part, and the slower one would fail on the other's file.
fn temporary_beside(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    // The standard library seeds this from the system for every thread and moves on with every call.
    let nonce = RandomState::new().build_hasher().finish();
    let name = name.to_string_lossy();
    Ok(folder.join(format!(".{name}.{nonce:0NONCE_DIGITS$x}{TEMPORARY}")))
}

/// Whether `name` is that of a temporary file of ours: what a killed process leaves behind.
///
/// # Examples
/// ```
/// use dubench::store::publish::is_temporary;
/// assert!(is_temporary(".block-000001.parquet.0123456789abcdef.tmp"));
/// assert!(!is_temporary("block-000001.parquet") && !is_temporary(".mine.tmp"));
/// ```
pub fn is_temporary(name: &str) -> bool {
    let nonce = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(TEMPORARY))
        .and_then(|name| name.rsplit_once('.'))
        .filter(|(name, _)| !name.is_empty())
        .map(|(_, nonce)| nonce);
    nonce.is_some_and(|nonce| {
        nonce.len() == NONCE_DIGITS && nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn write_synced(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    fault::point("create")?;
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut out = BufWriter::new(Guarded(file));
    fill(&mut out)?;
    let Guarded(file) = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    fault::point("sync")?;
    file.sync_all()
}
