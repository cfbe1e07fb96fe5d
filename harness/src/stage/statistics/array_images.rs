//! Images in an `.npz`, a block at a time: the sample files of guided-diffusion hold gigabytes in one array.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array4;
use zip::{CompressionMethod, ZipArchive};

use super::{ImageSource, StatisticsError};

/// Longest header of an array that is read: `NumPy` writes some hundred bytes.
const MAX_HEADER: usize = 1 << 16;

/// The array `arr_0` of an `.npz`, u8 `[n, h, w, 3]`, read from the file as it is asked for.
#[derive(Debug)]
pub struct NpzImages {
    name: String,
    path: PathBuf,
    file: File,
    /// Where the first pixel lies in the file.
    start: u64,
    /// `n, h, w`.
    shape: [usize; 3],
}

impl NpzImages {
    /// Opens the file and reads the header of `arr_0`.
    ///
    /// # Errors
    /// [`StatisticsError::Io`] when there is no file, [`StatisticsError::Input`] when it holds no such array, or one that
    /// is compressed: a block of it could not be found.
    pub fn open(path: &Path) -> Result<Self, StatisticsError> {
        let refuse = |message: String| StatisticsError::input(path, message);
        let file = File::open(path).map_err(StatisticsError::io(path))?;
        let mut archive =
            ZipArchive::new(BufReader::new(file)).map_err(|e| refuse(e.to_string()))?;
        let entry = archive
            .by_name("arr_0.npy")
            .map_err(|error| refuse(format!("arr_0, u8 [n, h, w, 3]: {error}")))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(refuse(
                "arr_0 is compressed: save it with numpy.savez, which does not".to_owned(),
            ));
        }
        let (start, size) = (entry.data_start(), entry.size());
        drop(entry);
        let mut file = archive.into_inner().into_inner();
        let length = file.metadata().map_err(StatisticsError::io(path))?.len();
        if start.checked_add(size).is_none_or(|end| end > length) {
            // The size of an entry is a number that anyone can write: nothing is allocated by it.
            return Err(refuse(format!("arr_0 says {size} bytes from byte {start} of {length}")));
        }
        file.seek(SeekFrom::Start(start)).map_err(StatisticsError::io(path))?;
        let header = Header::read(&mut file).map_err(|why| refuse(format!("arr_0: {why}")))?;
        let [n, h, w] = header.image_shape().map_err(|why| refuse(format!("arr_0 {why}")))?;
        let bytes = pixels([n, h, w]).and_then(|bytes| bytes.checked_add(header.length));
        if bytes != Some(size) {
            let found = size.saturating_sub(header.length);
            return Err(refuse(format!("arr_0 says {n} x {h} x {w} x 3 and holds {found} bytes")));
        }
        let name = path.display().to_string();
        Ok(Self {
            name,
            path: path.to_owned(),
            file,
            start: start + header.length,
            shape: [n, h, w],
        })
    }
}

impl ImageSource for NpzImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.shape[0]
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let [_, h, w] = self.shape;
        let image = h * w * 3;
        let io = || StatisticsError::io(&self.path);
        let at = self.start + (range.start * image) as u64;
        self.file.seek(SeekFrom::Start(at)).map_err(io())?;
        let mut bytes = vec![0; range.len() * image];
        self.file.read_exact(&mut bytes).map_err(io())?;
        let images = Array4::from_shape_vec((range.len(), h, w, 3), bytes)
            .map_err(|error| StatisticsError::input(&self.path, error.to_string()))?;
        Ok(images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned())
    }
}

/// Bytes of `n` images, unless there are more than can be counted.
fn pixels([n, h, w]: [usize; 3]) -> Option<u64> {
    // One image first: of no images at all, any size would pass.
    let image = h.checked_mul(w)?.checked_mul(3)?;
    u64::try_from(n.checked_mul(image)?).ok()
}

/// The header of an `.npy` array: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
struct Header {
    /// The dictionary, as text.
    text: String,
    /// Bytes before the first element.
    length: u64,
}

