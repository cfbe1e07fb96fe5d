//! A folder of image files, with all its subfolders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::StatisticsError;
use super::class_list::{ClassList, FILE};
use super::decode::FORMATS;
use super::encoded::{EncodedImages, Fetched};
use crate::units::ClassLabel;

/// Endings that promise an image.
const ENDINGS: [&str; 18] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp", "dib", "gif", "avif",
    "heic", "heif", "jp2", "j2k", "ppm", "pgm",
];

/// Bytes that tell formats apart.
const START: u64 = 64;

/// All image files of a folder and its subfolders, in the order of their paths. PNG, JPEG, WebP, TIFF and BMP are known by
/// their content. A list in the folder (`classes.txt`), or one that is named, says their classes; without one, where all of
/// them lie in two or more subfolders, the place of a subfolder in the order of their names is the class of its images.
#[derive(Debug)]
pub struct ImageFolder {
    name: String,
    folder: PathBuf,
    /// Below the folder: what grows with the number of images.
    files: Vec<PathBuf>,
    /// Classes of the files, where subfolders or a list tell them.
    classes: Option<Vec<ClassLabel>>,
    /// Subfolders beside those that are classes, without an image.
    empty: Vec<String>,
    hidden: usize,
    /// Files that are no images, and one of them.
    n_others: usize,
    others: Option<PathBuf>,
}

/// What to expect of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct FolderOptions {
    /// What says the classes.
    pub(super) class_list: Option<PathBuf>,
    /// Whether files without an image's content wait until they are read, where they are counted.
    pub(super) counts_broken: bool,
}

/// What a file is.
enum Found {
    Image,
    Unknown(String),
    Other,
}

/// What is gathered on the way through a folder.
#[derive(Default)]
struct Listing {
    seen: BTreeSet<PathBuf>,
    unknown: Vec<(PathBuf, String)>,
    /// Subfolders of the first level.
    top: BTreeSet<String>,
    counts_broken: bool,
}

impl ImageFolder {
    /// Lists the images of `folder`.
    ///
    /// Hidden files (`.*`, so also `._*` of macOS) and files that are no images are left out and counted.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when a folder or file cannot be read; [`StatisticsError::Input`] when there is no image, when
    /// some are of a format that is not read, with their number, or when the list of classes is of other images;
    /// [`StatisticsError::Damaged`] for the ending of an image without its content.
    pub(super) fn open(folder: &Path, options: &FolderOptions) -> Result<Self, StatisticsError> {
        let mut new = Self {
            name: folder.display().to_string(),
            folder: folder.to_owned(),
            files: Vec::new(),
            classes: None,
            empty: Vec::new(),
            hidden: 0,
            n_others: 0,
            others: None,
        };
        let mut listing = Listing { counts_broken: options.counts_broken, ..Listing::default() };
        new.list(Path::new(""), &mut listing)?;
        if let Some((path, format)) = listing.unknown.first() {
            let (n, all) = (listing.unknown.len(), listing.unknown.len() + new.files.len());
            let message = format!(
                "is {format}: {n} of {all} images here are of formats that are not read: convert them to PNG"
            );
            return Err(StatisticsError::input(path, message));
        }
        if new.files.is_empty() {
            let message = format!(
                "holds no image (PNG, JPEG, WebP, TIFF, BMP): {} other and {} hidden files in it and its subfolders",
                new.n_others, new.hidden
            );
            return Err(StatisticsError::input(folder, message));
        }
        new.files.sort();
        if let Some(list) = ClassList::beside(folder, options.class_list.as_deref())? {
            new.classes = Some(list.classes(folder, &new.files)?);
        } else {
            (new.classes, new.empty) = by_subfolder(&new.files, listing.top);
        }
        Ok(new)
    }

