//! Which Parquet files people mean: one file, or a folder of parts. Contents decide, not names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::StoreError;

/// What every Parquet file begins with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Starts of files that would be a part of the set too: images and arrays.
const SAMPLES: [&[u8]; 8] =
    [b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\x93NUMPY", b"PK"];

/// Parquet files of a set, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParquetFiles {
    /// The files.
    pub(crate) files: Vec<PathBuf>,
    /// Hidden files and files beginning with `_`, which writers leave beside parts.
    hidden: usize,
    /// Other files that hold no samples, such as descriptions.
    others: usize,
    /// Images and arrays.
    samples: Vec<PathBuf>,
}

impl ParquetFiles {
    /// The Parquet file at `path`, or all of a folder and its subfolders; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::Read`]; [`StoreError::Input`] for a folder that holds images or arrays too, with their number.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut found = Self::default();
        if path.is_dir() {
            found.list(path)?;
        } else if path.is_file() && start(path)?.starts_with(MAGIC) {
            found.files.push(path.to_owned());
        }
        if found.files.is_empty() {
            return Ok(None);
        }
        if let Some(sample) = found.samples.first() {
            let message = format!(
                "holds {} Parquet files and {} images or arrays, {} first: which of them are the set? Move one kind to a folder of its own",
                found.files.len(),
                found.samples.len(),
                sample.display()
            );
            return Err(StoreError::input(path, message));
        }
        found.files.sort();
        Ok(Some(found))
    }

    fn list(&mut self, folder: &Path) -> Result<(), StoreError> {
        for entry in std::fs::read_dir(folder).map_err(StoreError::read(folder))? {
            let entry = entry.map_err(StoreError::read(folder))?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(['.', '_']) {
                self.hidden += 1;
            } else if name.ends_with(".sha256") || name == "manifest.json" {
                // Of ours, and read where the parts are.
            } else if entry.file_type().map_err(StoreError::read(&path))?.is_dir() {
                self.list(&path)?;
            } else {
                let start = start(&path)?;
                if start.starts_with(MAGIC) {
                    self.files.push(path);
                } else if SAMPLES.iter().any(|magic| start.starts_with(magic)) {
                    self.samples.push(path);
                } else {
                    self.others += 1;
                }
            }
        }
        Ok(())
    }

    /// What a reader of a number should know of the files that were left out.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Self { files, hidden, others, .. } = self;
        if hidden + others == 0 {
            return Vec::new();
        }
        vec![format!(
            "{} Parquet files; {others} other and {hidden} hidden files left out",
            files.len()
        )]
    }
}

/// First bytes of a file.
fn start(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(StoreError::read(path))?;
    file.take(8).read_to_end(&mut start).map_err(StoreError::read(path))?;
    Ok(start)
}
