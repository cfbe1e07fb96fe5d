//! Images in one array, a block at a time: the sample files of guided-diffusion hold gigabytes in one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use ndarray::Array4;

use super::{ImageSource, StatisticsError};
use crate::store::arrays::{Content, content};
use crate::store::npy::Header;
use crate::store::npz::Npz;
use crate::store::trouble::Trouble;

/// Name of the array that holds the images of an `.npz`.
pub const KEY: &str = "arr_0";

/// The images of an `.npy`, or `arr_0` of an `.npz`, u8 `[n, h, w, 3]` or `[n, 3, h, w]`, read from the file as they are
/// asked for. From a compressed array they come fastest in order.
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
}

/// How the bytes of the array lie in the file.
enum Packing {
    Stored(File),
    Deflated { packed: u64, reader: Option<Unpacked> },
}

/// A reader of unpacked bytes and how many it has given.
struct Unpacked {
    bytes: DeflateDecoder<std::io::Take<BufReader<File>>>,
    at: u64,
}

/// Order of the axes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    ChannelsLast,
    ChannelsFirst,
}

impl std::fmt::Debug for ArrayImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrayImages")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl ArrayImages {
    /// Opens the file and reads the header of the array.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when there is no file, [`StatisticsError::Input`] when it holds no such array,
    /// [`StatisticsError::Damaged`] when it is cut short.
    pub fn open(path: &Path) -> Result<Self, StatisticsError> {
        let file = || File::open(path).map_err(StatisticsError::io(path));
        let (start, packing, header) = if content(path)? == Content::Npz {
            let entry = Npz::open(path)?.entry(KEY)?;
            let packing = if entry.deflated {
                Packing::Deflated { packed: entry.packed, reader: None }
            } else {
                Packing::Stored(file()?)
            };
            (entry.start, packing, entry.header)
        } else {
            let file = file()?;
            let size = file.metadata().map_err(StatisticsError::io(path))?.len();
            let header = Header::read(&mut BufReader::new(&file), size);
            (0, Packing::Stored(file), header.map_err(|trouble| trouble.at(path))?)
        };
        let (shape, layout) = image_axes(&header).map_err(|why| {
            StatisticsError::input(path, format!("the array is {}: {why}", header.describe()))
        })?;
        let (name, path) = (path.display().to_string(), path.to_owned());
        Ok(Self { name, path, start, packing, header: header.length, shape, layout })
    }

    fn bytes(&mut self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        match &mut self.packing {
            Packing::Stored(file) => {
                file.seek(SeekFrom::Start(self.start + offset))?;
                file.read_exact(bytes)
            }
            Packing::Deflated { packed, reader } => {
                if reader.as_ref().is_none_or(|reader| reader.at > offset) {
                    let mut file = BufReader::new(File::open(&self.path)?);
                    file.seek(SeekFrom::Start(self.start))?;
                    let bytes = DeflateDecoder::new(file.take(*packed));
                    *reader = Some(Unpacked { bytes, at: 0 });
                }
                let Some(reader) = reader else { return Ok(()) };
                let skipped = offset - reader.at;
                let passed =
                    std::io::copy(&mut (&mut reader.bytes).take(skipped), &mut std::io::sink())?;
                if passed < skipped {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                reader.bytes.read_exact(bytes)?;
                reader.at = offset + bytes.len() as u64;
                Ok(())
            }
        }
    }
}

impl ImageSource for ArrayImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.shape[0]
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let [_, h, w] = self.shape;
        let image = h * w * 3;
        let mut bytes = vec![0; range.len() * image];
        let offset = self.header + (range.start * image) as u64;
        let read = self.bytes(offset, &mut bytes);
        read.map_err(|error| Trouble::from(error).at(&self.path))?;
        let shape = match self.layout {
            Layout::ChannelsLast => (range.len(), h, w, 3),
            Layout::ChannelsFirst => (range.len(), 3, h, w),
        };
        let images = Array4::from_shape_vec(shape, bytes)
            .map_err(|error| StatisticsError::input(&self.path, error.to_string()))?;
        Ok(match self.layout {
            Layout::ChannelsLast => {
                images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned()
            }
            Layout::ChannelsFirst => images,
        })
    }
}

/// Whether an array is meant as images: levels of 8 bits, with axes.
///
/// # Errors
/// [`StatisticsError`] when the file cannot be read or is a pickle.
pub fn is_images(path: &Path) -> Result<bool, StatisticsError> {
    let header = match content(path)? {
        Content::Npy => {
            let file = File::open(path).map_err(StatisticsError::io(path))?;
            let size = file.metadata().map_err(StatisticsError::io(path))?.len();
            Header::read(&mut BufReader::new(file), size).map_err(|trouble| trouble.at(path))?
        }
        Content::Npz => {
            let mut npz = Npz::open(path)?;
            if !npz.has(KEY) {
                return Ok(false);
            }
            npz.entry(KEY)?.header
        }
        Content::Parquet | Content::Other => return Ok(false),
    };
    Ok(header.dtype.is_u8() && header.shape.len() > 2)
}

