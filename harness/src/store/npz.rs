//! Arrays in an `.npz`: a zip of `.npy` files, stored or deflated (`numpy.savez`, `numpy.savez_compressed`).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::StoreError;
use super::elements::{self, Numbers};
use super::npy::Header;
use super::trouble::{PICKLE, Trouble};

/// Deflate packs at most 1032 bytes into one: an entry that says more says what cannot be.
const MAX_RATIO: u64 = 1032;

/// An open archive.
#[derive(Debug)]
pub(crate) struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

/// Where an array lies in the file, for readers that take a part of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) header: Header,
    /// First byte of the entry, header included.
    pub(crate) start: u64,
    /// Bytes of the entry in the file.
    pub(crate) packed: u64,
    pub(crate) deflated: bool,
}

impl Npz {
    /// Opens an archive.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::read(path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| match error {
            ZipError::Io(error) => Trouble::from(error).at(path),
            // The list of contents stands at the end of the file: one that was cut has none.
            error => {
                Trouble::Damaged(format!("its list of arrays cannot be read: {error}")).at(path)
            }
        })?;
        let npz = Self { path: path.to_owned(), archive };
        if npz
            .archive
            .file_names()
            .any(|name| Path::new(name).extension().is_some_and(|ending| ending == "pkl"))
        {
            return Err(StoreError::input(path, PICKLE));
        }
        Ok(npz)
    }

    /// Names of the arrays, in the order of the file.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.archive.file_names();
        names.map(|name| name.strip_suffix(".npy").unwrap_or(name).to_owned()).collect()
    }

    /// Names of the entries as they stand in the file.
    pub(crate) fn file_names(&self) -> Vec<String> {
        self.archive.file_names().map(str::to_owned).collect()
    }

    /// Whether there is an array of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().iter().any(|entry| entry == name)
    }

    /// What the array says of itself, and where it lies.
    pub(crate) fn entry(&mut self, name: &str) -> Result<Entry, StoreError> {
        self.with(name, |entry, size| {
            let start = entry.data_start();
            let (packed, deflated) =
                (entry.compressed_size(), entry.compression() == CompressionMethod::Deflated);
            let header = Header::read(entry, size)?;
            Ok(Entry { header, start, packed, deflated })
        })
    }

    /// The array and what it says of itself.
    pub(crate) fn read(&mut self, name: &str) -> Result<(Header, Numbers), StoreError> {
        self.with(name, |mut entry, size| {
            let header = Header::read(&mut entry, size)?;
            let numbers = elements::read(&mut entry, &header)?;
            // The check sum is held against the bytes when all were read.
            std::io::copy(&mut entry, &mut std::io::sink())?;
            Ok((header, numbers))
        })
    }

    /// An array of levels.
    #[cfg(test)]
    pub(crate) fn levels(&mut self, name: &str) -> Option<ndarray::ArrayD<u8>> {
        match self.read(name).ok()?.1 {
            Numbers::U8(levels) => Some(levels),
            _ => None,
        }
    }

    fn with<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut zip::read::ZipFile<'_, BufReader<File>>, u64) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let listed = self.names().join(", ");
        let length = std::fs::metadata(&self.path).map_err(StoreError::read(&self.path))?.len();
        let full = if self.archive.index_for_name(name).is_some() {
            name.to_owned()
        } else {
            format!("{name}.npy")
        };
        let path = &self.path;
        let refuse = |trouble: Trouble| trouble.of(name).at(path);
        let mut entry = match self.archive.by_name(&full) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => {
                let message = format!("there is no array {name:?}; there are {listed}");
                return Err(StoreError::input(path, message));
            }
            Err(ZipError::Io(error)) => return Err(refuse(Trouble::from(error))),
            Err(ZipError::UnsupportedArchive(why)) => {
                let message = format!("{why}: save it with numpy.savez or numpy.savez_compressed");
                return Err(refuse(Trouble::Other(message)));
            }
            Err(error) => return Err(refuse(Trouble::Damaged(error.to_string()))),
        };
        // The size of an entry is a number that anyone can write.
        let most = match entry.compression() {
            CompressionMethod::Stored => length,
            _ => length.saturating_mul(MAX_RATIO),
        };
        let size = entry.size().min(most);
        read(&mut entry, size).map_err(refuse)
    }
}
