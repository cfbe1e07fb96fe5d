//! Images in one array, a block at a time: the sample files of guided-diffusion hold gigabytes in one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use ndarray::Array4;

use super::{ImageSource, StatisticsError};
use crate::store::arrays::{Content, content};
use crate::store::elements::Numbers;
use crate::store::npy::Header;
use crate::store::npz::Npz;
use crate::store::picture_zip::PictureZip;
use crate::store::trouble::Trouble;
use crate::units::ClassLabel;

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
            planes(&mut entry.header).map_err(|why| StatisticsError::input(path, why))?;
        }
        let packing = if entry.deflated {
            Packing::Deflated { packed: entry.packed, reader: None }
        } else {
            Packing::Stored(file()?)
        };
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

    fn image_size(&self) -> Option<[u64; 2]> {
        Some(self.size().map(|side| side as u64))
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

/// Rows of three square planes as the images that they are.
fn planes(header: &mut Header) -> Result<(), String> {
    let side = |row: usize| (1..=row).find(|side| 3 * side * side >= row);
    match header.shape[..] {
        [n, row] => match side(row).filter(|side| 3 * side * side == row) {
            Some(side) => header.shape = vec![n, 3, side, side],
            None => {
                return Err(format!(
                    "{BATCH_KEY} is {}: expected rows of three square planes, [n, 3 s s]",
                    header.describe()
                ));
            }
        },
        [_, _, _, _] => {}
        _ => return Err(format!("{BATCH_KEY} is {}: expected [n, 3 s s]", header.describe())),
    }
    Ok(())
}

/// Numbers as classes, where all of them are whole, at least 0 and below 2^24, which every type here holds exactly.
fn whole(numbers: &Numbers) -> Option<Vec<ClassLabel>> {
    let numbers = match numbers {
        Numbers::U8(array) => array.mapv(f64::from),
        Numbers::F32(array) => array.mapv(f64::from),
        Numbers::F64(array) => array.clone(),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers of 0 to 2^24"
    )]
    let class = |number: &f64| {
        let fits = number.fract() == 0.0 && (0.0..16_777_216.0).contains(number);
        fits.then_some(ClassLabel(*number as u32))
    };
    numbers.iter().map(class).collect()
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

    fn labelled<T: WritableElement>(key: &str, classes: &ndarray::Array1<T>) -> ArrayImages {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array("arr_0", &images()).unwrap();
        npz.add_array(key, classes).unwrap();
        npz.finish().unwrap();
        let file = written(&bytes);
        let mut source = ArrayImages::open(file.path()).unwrap();
        // Read while the file is there, and then no more.
        source.classes = source.all_classes().unwrap_or_else(|error| panic!("{error}"));
        source
    }

    #[test]
    fn classes_of_an_npz_are_those_of_its_images() {
        let classes = ndarray::array![3_i64, 0, 9, 9, 1, 2, 7];
        let some = |wanted: &[u32]| Some(wanted.iter().copied().map(ClassLabel).collect());
        for key in CLASS_KEYS {
            let mut source = labelled(key, &classes);
            assert_eq!(source.classes(1..4).unwrap(), some(&[0, 9, 9]), "{key}");
        }
        let mut bytes = labelled("labels", &classes.mapv(|class| u8::try_from(class).unwrap()));
        assert_eq!(bytes.classes(5..7).unwrap(), some(&[2, 7]));
        for file in [file("arr_0", &images()), npy(&images())] {
            assert_eq!(ArrayImages::open(file.path()).unwrap().classes(0..7).unwrap(), None);
        }
    }

    #[test]
    fn numbers_that_are_no_classes_are_refused() {
        let refused = |classes: &ndarray::Array1<f64>| {
            let mut bytes = Vec::new();
            let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
            npz.add_array("arr_0", &images()).unwrap();
            npz.add_array("labels", classes).unwrap();
            npz.finish().unwrap();
            let file = written(&bytes);
            let error = ArrayImages::open(file.path()).unwrap().classes(0..7).unwrap_err();
            error.to_string()
        };
        let short = refused(&ndarray::Array1::zeros(6));
        assert!(short.contains("labels is <f8 [6]: expected") && short.contains("[7]"), "{short}");
        for odd in [0.5, -1.0, f64::NAN, 16_777_216.0] {
            let message = refused(&ndarray::Array1::from_elem(7, odd));
            assert!(message.contains("whole numbers [7]"), "{odd}: {message}");
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
