//! A folder of image files, with all its subfolders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array4;

use super::decode::{FORMATS, Picture, decode};
use super::{ImageSource, StatisticsError};
use crate::units::ClassLabel;

/// Endings that promise an image.
const ENDINGS: [&str; 18] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp", "dib", "gif", "avif",
    "heic", "heif", "jp2", "j2k", "ppm", "pgm",
];

/// Bytes that tell formats apart.
const START: u64 = 64;

/// All image files of a folder and its subfolders, in the order of their paths. PNG, JPEG, WebP, TIFF and BMP are known by
/// their content. Where all of them lie in two or more subfolders, the place of a subfolder in the order of their names is
/// the class of its images.
#[derive(Debug)]
pub struct ImageFolder {
    name: String,
    files: Vec<PathBuf>,
    /// Classes of the files, where subfolders tell them.
    classes: Option<Vec<ClassLabel>>,
    hidden: usize,
    /// Files that are no images.
    others: Vec<PathBuf>,
    /// Images read so far whose EXIF data ask to turn them.
    turned: BTreeSet<usize>,
    /// Sizes seen so far, height and width.
    sizes: BTreeSet<(u32, u32)>,
}

/// What a file is.
enum Found {
    Image,
    Unknown(String),
    Other,
}

impl ImageFolder {
    /// Lists the images of `folder`.
    ///
    /// Hidden files (`.*`, so also `._*` of macOS) and files that are no images are left out and counted.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when a folder or file cannot be read; [`StatisticsError::Input`] when there is no image, or when
    /// some are of a format that is not read, with their number; [`StatisticsError::Damaged`] for the ending of an image
    /// without its content.
    pub fn open(folder: &Path) -> Result<Self, StatisticsError> {
        let mut new = Self {
            name: folder.display().to_string(),
            files: Vec::new(),
            classes: None,
            hidden: 0,
            others: Vec::new(),
            turned: BTreeSet::new(),
            sizes: BTreeSet::new(),
        };
        let mut unknown = Vec::new();
        new.list(folder, &mut BTreeSet::new(), &mut unknown)?;
        if let Some((path, format)) = unknown.first() {
            let (n, all) = (unknown.len(), unknown.len() + new.files.len());
            let message = format!(
                "is {format}: {n} of {all} images here are of formats that are not read: convert them to PNG"
            );
            return Err(StatisticsError::input(path, message));
        }
        if new.files.is_empty() {
            let message = format!(
                "holds no image (PNG, JPEG, WebP, TIFF, BMP): {} other and {} hidden files in it and its subfolders",
                new.others.len(),
                new.hidden
            );
            return Err(StatisticsError::input(folder, message));
        }
        new.files.sort();
        new.classes = classes(folder, &new.files);
        Ok(new)
    }

    fn list(
        &mut self,
        folder: &Path,
        seen: &mut BTreeSet<PathBuf>,
        unknown: &mut Vec<(PathBuf, String)>,
    ) -> Result<(), StatisticsError> {
        // A link may lead back to where we come from.
        let real = std::fs::canonicalize(folder).map_err(StatisticsError::io(folder))?;
        if !seen.insert(real) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(StatisticsError::io(folder))? {
            let entry = entry.map_err(StatisticsError::io(folder))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                self.hidden += 1;
            } else if std::fs::metadata(&path).map_err(StatisticsError::io(&path))?.is_dir() {
                self.list(&path, seen, unknown)?;
            } else {
                match look(&path)? {
                    Found::Image => self.files.push(path),
                    Found::Unknown(format) => unknown.push((path, format)),
                    Found::Other => self.others.push(path),
                }
            }
        }
        Ok(())
    }

    fn decode(&mut self, index: usize) -> Result<Picture, StatisticsError> {
        let picture = decode(&self.files[index])?;
        self.sizes.insert((picture.pixels.height(), picture.pixels.width()));
        if picture.turned {
            self.turned.insert(index);
        }
        Ok(picture)
    }
}

impl ImageSource for ImageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let file = range.start;
        let mut runs = self.read_runs(range)?;
        if runs.len() > 1 || self.sizes.len() > 1 {
            let sizes: Vec<String> = self.sizes.iter().map(|(h, w)| format!("{h} x {w}")).collect();
            let message = format!("images of {}: here all must have one size", sizes.join(", "));
            return Err(StatisticsError::input(&self.files[file], message));
        }
        Ok(runs.pop().unwrap_or_else(|| Array4::zeros((0, 3, 0, 0))))
    }

    fn read_runs(&mut self, range: Range<usize>) -> Result<Vec<Array4<u8>>, StatisticsError> {
        let mut runs: Vec<Run> = Vec::new();
        for index in range {
            let picture = self.decode(index)?;
            let size = picture.pixels.dimensions();
            if runs.last().is_none_or(|run| run.size != size) {
                runs.push(Run { size, levels: Vec::new() });
            }
            if let Some(run) = runs.last_mut() {
                run.push(&picture);
            }
        }
        let path = Path::new(&self.name);
        runs.into_iter()
            .map(|run| run.images().map_err(|e| StatisticsError::input(path, e.to_string())))
            .collect()
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        Ok(self.classes.as_ref().map(|classes| classes[range].to_vec()))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.hidden > 0 {
            notes.push(format!("{}: {} hidden files left out", self.name, self.hidden));
        }
        if let Some(first) = self.others.first() {
            let (n, first) = (self.others.len(), first.display());
            notes.push(format!(
                "{}: {n} files that are no images left out (such as {first})",
                self.name
            ));
        }
        if !self.turned.is_empty() {
            let n = self.turned.len();
            notes.push(format!(
                "{}: {n} images have an EXIF orientation, which is not applied (as in Pillow's loader)",
                self.name
            ));
        }
        if self.sizes.len() > 1 {
            notes.push(format!(
                "{}: images of {} sizes, each resized by itself",
                self.name,
                self.sizes.len()
            ));
        }
        notes
    }
}

/// Classes of files by the subfolder that they lie in, at whatever depth; `None` where one lies in none, or all in one.
fn classes(folder: &Path, files: &[PathBuf]) -> Option<Vec<ClassLabel>> {
    let class = |file: &PathBuf| {
        let mut parts = file.strip_prefix(folder).ok()?.components();
        let first = parts.next()?;
        parts.next().map(|_| first.as_os_str().to_owned())
    };
    let of_files: Vec<_> = files.iter().map(class).collect::<Option<_>>()?;
    let names: BTreeSet<_> = of_files.iter().collect();
    let places: BTreeMap<_, u32> = names.into_iter().zip(0..).collect();
    (places.len() > 1).then(|| of_files.iter().map(|name| ClassLabel(places[name])).collect())
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

/// Images of one size, `[n, 3, h, w]`.
struct Run {
    /// Width and height.
    size: (u32, u32),
    levels: Vec<u8>,
}

impl Run {
    fn push(&mut self, picture: &Picture) {
        for channel in 0..3 {
            self.levels.extend(picture.pixels.pixels().map(|pixel| pixel.0[channel]));
        }
    }

    fn images(self) -> Result<Array4<u8>, ndarray::ShapeError> {
        let (w, h) = (self.size.0 as usize, self.size.1 as usize);
        let n = self.levels.len() / (3 * h * w).max(1);
        Array4::from_shape_vec((n, 3, h, w), self.levels)
    }
}

#[cfg(test)]
mod tests;
