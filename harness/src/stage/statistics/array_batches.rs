//! A data set in several arrays, as downsampled `ImageNet` comes: `train_data_batch_1.npz` to `train_data_batch_10.npz`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis, concatenate};

use super::array_images::ArrayImages;
use super::{ImageSource, StatisticsError};
use crate::units::ClassLabel;

/// The images of all `.npy` and `.npz` files of a folder, one file after the other: numbers in names count as numbers, so that
/// batch 10 comes after batch 9.
#[derive(Debug)]
pub(super) struct ArrayBatches {
    name: String,
    batches: Vec<ArrayImages>,
    /// Place of the first image of each batch in the set, and the number of all.
    starts: Vec<usize>,
}

impl ArrayBatches {
    /// Opens the files, which lie in `folder`.
    ///
    /// # Errors
    /// Those of [`ArrayImages::open`], and [`StatisticsError::Input`] for files of several image sizes.
    pub(super) fn open(folder: &Path, mut files: Vec<PathBuf>) -> Result<Self, StatisticsError> {
        files.sort_by_cached_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            natural(&name)
        });
        let mut starts = vec![0];
        let mut batches: Vec<ArrayImages> = Vec::with_capacity(files.len());
        for file in &files {
            let batch = ArrayImages::open(file)?;
            if let Some(first) = batches.first().filter(|first| first.size() != batch.size()) {
                let ([h, w], [y, x]) = (batch.size(), first.size());
                let message = format!(
                    "its images are {h} x {w}, those of {} {y} x {x}: put the batches of one size into a folder of their own",
                    first.name()
                );
                return Err(StatisticsError::input(file, message));
            }
            starts.push(starts[starts.len() - 1] + batch.len());
            batches.push(batch);
        }
        Ok(Self { name: folder.display().to_string(), batches, starts })
    }

    /// Calls `take` with every batch that has some of the images `range`, and their places in it.
    fn each(
        &mut self,
        range: Range<usize>,
        mut take: impl FnMut(&mut ArrayImages, Range<usize>) -> Result<(), StatisticsError>,
    ) -> Result<(), StatisticsError> {
        for (batch, place) in self.batches.iter_mut().zip(self.starts.windows(2)) {
            let (first, end) = (range.start.max(place[0]), range.end.min(place[1]));
            if first < end {
                take(batch, first - place[0]..end - place[0])?;
            }
        }
        Ok(())
    }
}

impl ImageSource for ArrayBatches {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn image_size(&self) -> Option<[u64; 2]> {
        self.batches.first()?.image_size()
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let mut parts = Vec::new();
        self.each(range, |batch, range| {
            parts.push(batch.read(range)?);
            Ok(())
        })?;
        if parts.len() < 2 {
            return Ok(parts.pop().unwrap_or_else(|| Array4::zeros((0, 3, 0, 0))));
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        concatenate(Axis(0), &views)
            .map_err(|error| StatisticsError::input(Path::new(&self.name), error.to_string()))
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        let (mut classes, mut without) = (Vec::new(), None);
        self.each(range, |batch, range| {
            match batch.classes(range)? {
                Some(some) => classes.extend(some),
                None => without = Some(batch.name().to_owned()),
            }
            Ok(())
        })?;
        match without {
            None => Ok(Some(classes)),
            Some(_) if classes.is_empty() => Ok(None),
            Some(batch) => Err(StatisticsError::input(
                Path::new(&batch),
                "it tells no classes, and other batches of the folder do: save `labels` beside its images",
            )),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.batches.iter().flat_map(ImageSource::notes).collect();
        if let [first, .., last] = &self.batches[..] {
            let n = self.batches.len();
            notes.push(format!("{n} batches, {} to {}", first.name(), last.name()));
        }
        notes
    }
}

/// A name as texts and the numbers between them, so that 9 comes before 10.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let after = &rest[text..];
        let number = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        parts.push((rest[..text].to_owned(), after[..number].parse().unwrap_or(u64::MAX)));
        rest = &after[number..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array1, Array2};
    use ndarray_npy::NpzWriter;

    use super::*;

    /// A batch as downsampled `ImageNet` has it: rows of planes, classes from 1 on.
    fn put(folder: &Path, name: &str, data: &Array2<u8>, labels: &Array1<i64>) -> PathBuf {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array("data", data).unwrap();
        npz.add_array("labels", labels).unwrap();
        npz.add_array("mean", &Array1::<f64>::zeros(data.ncols())).unwrap();
        npz.finish().unwrap();
        let path = folder.join(name);
        crate::store::publish(&path, &bytes).unwrap();
        path
    }

    fn rows(n: usize, first: usize) -> Array2<u8> {
        Array2::from_shape_fn((n, 12), |(row, level)| {
            u8::try_from((20 * (first + row) + level) % 256).unwrap()
        })
    }

    #[test]
    fn batches_are_planes_in_the_order_of_their_numbers_with_classes_from_1() {
        let folder = tempfile::tempdir().unwrap();
        let labels = |range: Range<i64>| Array1::from_iter(range);
        let files = vec![
            put(folder.path(), "train_data_batch_10.npz", &rows(2, 5), &labels(999..1001)),
            put(folder.path(), "train_data_batch_9.npz", &rows(3, 2), &labels(7..10)),
            put(folder.path(), "train_data_batch_1.npz", &rows(2, 0), &labels(1..3)),
        ];
        let mut set = ArrayBatches::open(folder.path(), files).unwrap();
        assert_eq!(set.len(), 7);
        let images = set.read(1..6).unwrap();
        assert_eq!(images.dim(), (5, 3, 2, 2));
        for (image, pixels) in images.outer_iter().enumerate() {
            // Red plane first, row after row.
            let levels: Vec<u8> = pixels.iter().copied().collect();
            let expected: Vec<u8> = (0..12)
                .map(|level| u8::try_from((20 * (image + 1) + level) % 256).unwrap())
                .collect();
            assert_eq!(levels, expected);
        }
        let classes: Vec<u32> = set.classes(0..7).unwrap().unwrap().iter().map(|c| c.0).collect();
        assert_eq!(classes, [0, 1, 6, 7, 8, 998, 999]);
    }

    #[test]
    fn a_class_of_0_and_batches_of_two_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let zero = put(folder.path(), "a.npz", &rows(1, 0), &Array1::zeros(1));
        let mut set = ArrayBatches::open(folder.path(), vec![zero.clone()]).unwrap();
        let message = set.classes(0..1).unwrap_err().to_string();
        assert!(message.contains("whole numbers [1] from 1 on"), "{message}");
        let other = put(folder.path(), "b.npz", &Array2::zeros((1, 48)), &Array1::ones(1));
        let message = ArrayBatches::open(folder.path(), vec![zero, other]).unwrap_err().to_string();
        assert!(
            message.contains("b.npz: its images are 4 x 4") && message.contains("2 x 2"),
            "{message}"
        );
        let odd = put(folder.path(), "c.npz", &Array2::zeros((1, 14)), &Array1::ones(1));
        let message = ArrayImages::open(&odd).unwrap_err().to_string();
        assert!(
            message.contains("data is |u1 [1, 14]: expected rows of three square planes"),
            "{message}"
        );
    }
}
