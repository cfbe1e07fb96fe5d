//! Zips of encoded images, as the data set tools of EDM and `StyleGAN` write them: PNG files, and their classes in
//! `dataset.json` as `{"labels": [["00000/img00000000.png", 6], ...]}`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zip::ZipArchive;
use zip::result::ZipError;

use super::StoreError;
use super::npz::Npz;
use super::trouble::Trouble;

/// The entry that says the classes.
pub(crate) const LABELS: &str = "dataset.json";

/// Endings of entries that are images.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];

/// Deflate packs at most 1032 bytes into one.
const MAX_RATIO: u64 = 1032;

/// An open zip of images.
pub(crate) struct PictureZip {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// Places of the images in the archive, in the order of their names.
    images: Vec<usize>,
    n_others: usize,
}

impl PictureZip {
    /// Opens an archive and lists its images.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Broken`] for a list of contents that cannot be read, [`StoreError::Input`] for an
    /// archive without an image.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::read(path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| match error {
            ZipError::Io(error) => Trouble::from(error).at(path),
            error => {
                Trouble::Damaged(format!("its list of files cannot be read: {error}")).at(path)
            }
        })?;
        let mut named: Vec<(&str, usize)> = archive
            .file_names()
            .filter(|name| is_image(name))
            .filter_map(|name| Some((name, archive.index_for_name(name)?)))
            .collect();
        named.sort_unstable();
        let images: Vec<usize> = named.into_iter().map(|(_, place)| place).collect();
        if images.is_empty() {
            let message = format!(
                "it is a zip of {} files, none of which is an image (PNG, JPEG, WebP, TIFF, BMP) or an array (.npy): give a zip of images, or unpack it",
                archive.len()
            );
            return Err(StoreError::input(path, message));
        }
        let directories = archive.file_names().filter(|name| name.ends_with('/')).count();
        let has_labels = usize::from(archive.index_for_name(LABELS).is_some());
        let n_others = archive.len() - images.len() - directories - has_labels;
        Ok(Self { path: path.to_owned(), archive, images, n_others })
    }

    /// Whether a zip holds images and no arrays.
    ///
    /// # Errors
    /// As [`Npz::open`]: damage, and a pickle inside.
    pub(crate) fn is_one(path: &Path) -> Result<bool, StoreError> {
        let names = Npz::open(path)?.file_names();
        let is_array = |name: &String| Path::new(name).extension().is_some_and(|end| end == "npy");
        Ok(names.iter().any(|name| is_image(name)) && !names.iter().any(is_array))
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// Files that are no images.
    pub(crate) fn n_others(&self) -> usize {
        self.n_others
    }

    /// Name of an image.
    pub(crate) fn image(&self, index: usize) -> &str {
        self.archive.name_for_index(self.images[index]).unwrap_or_default()
    }

    /// Bytes of an image, held against its check sum.
    pub(crate) fn bytes(&mut self, index: usize) -> Result<Vec<u8>, StoreError> {
        let name = self.image(index).to_owned();
        self.entry(self.images[index]).map_err(|trouble| trouble.of(&name).at(&self.path))
    }

    /// Whether a `dataset.json` lies inside.
    pub(crate) fn has_labels(&self) -> bool {
        self.archive.index_for_name(LABELS).is_some()
    }

    /// Class of every image, by `dataset.json`; `None` where that says `"labels": null`.
    ///
    /// # Errors
    /// [`StoreError::Input`] for a file that is something else, for images that it does not name, and for classes that are no
    /// whole numbers of 0 or more.
    pub(crate) fn classes(&mut self) -> Result<Option<Vec<u32>>, StoreError> {
        let path = self.path.clone();
        let refuse = |message: String| StoreError::input(&path, format!("{LABELS}: {message}"));
        let expected = r#"expected {"labels": [["NAME.png", 6], ...]}"#;
        let Some(place) = self.archive.index_for_name(LABELS) else {
            return Err(refuse("there is none, so the zip tells no classes".to_owned()));
        };
        let bytes = self.entry(place).map_err(|trouble| trouble.of(LABELS).at(&self.path))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| refuse(format!("{error}: {expected}")))?;
        let labels = match value.get("labels") {
            Some(Value::Null) => return Ok(None),
            Some(Value::Array(labels)) => labels,
            _ => return Err(refuse(format!("it has no list of labels: {expected}"))),
        };
        let mut by_name = BTreeMap::new();
        for label in labels {
            let entry = label[0].as_str().zip(label[1].as_u64());
            let fits = entry.and_then(|(name, class)| Some((name, u32::try_from(class).ok()?)));
            let Some((name, class)) = fits else {
                return Err(refuse(format!("{label} is no image and its class: {expected}")));
            };
            by_name.insert(name, class);
        }
        let class = |index| {
            let name = self.image(index);
            by_name
                .get(name)
                .copied()
                .ok_or_else(|| refuse(format!("it names {} images, and not {name}", by_name.len())))
        };
        (0..self.len()).map(class).collect::<Result<_, _>>().map(Some)
    }

    fn entry(&mut self, place: usize) -> Result<Vec<u8>, Trouble> {
        let mut entry = self.archive.by_index(place).map_err(|error| match error {
            ZipError::Io(error) => Trouble::from(error),
            ZipError::UnsupportedArchive(why) => {
                Trouble::Other(format!("{why}: write the zip stored or deflated"))
            }
            error => Trouble::Damaged(error.to_string()),
        })?;
        let most = entry.compressed_size().saturating_mul(MAX_RATIO).saturating_add(1);
        let mut bytes = Vec::new();
        (&mut entry).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn is_image(name: &str) -> bool {
    let path = Path::new(name);
    let hidden =
        path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(['.', '_']));
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    !hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