impl Header {
    fn read(file: &mut impl Read) -> Result<Self, String> {
        let truncated = |error: std::io::Error| format!("its header cannot be read: {error}");
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(truncated)?;
        if &magic[..6] != b"\x93NUMPY" {
            return Err("it is no NumPy array".to_owned());
        }
        // Version 1 has two bytes of length, 2 and 3 have four.
        let width = if magic[6] == 1 { 2 } else { 4 };
        let mut length = [0; 4];
        file.read_exact(&mut length[..width]).map_err(truncated)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_HEADER {
            return Err(format!("its header has {length} bytes, at most {MAX_HEADER} are read"));
        }
        let mut text = vec![0; length];
        file.read_exact(&mut text).map_err(truncated)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Self { text, length: (magic.len() + width + length) as u64 })
    }

    /// `n, h, w` of a u8 array `[n, h, w, 3]` in C order.
    fn image_shape(&self) -> Result<[usize; 3], String> {
        let found = || format!("is {}: expected u8 [n, h, w, 3] in C order", self.text.trim());
        let after = |key: &str| self.text.split_once(key).map(|(_, rest)| rest.trim_start());
        let is = |key: &str, start: &[&str]| {
            after(key).is_some_and(|value| start.iter().any(|s| value.starts_with(s)))
        };
        if !is("'descr':", &["'|u1'", "'u1'"]) || !is("'fortran_order':", &["False"]) {
            return Err(found());
        }
        let shape = after("'shape':").and_then(|s| s.strip_prefix('(')?.split_once(')'));
        let axes: Option<Vec<usize>> = shape.and_then(|(axes, _)| {
            let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
            axes.map(|axis| axis.parse().ok()).collect()
        });
        match axes.as_deref() {
            Some(&[n, h, w, 3]) => Ok([n, h, w]),
            _ => Err(found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array4, Dimension, ShapeBuilder, s};
    use ndarray_npy::{NpzWriter, WritableElement};

    use super::*;

    fn file<T: WritableElement, D: Dimension>(
        name: &str,
        array: &ndarray::Array<T, D>,
    ) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        npz.add_array(name, array).unwrap();
        npz.finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), &bytes).unwrap();
        file
    }

    fn images() -> Array4<u8> {
        Array4::from_shape_fn((7, 4, 5, 3), |(n, y, x, c)| {
            u8::try_from((n * 60 + y * 15 + x * 3 + c) % 256).unwrap()
        })
    }

    #[test]
    fn blocks_in_any_order_are_those_of_the_array() {
        let file = file("arr_0", &images());
        let mut source = NpzImages::open(file.path()).unwrap();
        assert_eq!(source.len(), 7);
        for range in [4..7, 0..7, 2..3, 5..5] {
            let expected = images().permuted_axes([0, 3, 1, 2]);
            let block = source.read(range.clone()).unwrap();
            assert_eq!(block, expected.slice(s![range, .., .., ..]));
        }
    }

    #[test]
    fn other_arrays_are_refused_by_what_they_are() {
        let message =
            |file: &tempfile::NamedTempFile| NpzImages::open(file.path()).unwrap_err().to_string();
        let floats = message(&file("arr_0", &images().mapv(f32::from)));
        assert!(floats.contains("<f4") && floats.contains("expected u8 [n, h, w, 3]"), "{floats}");
        let mut fortran = Array4::zeros((7, 4, 5, 3).f());
        fortran.assign(&images());
        assert!(message(&file("arr_0", &fortran)).contains("C order"));
        let grey = images().slice(s![.., .., .., ..1]).to_owned();
        assert!(message(&file("arr_0", &grey)).contains("(7, 4, 5, 1)"));
        assert!(message(&file("mu", &images())).contains("arr_0"));
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let whole = file("arr_0", &images());
        let bytes = std::fs::read(whole.path()).unwrap();
        for keep in [0, 3, bytes.len() / 2, bytes.len() - 1] {
            whole.as_file().set_len(keep as u64).unwrap();
            assert!(NpzImages::open(whole.path()).is_err(), "{keep} bytes");
        }
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_is_refused() {
        let file = file("arr_0", &images());
        let mut bytes = std::fs::read(file.path()).unwrap();
        let at = bytes.windows(2).position(|w| w == b"(7").unwrap() + 1;
        bytes[at] = b'9';
        file.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut file.as_file()).unwrap();
        std::io::Write::write_all(&mut file.as_file(), &bytes).unwrap();
        let message = NpzImages::open(file.path()).unwrap_err().to_string();
        assert!(message.contains("9 x 4 x 5 x 3 and holds 420 bytes"), "{message}");
    }
}