    /// Lists what lies in `below`, a path below the folder.
    fn list(&mut self, below: &Path, listing: &mut Listing) -> Result<(), StatisticsError> {
        let folder = self.folder.join(below);
        // A link may lead back to where we come from.
        let real = std::fs::canonicalize(&folder).map_err(StatisticsError::io(&folder))?;
        if !listing.seen.insert(real) {
            return Ok(());
        }
        for entry in std::fs::read_dir(&folder).map_err(StatisticsError::io(&folder))? {
            let entry = entry.map_err(StatisticsError::io(&folder))?;
            let (path, name) = (entry.path(), entry.file_name());
            if name.to_string_lossy().starts_with('.') {
                self.hidden += 1;
            } else if std::fs::metadata(&path).map_err(StatisticsError::io(&path))?.is_dir() {
                if below.as_os_str().is_empty() {
                    listing.top.insert(name.to_string_lossy().into_owned());
                }
                self.list(&below.join(name), listing)?;
            } else {
                match look(&path) {
                    Ok(Found::Image) => self.files.push(below.join(name)),
                    Ok(Found::Unknown(format)) => listing.unknown.push((path, format)),
                    Ok(Found::Other) => {
                        self.n_others += 1;
                        self.others.get_or_insert(path);
                    }
                    Err(_) if listing.counts_broken => self.files.push(below.join(name)),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl EncodedImages for ImageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn place(&self, index: usize) -> PathBuf {
        self.folder.join(&self.files[index])
    }

    fn fetch(&mut self, range: Range<usize>) -> Result<Vec<Fetched>, StatisticsError> {
        Ok(range.map(|_| Fetched::File).collect())
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        if let (Some(_), Some(empty)) = (&self.classes, self.empty.first()) {
            let message = format!(
                "{} subfolders hold no image, {empty} first, so classes would be numbered without them: complete the copy, move them elsewhere, or say the classes by a list ({FILE} in the folder, or --classes)",
                self.empty.len()
            );
            return Err(StatisticsError::input(&self.folder, message));
        }
        Ok(self.classes.as_ref().map(|classes| classes[range].to_vec()))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.hidden > 0 {
            notes.push(format!("{}: {} hidden files left out", self.name, self.hidden));
        }
        if let Some(first) = &self.others {
            let (n, first) = (self.n_others, first.display());
            notes.push(format!(
                "{}: {n} files that are no images left out (such as {first})",
                self.name
            ));
        }
        if let Some(first) = self.empty.first() {
            let n = self.empty.len();
            notes.push(format!("{}: {n} subfolders hold no image (such as {first})", self.name));
        }
        notes
    }

    fn has_long_runs(&self) -> bool {
        true
    }
}

/// Classes of files by the subfolder that they lie in, at whatever depth; `None` where one lies in none, or all in one.
/// Beside them the names of `top`, all subfolders, that hold no image.
fn by_subfolder(
    files: &[PathBuf],
    top: BTreeSet<String>,
) -> (Option<Vec<ClassLabel>>, Vec<String>) {
    let class = |file: &PathBuf| {
        let mut parts = file.components();
        let first = parts.next()?;
        parts.next().map(|_| first.as_os_str().to_owned())
    };
    let Some(of_files) = files.iter().map(class).collect::<Option<Vec<_>>>() else {
        return (None, Vec::new());
    };
    let names: BTreeSet<_> = of_files.iter().collect();
    let places: BTreeMap<_, u32> = names.into_iter().zip(0..).collect();
    if places.len() < 2 {
        return (None, Vec::new());
    }
    let full: BTreeSet<String> =
        places.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    let classes = of_files.iter().map(|name| ClassLabel(places[name])).collect();
    (Some(classes), top.into_iter().filter(|name| !full.contains(name)).collect())
}

/// Looks at the first bytes of a file.
fn look(path: &Path) -> Result<Found, StatisticsError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(StatisticsError::io(path))?;
    file.take(START).read_to_end(&mut start).map_err(StatisticsError::io(path))?;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let promised = ending.filter(|ending| ENDINGS.contains(&ending.as_str()));
    Ok(match (image::guess_format(&start), promised) {
        (Ok(format), _) if FORMATS.contains(&format) => Found::Image,
        (Ok(format), Some(_)) => Found::Unknown(format!("{format:?}").to_uppercase()),
        (Err(_), Some(ending)) if start.is_empty() || !is_container(&start) => {
            let message = format!(
                "has the name of an image (.{ending}) and no image's content: copy or write it again"
            );
            return Err(StatisticsError::damaged(path, message));
        }
        (Err(_), Some(ending)) => Found::Unknown(ending.to_uppercase()),
        _ => Found::Other,
    })
}

/// ISO media and JPEG 2000 boxes, in which HEIC, AVIF and JP2 come.
fn is_container(start: &[u8]) -> bool {
    start.get(4..8).is_some_and(|kind| kind == b"ftyp" || kind == b"jP  ")
        || start.starts_with(&[0xFF, 0x4F, 0xFF, 0x51])
}

#[cfg(test)]
mod tests;
