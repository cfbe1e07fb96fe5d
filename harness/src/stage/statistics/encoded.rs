//! Where encoded images come from: files of a folder, entries of a zip, rows of a table.

use std::ops::Range;
use std::path::PathBuf;

use super::StatisticsError;
use crate::units::ClassLabel;

/// Encoded images in a fixed order. They are decoded elsewhere, on several threads.
pub(super) trait EncodedImages: Send {
    /// Name for the provenance.
    fn name(&self) -> &str;

    /// Number of images.
    fn len(&self) -> usize;

    /// What messages call image `index`; where it is a file of its own, its path.
    fn place(&self, index: usize) -> PathBuf;

    /// The images `range`.
    ///
    /// # Errors
    /// [`StatisticsError`] where not one image but the set cannot be read.
    fn fetch(&mut self, range: Range<usize>) -> Result<Vec<Fetched>, StatisticsError>;

    /// Classes of the images `range`, where the set tells them.
    ///
    /// # Errors
    /// [`StatisticsError::Input`] for classes that are none.
    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError>;

    /// What a reader of the result should know.
    fn notes(&self) -> Vec<String>;

    /// Whether runs of one size may be of any length, which digests of early versions go by.
    fn has_long_runs(&self) -> bool {
        false
    }
}

/// One encoded image.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The file of this path.
    File,
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It cannot be read: why.
    Failed(StatisticsError),
}
