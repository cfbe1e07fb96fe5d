//! Starts of one's own: `x_T` and classes by sample id, in an `.npz`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::Array4;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::arrays::{Content, content};
use super::dtype::{Dtype, Kind};
use super::elements::Numbers;
use super::npz::Npz;
use super::{StoreError, publish_with};
use crate::units::{ClassLabel, SampleId};

/// Array of the states.
const STATES: &str = "x_T";
/// Array of the classes.
const CLASSES: &str = "y";

/// An open file of starts. States are read row by row, so a file may be larger than memory.
///
/// The file is an `.npz` as `numpy.savez(FILE, x_T=.., y=..)` writes it: `x_T [n, c, h, w]`, f32, standard normal, row `i` for
/// sample `i`; `y [n]`, whole numbers, for networks with classes. Clones read the same open file, one at a time.
#[derive(Clone, Debug)]
pub struct StartsFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    /// Place of the first element in the file.
    first: u64,
    n: u64,
    shape: [usize; 3],
    classes: Option<Vec<ClassLabel>>,
}

impl StartsFile {
    /// Opens a file and checks what it says of itself.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Input`] for arrays of another name, type, shape or number, and for compressed ones,
    /// [`StoreError::Broken`] for a file that was cut.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let refuse = |message: String| StoreError::input(path, message);
        let expected = "expected x_T [n, c, h, w] of little-endian f32 in C order: save it with numpy.savez(FILE, x_T=x.astype('<f4'), y=y)";
        if content(path)? == Content::Npy {
            return Err(refuse(format!("it is one array, a .npy: {expected}")));
        }
        let mut npz = Npz::open(path)?;
        let entry = npz.entry(STATES)?;
        let what = entry.header.describe();
        let Dtype { kind, size, .. } = entry.header.dtype;
        let [n, c, h, w] = entry.header.shape[..] else {
            return Err(refuse(format!("x_T is {what}: {expected}")));
        };
        let plain = (kind, size) == (Kind::Float, 4)
            && !entry.header.descriptor.starts_with('>')
            && !entry.header.fortran;
        if !plain || [n, c, h, w].contains(&0) {
            return Err(refuse(format!("x_T is {what}: {expected}")));
        }
        if entry.deflated {
            let message = "x_T is compressed, and rows of it are read by their place: save it with numpy.savez, not savez_compressed";
            return Err(refuse(message.to_owned()));
        }
        let classes = npz.has(CLASSES).then(|| classes(&mut npz, path, n)).transpose()?;
        let file = Arc::new(Mutex::new(File::open(path).map_err(StoreError::read(path))?));
        let first = entry.start + entry.header.length;
        Ok(Self { path: path.to_owned(), file, first, n: n as u64, shape: [c, h, w], classes })
    }

    /// Number of starts.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// `[c, h, w]` of a state.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Classes of all starts, where the file has some.
    pub fn classes(&self) -> Option<&[ClassLabel]> {
        self.classes.as_deref()
    }

    /// States `[b, c, h, w]` of samples.
    ///
    /// # Errors
    /// [`StoreError::Input`] for a sample that the file does not have and for values that are not finite, [`StoreError::Read`].
    pub fn states(&self, samples: &[SampleId]) -> Result<Array4<f32>, StoreError> {
        let [c, h, w] = self.shape;
        let length = c * h * w;
        let mut bytes = vec![0; 4 * length];
        let mut values = Vec::with_capacity(samples.len() * length);
        for sample in samples {
            if sample.0 >= self.n {
                let message = format!("there is no start for sample {sample}: it has {}", self.n);
                return Err(StoreError::input(&self.path, message));
            }
            let place = self.first + sample.0 * bytes.len() as u64;
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(StoreError::read(&self.path))?;
            let (elements, _) = bytes.as_chunks::<4>();
            values.extend(elements.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            if values.iter().rev().take(length).any(|value| !value.is_finite()) {
                let message = format!("x_T of sample {sample} holds a value that is not finite");
                return Err(StoreError::input(&self.path, message));
            }
        }
        Array4::from_shape_vec((samples.len(), c, h, w), values)
            .map_err(|error| StoreError::input(&self.path, error))
    }

    /// Classes of samples; `None` where the file has none, or not one for each.
    pub fn classes_of(&self, samples: &[SampleId]) -> Option<Vec<ClassLabel>> {
        let classes = self.classes.as_ref()?;
        let class = |sample: &SampleId| classes.get(usize::try_from(sample.0).ok()?).copied();
        samples.iter().map(class).collect()
    }
}

