//! Where images come from, in a fixed order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, s};

use super::StatisticsError;
use super::transform::Transform;
use crate::store::statistics::Images;
use crate::units::{ClassLabel, SampleId};

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

    /// Images `range` where sizes may differ: runs of images of one size that follow each other.
    ///
    /// # Errors
    /// As [`ImageSource::read`].
    fn read_runs(&mut self, range: Range<usize>) -> Result<Vec<Array4<u8>>, StatisticsError> {
        Ok(vec![self.read(range)?])
    }

    /// Classes of the images `range`, where the set tells them.
    ///
    /// # Errors
    /// As [`ImageSource::read`].
    fn classes(
        &mut self,
        _range: Range<usize>,
    ) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        Ok(None)
    }

    /// Longest run that [`ImageSource::read_runs`] gives and the digest of the images goes by; `None`: as long as the size stays.
    fn run_limit(&self) -> Option<usize> {
        None
    }

    /// What every image has gone through.
    fn transform(&self) -> Option<Transform> {
        None
    }

    /// Images that were left out because they cannot be read, and why. Complete when all images were read.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }

    /// Height and width of all images read so far, where they have one size.
    fn image_size(&self) -> Option<[u64; 2]> {
        None
    }

    /// What statistics of these images say of them. Complete when all images were read.
    fn described(&self) -> Images {
        let transform = self.transform().map(|transform| transform.to_string());
        Images { size: self.image_size(), transform, origin: None, left_out: self.left_out() }
    }

    /// What a reader of the result should know: files left out, orientations not applied. Complete when all images were
    /// read.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Some images, u8 `[n, 3, h, w]`, in the order asked for.
///
/// # Errors
/// Those of the source, and [`StatisticsError::Input`] where their sizes differ.
pub fn chosen(
    source: &mut dyn ImageSource,
    samples: &[SampleId],
) -> Result<Array4<u8>, StatisticsError> {
    let mut images: Option<Array4<u8>> = None;
    for (at, sample) in samples.iter().enumerate() {
        let place = usize::try_from(sample.0).unwrap_or(usize::MAX);
        let image = source.read(place..place.saturating_add(1))?;
        let (_, c, h, w) = image.dim();
        let all = images.get_or_insert_with(|| Array4::zeros((samples.len(), c, h, w)));
        if all.shape()[1..] != image.shape()[1..] {
            let (first, this) = (&all.shape()[1..], &image.shape()[1..]);
            let message = format!(
                "image {sample} is {this:?}, the first one of the set {first:?}: give images of one size"
            );
            return Err(StatisticsError::input(Path::new(source.name()), message));
        }
        all.slice_mut(s![at..=at, .., .., ..]).assign(&image);
    }
    Ok(images.unwrap_or_else(|| Array4::zeros((0, 3, 0, 0))))
}

const REMEDY: &str = "run `dubench setup --only cifar10`";
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
    /// [`StatisticsError::Input`] when a file is missing or does not have 10,000 records.
    pub fn open(folder: &Path, split: Cifar10Split) -> Result<Self, StatisticsError> {
        let names: Vec<String> = match split {
            Cifar10Split::Train => (1..=5).map(|k| format!("data_batch_{k}.bin")).collect(),
            Cifar10Split::Test => vec!["test_batch.bin".to_owned()],
        };
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        for file in &files {
            let metadata = std::fs::metadata(file).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    StatisticsError::input(file, format!("is missing: {REMEDY}"))
                }
                _ => StatisticsError::io(file)(error),
            })?;
            let (bytes, expected) = (metadata.len(), (CIFAR10_IMAGES * CIFAR10_RECORD) as u64);
            if bytes != expected {
                let message = format!("has {bytes} bytes, expected {expected}: {REMEDY}");
                return Err(StatisticsError::input(file, message));
            }
        }
        Ok(Self { split, files })
    }

    /// Calls `see` with the place in `range` and the record of each of its images.
    fn records(
        &self,
        range: Range<usize>,
        mut see: impl FnMut(usize, &[u8]),
    ) -> Result<(), StatisticsError> {
        let mut next = range.start;
        while next < range.end {
            let (file, first) = (&self.files[next / CIFAR10_IMAGES], next % CIFAR10_IMAGES);
            let n = (range.end - next).min(CIFAR10_IMAGES - first);
            let records = read_records(file, first, n).map_err(StatisticsError::io(file))?;
            for (index, record) in records.chunks_exact(CIFAR10_RECORD).enumerate() {
                see(next - range.start + index, record);
            }
            next += n;
        }
        Ok(())
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

    fn image_size(&self) -> Option<[u64; 2]> {
        Some([32, 32])
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let mut images = Array4::zeros((range.len(), 3, 32, 32));
        self.records(range, |index, record| {
            let mut image = images.slice_mut(s![index, .., .., ..]);
            image.iter_mut().zip(&record[1..]).for_each(|(pixel, byte)| *pixel = *byte);
        })?;
        Ok(images)
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        let mut classes = Vec::with_capacity(range.len());
        self.records(range, |_, record| classes.push(ClassLabel(u32::from(record[0]))))?;
        Ok(Some(classes))
    }
}

fn read_records(file: &Path, first: usize, n: usize) -> std::io::Result<Vec<u8>> {
    let mut handle = File::open(file)?;
    handle.seek(SeekFrom::Start((first * CIFAR10_RECORD) as u64))?;
    let mut records = vec![0; n * CIFAR10_RECORD];
    handle.read_exact(&mut records)?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_in_front_of_a_cifar10_image_is_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; CIFAR10_IMAGES * CIFAR10_RECORD];
        for (at, class) in [(0, 3), (1, 9), (9_999, 7)] {
            bytes[at * CIFAR10_RECORD] = class;
            bytes[at * CIFAR10_RECORD + 1] = 100 + class;
        }
        crate::store::publish(&folder.path().join("test_batch.bin"), &bytes).unwrap();
        let mut source = Cifar10::open(folder.path(), Cifar10Split::Test).unwrap();
        let classes = |source: &mut Cifar10, range| source.classes(range).unwrap().unwrap();
        assert_eq!(classes(&mut source, 0..3), [3, 9, 0].map(ClassLabel));
        assert_eq!(classes(&mut source, 9_998..10_000), [0, 7].map(ClassLabel));
        let image = source.read(1..2).unwrap();
        assert_eq!((image[[0, 0, 0, 0]], image[[0, 0, 0, 1]]), (109, 0));
    }
}
