//! From what people type to images.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::array_batches::ArrayBatches;
use super::array_images::ArrayImages;
use super::containers::{TableImages, ZippedImages};
use super::decode::FORMATS;
use super::encoded::EncodedImages;
use super::fashion_mnist::{FashionMnist, FashionMnistSplit};
use super::folder::{FolderOptions, ImageFolder};
use super::pictures::Pictures;
use super::source::{Cifar10, Cifar10Split};
use super::transform::Transform;
use super::{ImageSource, StatisticsError};
use crate::config::NAMED_IMAGES;
use crate::model::onnx::environment;
use crate::store::arrays::{Content, content};
use crate::store::parquet_files::ParquetFiles;
use crate::store::picture_zip::PictureZip;

/// What is read, for messages.
const EXPECTED: &str = "a folder of images, a zip of images, a Parquet table with a column of images, an array of images (.npy, or .npz with arr_0, images or data), or a folder of such tables or arrays; @RECIPE:SIZE behind a path resizes its images";

/// Why a pickle is refused, and the way out.
const PICKLE: &str = "is a pickle, which can run programs and is never opened: turn it into an .npz in Python: b = pickle.load(open(NAME, 'rb'), encoding='latin1'); numpy.savez(NAME + '.npz', data=b['data'], labels=b['labels'])";

/// How the images of a data set are read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// List of their classes, for a folder of images.
    pub class_list: Option<PathBuf>,
    /// How many images may be left out because they cannot be read.
    pub skip_unreadable: usize,
    /// Threads that decode; without: those that all computations share.
    pub decode_threads: Option<NonZeroUsize>,
}

/// What lies at a path.
enum Kind {
    Folder,
    Zip,
    Table(ParquetFiles),
    Array,
    Batches(Vec<PathBuf>),
}

/// Opens a data set by name ([`NAMED_IMAGES`]), or by the path of a folder of images, a zip of them, a Parquet table with a column of
/// them, an array of images (u8 `[n, h, w, 3]` or `[n, 3, h, w]`, or rows of planes), or a folder of such tables or arrays.
/// `@RECIPE:SIZE` behind the path brings every image to a size ([`Transform`]). What a file is, its content says.
///
/// # Errors
/// [`StatisticsError::Input`] for a name that is none of these, and the errors of the sources.
pub fn open(dataset: &str) -> Result<Box<dyn ImageSource>, StatisticsError> {
    open_with(dataset, &ReadOptions::default())
}

/// As [`open`], with a list of classes, images that may be left out, and threads of its own.
///
/// # Errors
/// As [`open`]; [`StatisticsError::Input`] for options that mean nothing to what is opened.
pub fn open_with(
    dataset: &str,
    options: &ReadOptions,
) -> Result<Box<dyn ImageSource>, StatisticsError> {
    let (place, transform) = Transform::split(dataset)
        .map_err(|message| StatisticsError::input(Path::new(dataset), message))?;
    if let Some(source) = named(place)? {
        return plain(source, transform, options);
    }
    let path = Path::new(place);
    let images: Box<dyn EncodedImages> = match kind(path)? {
        Kind::Array => return plain(Box::new(ArrayImages::open(path)?), transform, options),
        Kind::Batches(files) => {
            return plain(Box::new(ArrayBatches::open(path, files)?), transform, options);
        }
        Kind::Folder => {
            let folder = FolderOptions {
                class_list: options.class_list.clone(),
                counts_broken: options.skip_unreadable > 0,
            };
            Box::new(ImageFolder::open(path, &folder)?)
        }
        Kind::Zip => Box::new(ZippedImages::open(path)?),
        Kind::Table(files) => Box::new(TableImages::open(path, &files)?),
    };
    if !path.is_dir() && options.class_list.is_some() {
        return Err(means_nothing(path, "--classes"));
    }
    let pictures = Pictures::new(images)
        .transformed(transform)
        .leaving_out(options.skip_unreadable)
        .on_threads(options.decode_threads)?;
    Ok(Box::new(pictures))
}

/// A source of levels, for which there is nothing to decode and no size to change.
fn plain(
    source: Box<dyn ImageSource>,
    transform: Option<Transform>,
    options: &ReadOptions,
) -> Result<Box<dyn ImageSource>, StatisticsError> {
    let path = Path::new(source.name()).to_owned();
    if let Some(transform) = transform {
        let what = format!("@{transform}");
        return Err(means_nothing(&path, &what));
    }
    if options.class_list.is_some() {
        return Err(means_nothing(&path, "--classes"));
    }
    Ok(source)
}