/// `n, h, w` and the order of the axes.
fn image_axes(header: &Header) -> Result<([usize; 3], Layout), String> {
    const EXPECTED: &str = "expected images, u8 [n, h, w, 3] or [n, 3, h, w] in C order";
    if !header.dtype.is_u8() {
        return Err(format!("{EXPECTED}: round to 0..=255 and save with .astype('uint8')"));
    }
    if header.fortran {
        return Err(format!("it is in Fortran order, {EXPECTED}: save numpy.ascontiguousarray(a)"));
    }
    match header.shape[..] {
        [_, 3, _, 3] => Err(format!(
            "either of two axes may be the channels, {EXPECTED}: save the images as files"
        )),
        [n, h, w, 3] => Ok(([n, h, w], Layout::ChannelsLast)),
        [n, 3, h, w] => Ok(([n, h, w], Layout::ChannelsFirst)),
        [_, _, _, 1] | [_, 1, _, _] | [_, _, _] => Err(format!(
            "it has no three channels, {EXPECTED}: repeat grey levels three times, as Pillow's convert('RGB') does"
        )),
        [_, _, _, 4] | [_, 4, _, _] => Err(format!("it has an alpha channel, {EXPECTED}: drop it")),
        _ => Err(EXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array4, Dimension, ShapeBuilder, s};
    use ndarray_npy::{NpzWriter, WritableElement, WriteNpyExt};

    use super::*;

    fn file<T: WritableElement, D: Dimension>(
        name: &str,
        array: &ndarray::Array<T, D>,
    ) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array(name, array).unwrap();
        npz.finish().unwrap();
        written(&bytes)
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), bytes).unwrap();
        file
    }

    fn npy<D: Dimension>(array: &ndarray::Array<u8, D>) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        written(&bytes)
    }

    fn compressed(array: &Array4<u8>) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut zip = zip::ZipWriter::new(Cursor::new(&mut bytes));
        let deflated = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        zip.start_file("arr_0.npy", deflated).unwrap();
        array.write_npy(&mut zip).unwrap();
        zip.finish().unwrap();
        written(&bytes)
    }

    fn images() -> Array4<u8> {
        Array4::from_shape_fn((7, 4, 5, 3), |(n, y, x, c)| {
            u8::try_from((n * 60 + y * 15 + x * 3 + c) % 256).unwrap()
        })
    }

    #[test]
    fn blocks_in_any_order_are_those_of_the_array() {
        let expected = images().permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned();
        let files = [
            file("arr_0", &images()),
            npy(&images()),
            npy(&expected),
            compressed(&images()),
            compressed(&expected),
        ];
        for file in files {
            let mut source = ArrayImages::open(file.path()).unwrap();
            assert_eq!(source.len(), 7);
            for range in [4..7, 0..7, 2..3, 5..5] {
                let block = source.read(range.clone()).unwrap();
                assert_eq!(block, expected.slice(s![range, .., .., ..]));
            }
        }
    }

    #[test]
    fn other_arrays_are_refused_by_what_they_are() {
        let message = |file: &tempfile::NamedTempFile| {
            ArrayImages::open(file.path()).unwrap_err().to_string()
        };
        let floats = message(&file("arr_0", &images().mapv(f32::from)));
        assert!(floats.contains("<f4") && floats.contains("u8 [n, h, w, 3]"), "{floats}");
        let mut fortran = Array4::zeros((7, 4, 5, 3).f());
        fortran.assign(&images());
        assert!(message(&file("arr_0", &fortran)).contains("C order"));
        let grey = images().slice(s![.., .., .., ..1]).to_owned();
        assert!(message(&npy(&grey)).contains("[7, 4, 5, 1]: it has no three channels"));
        assert!(message(&npy(&Array4::zeros((7, 3, 5, 3)))).contains("either of two axes"));
        assert!(message(&npy(&Array4::zeros((7, 4, 5, 4)))).contains("alpha"));
        assert!(message(&file("mu", &images())).contains("arr_0"));
    }

    #[test]
    fn a_truncated_file_is_refused() {
        for whole in [file("arr_0", &images()), npy(&images()), compressed(&images())] {
            let bytes = std::fs::read(whole.path()).unwrap();
            for keep in [3, bytes.len() / 2, bytes.len() - 1] {
                whole.as_file().set_len(keep as u64).unwrap();
                assert!(ArrayImages::open(whole.path()).is_err(), "{keep} bytes");
            }
        }
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_is_refused() {
        let file = file("arr_0", &images());
        let mut bytes = std::fs::read(file.path()).unwrap();
        let at = bytes.windows(2).position(|w| w == b"(7").unwrap() + 1;
        bytes[at] = b'9';
        let message = ArrayImages::open(written(&bytes).path()).unwrap_err().to_string();
        assert!(message.contains("[9, 4, 5, 3], 420 bytes follow it"), "{message}");
    }
}