/// The array of classes, one a start.
fn classes(npz: &mut Npz, path: &Path, n: usize) -> Result<Vec<ClassLabel>, StoreError> {
    let (header, numbers) = npz.read(CLASSES)?;
    let refuse = |message: String| StoreError::input(path, message);
    if header.shape != [n] {
        let (what, expected) = (header.describe(), format!("[{n}], one class a start"));
        return Err(refuse(format!("y is {what}, expected {expected}")));
    }
    let values: Vec<f64> = match numbers {
        Numbers::U8(array) => array.iter().map(|value| f64::from(*value)).collect(),
        Numbers::F32(array) => array.iter().map(|value| f64::from(*value)).collect(),
        Numbers::F64(array) => array.into_iter().collect(),
    };
    let class = |(at, value): (usize, f64)| {
        if value.fract() != 0.0 || !(0.0..f64::from(u32::MAX)).contains(&value) {
            return Err(refuse(format!("y of sample {at} is {value}: classes count from 0")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Ok(ClassLabel(value as u32))
    };
    values.into_iter().enumerate().map(class).collect()
}

/// Writes `n` starts of `shape` row by row, whole or not at all: `row` gives the state of a sample.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(
    path: &Path,
    (n, shape): (u64, [usize; 3]),
    mut row: impl FnMut(SampleId) -> Vec<f32>,
    classes: Option<&[ClassLabel]>,
) -> Result<(), StoreError> {
    let [c, h, w] = shape;
    let stored = || {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        options.large_file(true)
    };
    let filled = |out: &mut dyn Write| -> std::io::Result<()> {
        let mut zip = ZipWriter::new_stream(out);
        zip.start_file(format!("{STATES}.npy"), stored())?;
        zip.write_all(&header("<f4", &format!("({n}, {c}, {h}, {w})")))?;
        let mut bytes = vec![0; 4 * c * h * w];
        for sample in (0..n).map(SampleId) {
            let places = bytes.as_chunks_mut::<4>().0.iter_mut();
            places.zip(row(sample)).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
            zip.write_all(&bytes)?;
        }
        if let Some(classes) = classes {
            zip.start_file(format!("{CLASSES}.npy"), stored())?;
            zip.write_all(&header("<i8", &format!("({n},)")))?;
            for class in classes {
                zip.write_all(&i64::from(class.0).to_le_bytes())?;
            }
        }
        zip.finish()?;
        Ok(())
    };
    publish_with(path, filled).map_err(StoreError::write(path))
}

/// Header of an `.npy` of version 1, padded to 64 bytes as `NumPy` does.
fn header(descriptor: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array1, Array2};
    use ndarray_npy::NpzWriter;

    use super::*;
    use crate::store::publish;

    fn states(n: usize) -> Array4<f32> {
        Array4::from_shape_fn((n, 1, 2, 3), |(i, _, y, x)| (100 * i + 10 * y + x) as f32)
    }

    /// As other tools write one.
    fn file(
        fill: impl FnOnce(&mut NpzWriter<Cursor<&mut Vec<u8>>>),
    ) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts.npz");
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        fill(&mut npz);
        npz.finish().unwrap();
        publish(&path, &bytes).unwrap();
        (folder, path)
    }

    fn refusal(fill: impl FnOnce(&mut NpzWriter<Cursor<&mut Vec<u8>>>)) -> String {
        let (_folder, path) = file(fill);
        StartsFile::open(&path).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_those_of_their_samples_whoever_wrote_the_file() {
        let (_folder, theirs) = file(|npz| {
            npz.add_array("x_T", &states(5)).unwrap();
            npz.add_array("y", &Array1::from_vec(vec![7_i64, 0, 2, 1, 9])).unwrap();
        });
        let ours = theirs.with_file_name("ours.npz");
        let classes: Vec<ClassLabel> = [7, 0, 2, 1, 9].map(ClassLabel).into();
        let row = |sample: SampleId| {
            let place = usize::try_from(sample.0).unwrap();
            states(5).index_axis(ndarray::Axis(0), place).iter().copied().collect()
        };
        write(&ours, (5, [1, 2, 3]), row, Some(&classes)).unwrap();
        for path in [theirs, ours] {
            let starts = StartsFile::open(&path).unwrap();
            assert_eq!((starts.n(), starts.shape()), (5, [1, 2, 3]));
            let samples = [4, 1].map(SampleId);
            let got = starts.states(&samples).unwrap();
            assert_eq!(got, states(5).select(ndarray::Axis(0), &[4, 1]), "{}", path.display());
            assert_eq!(starts.classes_of(&samples), Some(vec![ClassLabel(9), ClassLabel(0)]));
            let beyond = starts.states(&[SampleId(5)]).unwrap_err().to_string();
            assert!(beyond.contains("no start for sample 5: it has 5"), "{beyond}");
        }
    }

    #[test]
    fn other_arrays_are_refused_by_what_they_are() {
        let (_folder, path) = file(|npz| npz.add_array("x_T", &states(2)).unwrap());
        let plain = path.with_file_name("starts.npy");
        let mut bytes = Vec::new();
        ndarray_npy::WriteNpyExt::write_npy(&states(2), Cursor::new(&mut bytes)).unwrap();
        publish(&plain, &bytes).unwrap();
        let one = StartsFile::open(&plain).unwrap_err();
        assert!(matches!(one, StoreError::Input { .. }), "{one}");
        assert!(one.to_string().contains("it is one array"), "{one}");
        let wrong = refusal(|npz| npz.add_array("x_T", &states(2).mapv(f64::from)).unwrap());
        assert!(wrong.contains("x_T is <f8 [2, 1, 2, 3]: expected x_T [n, c, h, w]"), "{wrong}");
        let flat = refusal(|npz| npz.add_array("x_T", &Array2::<f32>::zeros((2, 3))).unwrap());
        assert!(flat.contains("<f4 [2, 3]"), "{flat}");
        let other = refusal(|npz| npz.add_array("noise", &states(2)).unwrap());
        assert!(other.contains("there is no array \"x_T\"; there are noise"), "{other}");
        let few = refusal(|npz| {
            npz.add_array("x_T", &states(3)).unwrap();
            npz.add_array("y", &Array1::<i64>::zeros(2)).unwrap();
        });
        assert!(few.contains("y is <i8 [2], expected [3], one class a start"), "{few}");
        let half = refusal(|npz| {
            npz.add_array("x_T", &states(2)).unwrap();
            npz.add_array("y", &Array1::from_vec(vec![1.0_f32, 0.5])).unwrap();
        });
        assert!(half.contains("y of sample 1 is 0.5: classes count from 0"), "{half}");
        let (folder, path) = file(|npz| {
            let mut states = states(2);
            states[[1, 0, 0, 0]] = f32::NAN;
            npz.add_array("x_T", &states).unwrap();
        });
        let starts = StartsFile::open(&path).unwrap();
        assert_eq!(starts.classes_of(&[SampleId(0)]), None);
        assert!(starts.states(&[SampleId(0)]).is_ok());
        let nan = starts.states(&[SampleId(1)]).unwrap_err().to_string();
        assert!(nan.contains("x_T of sample 1 holds a value that is not finite"), "{nan}");
        drop(folder);
    }

    #[test]
    fn compressed_states_are_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts.npz");
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new_with_options(
            Cursor::new(&mut bytes),
            SimpleFileOptions::default().compression_method(CompressionMethod::Deflated),
        );
        npz.add_array("x_T", &states(2)).unwrap();
        npz.finish().unwrap();
        publish(&path, &bytes).unwrap();
        let message = StartsFile::open(&path).unwrap_err().to_string();
        assert!(message.contains("save it with numpy.savez, not savez_compressed"), "{message}");
    }
}
