//! Images in one array, a block at a time: the sample files of guided-diffusion hold gigabytes in one.

mod axes;
mod packing;
#[cfg(test)]
mod tests;
mod whole;

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array4;

use super::{ImageSource, StatisticsError};
use crate::store::arrays::{Content, content};
use crate::store::npy::Header;
use crate::store::npz::Npz;
use crate::store::picture_zip::PictureZip;
use crate::store::trouble::Trouble;
use crate::units::ClassLabel;
use axes::{Layout, image_axes, planes};
use packing::Packing;
use whole::whole;

/// Names of the array that holds the images of an `.npz`: the first that there is.
pub const KEYS: [&str; 3] = ["arr_0", "images", BATCH_KEY];

/// The images of downsampled `ImageNet`: rows of a red, a green and a blue plane, `[n, 3 s s]`, whose classes count from 1.
const BATCH_KEY: &str = "data";

/// Names of the array that holds their classes: a plain one, and that of the sample files of guided-diffusion.
const CLASS_KEYS: [&str; 2] = ["labels", "arr_1"];

/// The images of an `.npy`, or `arr_0` or `images` of an `.npz`, u8 `[n, h, w, 3]` or `[n, 3, h, w]`, or `data` `[n, 3 s s]` of a
/// batch of downsampled `ImageNet`, read from the file as they are asked for. From a compressed array they come fastest in
/// order.
pub struct ArrayImages {
    name: String,
    path: PathBuf,
    /// Where the array lies.
    start: u64,
    packing: Packing,
    /// Bytes of the header.
    header: u64,
    /// `n, h, w`.
    shape: [usize; 3],
    layout: Layout,
    /// Number that stands for the first class in the file.
    first_class: u32,
    /// Classes, once they have been asked for.
    classes: Option<Vec<ClassLabel>>,
    /// Whether statistics of a whole data set stand beside the images.
    has_moments: bool,
}

impl std::fmt::Debug for ArrayImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrayImages")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// An array of images in a file.
struct Found {
    start: u64,
    packing: Packing,
    header: Header,
    first_class: u32,
    has_moments: bool,
}

impl Found {
    fn open(path: &Path) -> Result<Self, StatisticsError> {
        let file = || File::open(path).map_err(StatisticsError::io(path));
        if content(path)? != Content::Npz {
            let file = file()?;
            let size = file.metadata().map_err(StatisticsError::io(path))?.len();
            let header = Header::read(&mut BufReader::new(&file), size);
            let header = header.map_err(|trouble| trouble.at(path))?;
            let packing = Packing::Stored(file);
            return Ok(Self { start: 0, packing, header, first_class: 0, has_moments: false });
        }
        let mut npz = Npz::open(path)?;
        let key = KEYS.into_iter().find(|key| npz.has(key)).unwrap_or(KEYS[0]);
        let mut entry = npz.entry(key)?;
        if key == BATCH_KEY {
            planes(&mut entry.header, BATCH_KEY)
                .map_err(|why| StatisticsError::input(path, why))?;
        }
        let packing =
            if entry.deflated { Packing::deflated(entry.packed) } else { Packing::Stored(file()?) };
        Ok(Self {
            start: entry.start,
            packing,
            header: entry.header,
            first_class: u32::from(key == BATCH_KEY),
            has_moments: npz.has("mu") && npz.has("sigma"),
        })
    }
}

impl ArrayImages {
    /// Opens the file and reads the header of the array.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when there is no file, [`StatisticsError::Input`] when it holds no such array,
    /// [`StatisticsError::Damaged`] when it is cut short.
    pub fn open(path: &Path) -> Result<Self, StatisticsError> {
        let Found { start, packing, header, first_class, has_moments } = Found::open(path)?;
        let (shape, layout) = image_axes(&header).map_err(|why| {
            StatisticsError::input(path, format!("the array is {}: {why}", header.describe()))
        })?;
        let (name, path) = (path.display().to_string(), path.to_owned());
        let (header, classes) = (header.length, None);
        Ok(Self {
            name,
            path,
            start,
            packing,
            header,
            shape,
            layout,
            first_class,
            classes,
            has_moments,
        })
    }

    /// Height and width of its images.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.shape[1], self.shape[2]]
    }

    /// Classes of all images; `None` of an `.npy`, and of an `.npz` that has none.
    fn all_classes(&self) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        if content(&self.path)? != Content::Npz {
            return Ok(None);
        }
        let mut npz = Npz::open(&self.path)?;
        let Some(key) = CLASS_KEYS.into_iter().find(|key| npz.has(key)) else { return Ok(None) };
        let (header, numbers) = npz.read(key)?;
        let n = self.shape[0];
        let classes = (header.shape == [n]).then(|| whole(&numbers)).flatten();
        let from_0 = |class: ClassLabel| class.0.checked_sub(self.first_class).map(ClassLabel);
        let classes = classes.and_then(|all| all.into_iter().map(from_0).collect());
        classes.map(Some).ok_or_else(|| {
            let message = format!(
                "{key} is {}: expected the classes of its images, whole numbers [{n}] from {} on: save it with .astype('int64')",
                header.describe(),
                self.first_class
            );
            StatisticsError::input(&self.path, message)
        })
    }
}

impl ImageSource for ArrayImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.shape[0]
    }

    fn image_size(&self) -> Option<[u64; 2]> {
        Some(self.size().map(|side| side as u64))
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let [_, h, w] = self.shape;
        let image = h * w * 3;
        let mut bytes = vec![0; range.len() * image];
        let offset = self.header + (range.start * image) as u64;
        let read = self.packing.read(&self.path, self.start, (offset, &mut bytes));
        read.map_err(|error| Trouble::from(error).at(&self.path))?;
        let images = self.layout.channels_first(bytes, [range.len(), h, w]);
        images.map_err(|error| StatisticsError::input(&self.path, error.to_string()))
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        if self.classes.is_none() {
            self.classes = self.all_classes()?;
        }
        Ok(self.classes.as_ref().map(|classes| classes[range].to_vec()))
    }

    fn notes(&self) -> Vec<String> {
        let note = || {
            format!(
                "{}: statistics (mu, sigma) of a whole data set stand beside these {} images: `dubench import-stats` takes them",
                self.name, self.shape[0]
            )
        };
        self.has_moments.then(note).into_iter().collect()
    }
}

/// Whether a file is meant as images: levels of 8 bits with axes, or a zip of encoded ones.
///
/// # Errors
/// [`StatisticsError`] when the file cannot be read or is a pickle.
pub fn is_images(path: &Path) -> Result<bool, StatisticsError> {
    let header = match content(path)? {
        Content::Npz if PictureZip::is_one(path)? => return Ok(true),
        Content::Npy => {
            let file = File::open(path).map_err(StatisticsError::io(path))?;
            let size = file.metadata().map_err(StatisticsError::io(path))?.len();
            Header::read(&mut BufReader::new(file), size).map_err(|trouble| trouble.at(path))?
        }
        Content::Npz => {
            let mut npz = Npz::open(path)?;
            let Some(key) = KEYS.into_iter().find(|key| npz.has(key)) else { return Ok(false) };
            let header = npz.entry(key)?.header;
            return Ok(header.dtype.is_u8() && (header.shape.len() > 2 || key == BATCH_KEY));
        }
        Content::Parquet | Content::Other => return Ok(false),
    };
    Ok(header.dtype.is_u8() && header.shape.len() > 2)
}