fn means_nothing(path: &Path, what: &str) -> StatisticsError {
    let message = format!(
        "{what} is for files of images of any size, and this is another kind of data set: leave it out"
    );
    StatisticsError::input(path, message)
}

/// Whether a data set is known by this name, and is no path.
pub fn is_named(dataset: &str) -> bool {
    NAMED_IMAGES.contains(&dataset)
}

fn kind(path: &Path) -> Result<Kind, StatisticsError> {
    if path.is_dir() {
        return kind_of_folder(path);
    }
    if !path.is_file() {
        let what = if path.components().count() > 1 || path.extension().is_some() {
            "there is no such file or folder"
        } else {
            "no data set"
        };
        let message = format!("{what}: expected {}, {EXPECTED}", NAMED_IMAGES.join(", "));
        return Err(StatisticsError::input(path, message));
    }
    if is_pickle(&start(path)?) {
        return Err(StatisticsError::input(path, PICKLE));
    }
    match content(path)? {
        Content::Npz if PictureZip::is_one(path)? => Ok(Kind::Zip),
        Content::Npy | Content::Npz => Ok(Kind::Array),
        Content::Parquet => Ok(Kind::Table(ParquetFiles::find(path)?.unwrap_or_default())),
        Content::Other => {
            let message = format!("is no set of images: expected {EXPECTED}");
            Err(StatisticsError::input(path, message))
        }
    }
}

/// What is found on the way through a folder.
#[derive(Default)]
struct Sight {
    seen: BTreeSet<PathBuf>,
    image: bool,
    table: bool,
    arrays: Vec<PathBuf>,
    pickles: Vec<PathBuf>,
}

/// What a folder holds: images, if there is one anywhere; else tables, else arrays.
fn kind_of_folder(folder: &Path) -> Result<Kind, StatisticsError> {
    let mut sight = Sight::default();
    sight.look(folder)?;
    if sight.image {
        return Ok(Kind::Folder);
    }
    if sight.table {
        return Ok(Kind::Table(ParquetFiles::find(folder)?.unwrap_or_default()));
    }
    if let Some(pickle) = sight.pickles.first() {
        return Err(StatisticsError::input(pickle, PICKLE));
    }
    Ok(if sight.arrays.is_empty() { Kind::Folder } else { Kind::Batches(sight.arrays) })
}

impl Sight {
    /// Looks at the first bytes of files until there is an image.
    fn look(&mut self, folder: &Path) -> Result<(), StatisticsError> {
        // A link may lead back to where we come from.
        let real = std::fs::canonicalize(folder).map_err(StatisticsError::io(folder))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(StatisticsError::io(folder))? {
            let entry = entry.map_err(StatisticsError::io(folder))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.look(&path)?;
            } else if let Ok(start) = start(&path) {
                self.file(path, &start);
            }
            if self.image {
                break;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, start: &[u8]) {
        if image::guess_format(start).is_ok_and(|format| FORMATS.contains(&format)) {
            self.image = true;
        } else if start.starts_with(b"PAR1") {
            self.table = true;
        } else if start.starts_with(b"\x93NUMPY") || start.starts_with(b"PK\x03\x04") {
            self.arrays.push(path);
        } else if is_pickle(start) {
            self.pickles.push(path);
        }
    }
}

fn is_pickle(start: &[u8]) -> bool {
    matches!(start, [0x80, 0..=5, ..])
}

/// First bytes of a file.
fn start(path: &Path) -> Result<Vec<u8>, StatisticsError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(StatisticsError::io(path))?;
    file.take(64).read_to_end(&mut start).map_err(StatisticsError::io(path))?;
    Ok(start)
}

fn named(dataset: &str) -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
    let cifar10 = |split| -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
        let folder = environment::cache_root()?.join("cifar10").join("cifar-10-batches-bin");
        Ok(Some(Box::new(Cifar10::open(&folder, split)?)))
    };
    let fashion = |split| -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
        let folder = environment::cache_root()?.join("fashion-mnist");
        Ok(Some(Box::new(FashionMnist::open(&folder, split)?)))
    };
    match dataset {
        "cifar10-train" => cifar10(Cifar10Split::Train),
        "cifar10-test" => cifar10(Cifar10Split::Test),
        "fashion-mnist-train" => fashion(FashionMnistSplit::Train),
        "fashion-mnist-test" => fashion(FashionMnistSplit::Test),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
