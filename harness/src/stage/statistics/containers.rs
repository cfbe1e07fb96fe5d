//! Encoded images in one file or a few: zips of the data set tools of EDM and `StyleGAN`, Parquet tables of Hugging Face.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::StatisticsError;
use super::encoded::{EncodedImages, Fetched};
use crate::store::StoreError;
use crate::store::parquet_files::ParquetFiles;
use crate::store::picture_table::PictureTable;
use crate::store::picture_zip::{LABELS, PictureZip};
use crate::units::ClassLabel;

/// A zip of images.
pub(super) struct ZippedImages {
    name: String,
    path: PathBuf,
    zip: PictureZip,
    classes: Classes,
}

impl ZippedImages {
    pub(super) fn open(path: &Path) -> Result<Self, StatisticsError> {
        let zip = PictureZip::open(path)?;
        Ok(Self {
            name: path.display().to_string(),
            path: path.to_owned(),
            zip,
            classes: Classes::Unread,
        })
    }
}

impl EncodedImages for ZippedImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.zip.len()
    }

    fn place(&self, index: usize) -> PathBuf {
        inside(&self.path, self.zip.image(index))
    }

    fn fetch(&mut self, range: Range<usize>) -> Result<Vec<Fetched>, StatisticsError> {
        let one = |index| match self.zip.bytes(index) {
            Ok(bytes) => Fetched::Bytes(bytes),
            Err(error) => Fetched::Failed(error.into()),
        };
        Ok(range.map(one).collect())
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        self.classes.of(range, || self.zip.classes())
    }

    fn notes(&self) -> Vec<String> {
        let (mut notes, name) = (Vec::new(), &self.name);
        if self.zip.n_others() > 0 {
            let n = self.zip.n_others();
            notes.push(format!("{name}: {n} files that are no images left out"));
        }
        if !self.zip.has_labels() {
            notes.push(format!("{name}: there is no {LABELS}, so it tells no classes"));
        }
        notes
    }
}

/// Parquet files with a column of images.
pub(super) struct TableImages {
    name: String,
    table: PictureTable,
    classes: Classes,
}

impl TableImages {
    pub(super) fn open(path: &Path, found: &ParquetFiles) -> Result<Self, StatisticsError> {
        let table = PictureTable::open(found)?;
        Ok(Self { name: path.display().to_string(), table, classes: Classes::Unread })
    }
}

impl EncodedImages for TableImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.table.len()
    }

    fn place(&self, index: usize) -> PathBuf {
        let (file, row) = self.table.place(index);
        inside(file, &format!("row {row}"))
    }

    fn fetch(&mut self, range: Range<usize>) -> Result<Vec<Fetched>, StatisticsError> {
        let mut images = Vec::with_capacity(range.len());
        for index in range {
            images.push(match self.table.bytes(index)? {
                Some(bytes) => Fetched::Bytes(bytes),
                None => Fetched::Failed(StatisticsError::input(
                    &self.place(index),
                    "it holds no bytes of an image (a path alone is not followed): embed the files, as datasets' push_to_hub does",
                )),
            });
        }
        Ok(images)
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        self.classes.of(range, || self.table.classes())
    }

    fn notes(&self) -> Vec<String> {
        self.table.notes().iter().map(|note| format!("{}: {note}", self.name)).collect()
    }
}

/// Classes of all images, once some have been asked for.
enum Classes {
    Unread,
    Untold,
    Told(Vec<u32>),
}

impl Classes {
    fn of(
        &mut self,
        range: Range<usize>,
        read: impl FnOnce() -> Result<Option<Vec<u32>>, StoreError>,
    ) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        if matches!(self, Self::Unread) {
            *self = read()?.map_or(Self::Untold, Self::Told);
        }
        Ok(match self {
            Self::Told(all) => Some(all[range].iter().copied().map(ClassLabel).collect()),
            Self::Unread | Self::Untold => None,
        })
    }
}

/// A place inside a file, for messages.
fn inside(file: &Path, what: &str) -> PathBuf {
    let mut place = file.as_os_str().to_owned();
    place.push(": ");
    place.push(what);
    place.into()
}

#[cfg(test)]
mod tests;
