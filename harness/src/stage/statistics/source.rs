//! Where images come from, in a fixed order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, s};

use super::StatisticsError;

/// Images in a fixed order.
pub trait ImageSource: Send {
    /// Name for the provenance: `cifar10-train`, or the path of a folder or file.
    fn name(&self) -> &str;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Images `range`, u8 `[b, 3, h, w]`.
    ///
    /// # Errors
    /// [`StatisticsError`] when a file cannot be read or is not an image set.
    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError>;
}

/// Images of one CIFAR-10 file.
const CIFAR10_IMAGES: usize = 10_000;
/// One label byte, then the red, green and blue plane of 32 x 32.
const CIFAR10_RECORD: usize = 1 + 3 * 32 * 32;

/// Part of CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar10Split {
    /// 50,000 images: `data_batch_1.bin` .. `data_batch_5.bin`.
    Train,
    /// 10,000 images: `test_batch.bin`.
    Test,
}

/// CIFAR-10 in its binary version, in file order.
#[derive(Debug)]
pub struct Cifar10 {
    split: Cifar10Split,
    files: Vec<PathBuf>,
}

impl Cifar10 {
    /// Opens the folder `cifar-10-batches-bin`.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when a file is missing, [`StatisticsError::Input`] when it does not
    /// have 10,000 records.
    pub fn open(folder: &Path, split: Cifar10Split) -> Result<Self, StatisticsError> {
        let names: Vec<String> = match split {
            Cifar10Split::Train => (1..=5).map(|k| format!("data_batch_{k}.bin")).collect(),
            Cifar10Split::Test => vec!["test_batch.bin".to_owned()],
        };
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        for file in &files {
            let bytes = std::fs::metadata(file).map_err(StatisticsError::io(file))?.len();
            let expected = (CIFAR10_IMAGES * CIFAR10_RECORD) as u64;
            if bytes != expected {
                let message = format!("has {bytes} bytes, expected {expected}: run `just setup`");
                return Err(StatisticsError::input(file, message));
            }
        }
        Ok(Self { split, files })
    }
}

impl ImageSource for Cifar10 {
    fn name(&self) -> &str {
        match self.split {
            Cifar10Split::Train => "cifar10-train",
            Cifar10Split::Test => "cifar10-test",
        }
    }

    fn len(&self) -> usize {
        self.files.len() * CIFAR10_IMAGES
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let mut images = Array4::zeros((range.len(), 3, 32, 32));
        let mut next = range.start;
        while next < range.end {
            let (file, first) = (&self.files[next / CIFAR10_IMAGES], next % CIFAR10_IMAGES);
            let n = (range.end - next).min(CIFAR10_IMAGES - first);
            let records = read_records(file, first, n).map_err(StatisticsError::io(file))?;
            for (index, record) in records.chunks_exact(CIFAR10_RECORD).enumerate() {
                let mut image = images.slice_mut(s![next - range.start + index, .., .., ..]);
                image.iter_mut().zip(&record[1..]).for_each(|(pixel, byte)| *pixel = *byte);
            }
            next += n;
        }
        Ok(images)
    }
}

fn read_records(file: &Path, first: usize, n: usize) -> std::io::Result<Vec<u8>> {
    let mut handle = File::open(file)?;
    handle.seek(SeekFrom::Start((first * CIFAR10_RECORD) as u64))?;
    let mut records = vec![0; n * CIFAR10_RECORD];
    handle.read_exact(&mut records)?;
    Ok(records)
}

/// A folder of PNG images of one size, in the order of their names.
#[derive(Debug)]
pub struct PngFolder {
    name: String,
    files: Vec<PathBuf>,
    size: (usize, usize),
}

impl PngFolder {
    /// Lists the `.png` files of `folder`; the first fixes the size.
    ///
    /// Why PNG alone? JPEG decoders differ by several grey levels, so a distance over JPEG files
    /// depends on the program that read them.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when the folder cannot be read, [`StatisticsError::Input`] when it
    /// holds no PNG or the first is none.
    pub fn open(folder: &Path) -> Result<Self, StatisticsError> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(StatisticsError::io(folder))? {
            let path = entry.map_err(StatisticsError::io(folder))?.path();
            if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
                files.push(path);
            }
        }
        files.sort();
        let Some(first) = files.first() else {
            return Err(StatisticsError::input(
                folder,
                "holds no .png file: give a folder of PNGs",
            ));
        };
        let size = read_png(first)?.dimensions();
        let size = (size.1 as usize, size.0 as usize);
        Ok(Self { name: folder.display().to_string(), files, size })
    }
}

impl ImageSource for PngFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let (h, w) = self.size;
        let mut images = Array4::zeros((range.len(), 3, h, w));
        for (mut image, file) in images.outer_iter_mut().zip(&self.files[range]) {
            let pixels = read_png(file)?;
            if (pixels.height() as usize, pixels.width() as usize) != (h, w) {
                let message = format!(
                    "is {} x {}, the first image is {h} x {w}: images of a set have one size",
                    pixels.height(),
                    pixels.width()
                );
                return Err(StatisticsError::input(file, message));
            }
            for (x, y, pixel) in pixels.enumerate_pixels() {
                for channel in 0..3 {
                    image[[channel, y as usize, x as usize]] = pixel.0[channel];
                }
            }
        }
        Ok(images)
    }
}

fn read_png(path: &Path) -> Result<image::RgbImage, StatisticsError> {
    let bytes = std::fs::read(path).map_err(StatisticsError::io(path))?;
    image::load_from_memory_with_format(&bytes, image::ImageFormat::Png)
        .map(|image| image.to_rgb8())
        .map_err(|error| StatisticsError::input(path, error.to_string()))
}
