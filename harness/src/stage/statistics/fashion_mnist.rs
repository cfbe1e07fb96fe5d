//! Fashion-MNIST, from the unpacked IDX files of its authors.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView3, Axis, s};

use super::{ImageSource, StatisticsError};

/// Height and width of an image in the file.
const SIDE: usize = 28;
/// Black pixels added on each side: the 32 x 32 that networks take.
const PAD: usize = 2;
/// Magic number of unsigned bytes in three dimensions, then n, height and width: big-endian 32-bit integers.
const MAGIC: u32 = 0x0000_0803;
const HEADER: usize = 16;

/// Part of Fashion-MNIST (Xiao, Rasul, Vollgraf 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FashionMnistSplit {
    /// 60,000 images: `train-images-idx3-ubyte`.
    Train,
    /// 10,000 images: `t10k-images-idx3-ubyte`.
    Test,
}

impl FashionMnistSplit {
    /// Name of the data set in experiments and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "fashion-mnist-train",
            Self::Test => "fashion-mnist-test",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Train => "train-images-idx3-ubyte",
            Self::Test => "t10k-images-idx3-ubyte",
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Train => 60_000,
            Self::Test => 10_000,
        }
    }
}

/// Fashion-MNIST in file order: grey images of 28 x 28, with two black pixels on each side and the grey value in all three
/// channels, as the networks of this repository see them.
#[derive(Debug)]
pub struct FashionMnist {
    split: FashionMnistSplit,
    file: PathBuf,
}

impl FashionMnist {
    /// Opens the folder of the two files.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when the file is missing, [`StatisticsError::Input`] when its header or size is another one.
    pub fn open(folder: &Path, split: FashionMnistSplit) -> Result<Self, StatisticsError> {
        let file = folder.join(split.file());
        let remedy = format!("run `dubench setup --only {}`", split.name());
        let mut handle = File::open(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                StatisticsError::input(&file, format!("is missing: {remedy}"))
            }
            _ => StatisticsError::io(&file)(error),
        })?;
        let expected = [MAGIC, small(split.len()), small(SIDE), small(SIDE)];
        let mut header = [0; HEADER];
        let bytes = handle.metadata().map_err(StatisticsError::io(&file))?.len();
        let read = handle.read_exact(&mut header);
        let words = header.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
        if read.is_err()
            || !words.eq(expected)
            || bytes != (HEADER + split.len() * SIDE * SIDE) as u64
        {
            let message = format!(
                "is no IDX file of {} images of {SIDE}x{SIDE} bytes: {remedy}",
                split.len()
            );
            return Err(StatisticsError::input(&file, message));
        }
        Ok(Self { split, file })
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl ImageSource for FashionMnist {
    fn name(&self) -> &str {
        self.split.name()
    }

    fn len(&self) -> usize {
        self.split.len()
    }

    fn image_size(&self) -> Option<[u64; 2]> {
        Some([(SIDE + 2 * PAD) as u64; 2])
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let bytes =
            read_images(&self.file, range.clone()).map_err(StatisticsError::io(&self.file))?;
        let side = SIDE + 2 * PAD;
        let mut images = Array4::zeros((range.len(), 3, side, side));
        let grey = ArrayView3::from_shape((range.len(), SIDE, SIDE), &bytes)
            .map_err(|error| StatisticsError::input(&self.file, error.to_string()))?;
        let inner = PAD..PAD + SIDE;
        for channel in 0..3 {
            images
                .index_axis_mut(Axis(1), channel)
                .slice_mut(s![.., inner.clone(), inner.clone()])
                .assign(&grey);
        }
        Ok(images)
    }
}

fn read_images(file: &Path, range: Range<usize>) -> std::io::Result<Vec<u8>> {
    let mut handle = File::open(file)?;
    handle.seek(SeekFrom::Start((HEADER + range.start * SIDE * SIDE) as u64))?;
    let mut bytes = vec![0; range.len() * SIDE * SIDE];
    handle.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8]) {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file.persist(path).unwrap();
    }

    /// A test split whose image `i` has the value `i % 251` at row 3, column 5, and zero elsewhere.
    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("t10k-images-idx3-ubyte");
        let mut bytes = Vec::new();
        for word in [MAGIC, 10_000, 28, 28] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        for index in 0..10_000_u32 {
            let mut image = [0_u8; SIDE * SIDE];
            image[3 * SIDE + 5] = (index % 251) as u8;
            bytes.extend_from_slice(&image);
        }
        put(&path, &bytes);
        path
    }

    #[test]
    fn images_are_padded_by_two_and_repeated_over_channels() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path());
        let mut source = FashionMnist::open(folder.path(), FashionMnistSplit::Test).unwrap();
        assert_eq!((source.len(), source.name()), (10_000, "fashion-mnist-test"));
        let images = source.read(9_998..10_000).unwrap();
        assert_eq!(images.shape(), [2, 3, 32, 32]);
        let expected = [9_998 % 251, 9_999 % 251];
        for (image, value) in expected.into_iter().enumerate() {
            assert!((0..3).all(|c| u32::from(images[[image, c, 5, 7]]) == value));
            let sum: u32 = images.index_axis(Axis(0), image).iter().map(|p| u32::from(*p)).sum();
            assert_eq!(sum, 3 * value);
        }
    }

    #[test]
    fn another_file_is_refused_with_the_command_that_brings_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let open = || FashionMnist::open(folder.path(), FashionMnistSplit::Test);
        let missing = open().unwrap_err().to_string();
        assert!(missing.contains("dubench setup --only fashion-mnist-test"), "{missing}");
        let path = file(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut swapped = whole.clone();
        swapped[3] = 1;
        for bytes in [&whole[..whole.len() - 1], &swapped, &whole[..7]] {
            put(&path, bytes);
            let message = open().unwrap_err().to_string();
            assert!(message.contains("no IDX file of 10000 images"), "{message}");
        }
    }
}
