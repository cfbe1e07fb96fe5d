//! The header of an `.npy` array: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//!
//! # Why a look of our own before the reader's?
//! A reader allocates what a header promises: a file of a hundred bytes that promises a petabyte would end the process
//! instead of being refused. And brackets are parsed by recursion, of which no array needs more than two.

use std::io::Read;

use ndarray_npy::npy::header::{Header as Parsed, Layout};

use super::dtype::Dtype;
use super::trouble::Trouble;

/// What an array file starts with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header that is read. `NumPy` writes some hundred bytes and reads no more than this either.
const MAX_HEADER: usize = 10_000;

/// Deepest brackets of a header; those of a plain array are two deep.
const MAX_DEPTH: usize = 8;

/// Largest row that an array without rows may promise.
const MAX_EMPTY: usize = 1 << 32;

/// What an array says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Type of its elements.
    pub(crate) dtype: Dtype,
    /// The same as `NumPy` names it.
    pub(crate) descriptor: String,
    /// Whether the first axis runs fastest.
    pub(crate) fortran: bool,
    /// Length of each axis.
    pub(crate) shape: Vec<usize>,
    /// Bytes before the first element.
    pub(crate) length: u64,
}

impl Header {
    /// Reads a header and holds it against the `size` bytes that there are, header included.
    pub(crate) fn read(reader: &mut impl Read, size: u64) -> Result<Self, Trouble> {
        let prefix = prefix(reader)?;
        let parsed = Parsed::from_reader(&mut prefix.as_slice())
            .map_err(|error| Trouble::Other(format!("its header cannot be understood: {error}")))?;
        let descriptor = parsed.type_descriptor.to_string().trim_matches('\'').to_owned();
        let Some(dtype) = Dtype::parse(&descriptor) else {
            let what = match descriptor.as_str() {
                "|O" => "Python objects, which only a pickle can hold and which are never opened"
                    .to_owned(),
                other => format!("of type {other}"),
            };
            return Err(Trouble::Other(format!(
                "its elements are {what}: expected floating point or whole numbers: save it with .astype('float32')"
            )));
        };
        let header = Self {
            dtype,
            descriptor,
            fortran: matches!(parsed.layout, Layout::Fortran),
            shape: parsed.shape,
            length: prefix.len() as u64,
        };
        header.check(size)?;
        Ok(header)
    }

    /// Type and shape, as in `<f4 [500, 16]`.
    pub(crate) fn describe(&self) -> String {
        format!("{} {:?}", self.descriptor, self.shape)
    }

    fn check(&self, size: u64) -> Result<(), Trouble> {
        // Axes of no length would hide the others from the product.
        let axes = self.shape.iter().filter(|axis| **axis > 0);
        let n = axes.copied().try_fold(1_usize, usize::checked_mul);
        let bytes = n.and_then(|n| n.checked_mul(self.dtype.size));
        let room = usize::try_from(size.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let most = if self.shape.contains(&0) { MAX_EMPTY } else { room };
        if bytes.is_some_and(|bytes| bytes <= most) {
            return Ok(());
        }
        let what = self.describe();
        Err(Trouble::Damaged(format!("its header promises {what}, {room} bytes follow it")))
    }
}

/// Magic, version, length and dictionary of a header.
fn prefix(reader: &mut impl Read) -> Result<Vec<u8>, Trouble> {
    let mut read = |bytes: &mut [u8]| {
        reader.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Trouble::Damaged("it ends inside its header".to_owned())
            }
            _ => Trouble::from(error),
        })
    };
    let mut prefix = vec![0; 8];
    read(&mut prefix)?;
    if !prefix.starts_with(MAGIC) {
        return Err(Trouble::Other("it is no NumPy array".to_owned()));
    }
    // Version 1 has two bytes of length, 2 and 3 have four.
    let width = if prefix[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    read(&mut length[..width])?;
    prefix.extend(&length[..width]);
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER {
        let message = format!("its header has {length} bytes, at most {MAX_HEADER} are read");
        return Err(Trouble::Other(message));
    }
    let start = prefix.len();
    prefix.resize(start + length, 0);
    read(&mut prefix[start..])?;
    if depth(&prefix[start..]) > MAX_DEPTH {
        let message = format!("its header has brackets more than {MAX_DEPTH} deep");
        return Err(Trouble::Other(message));
    }
    Ok(prefix)
}

/// Most opening brackets that are open at once; those inside texts count too, which errs on the safe side.
fn depth(text: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array of version 2 with this dictionary and `n` bytes behind it.
    fn array(dictionary: &str, n: usize) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend(u32::try_from(dictionary.len()).unwrap().to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.resize(bytes.len() + n, 0);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        match Header::read(&mut &bytes[..], bytes.len() as u64).unwrap_err() {
            Trouble::Other(message) | Trouble::Damaged(message) => message,
            Trouble::Io(error) => error.to_string(),
        }
    }

    fn dictionary(shape: &str) -> String {
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_there_passes_and_what_is_only_promised_does_not() {
        let good = array(&dictionary("(2, 3)"), 24);
        Header::read(&mut &good[..], good.len() as u64).unwrap();
        let empty = array(&dictionary("(0, 2048)"), 0);
        Header::read(&mut &empty[..], empty.len() as u64).unwrap();
        for shape in
            ["(1000000000000,)", "(4294967296, 4294967296)", "(0, 9223372036854775807, 9)", "(7,)"]
        {
            let message = refusal(&array(&dictionary(shape), 24));
            assert!(message.contains("24 bytes follow it"), "{shape}: {message}");
        }
    }

    #[test]
    fn headers_that_are_long_or_deep_are_not_parsed() {
        let mut long = array(&dictionary("(1,)"), 4);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(refusal(&long).contains("at most 10000 are read"));
        let deep = array(&dictionary(&"(".repeat(4000)), 4);
        assert!(refusal(&deep).contains("brackets more than 8 deep"));
        assert!(refusal(b"\x80\x04\x95 a pickle").contains("no NumPy array"));
    }

    #[test]
    fn objects_are_never_opened() {
        let objects = dictionary("(1,)").replace("<f4", "|O");
        assert!(refusal(&array(&objects, 4)).contains("never opened"));
    }
}
