//! Whether an `.npy` array can be what its header promises, before anything is allocated for it.
//!
//! # Why a look of our own before the reader's?
//! The reader allocates what a header promises: a file of a hundred bytes that promises a petabyte would end the
//! process instead of being refused. And it parses brackets by recursion, of which no array needs more than two.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray_npy::npy::header::Header;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::StoreError;

/// Longest header that is read. `NumPy` writes some hundred bytes and reads no more than this either.
const MAX_HEADER: usize = 10_000;

/// Deepest brackets of a header; those of a plain array are two deep.
const MAX_DEPTH: usize = 8;

/// Largest row that an array without rows may promise.
const MAX_EMPTY: usize = 1 << 32;

/// Refuses an `.npy` file that promises more than it holds.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`].
pub(super) fn check_file(path: &Path) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    let size = file.metadata().map_err(StoreError::read(path))?.len();
    check(&mut BufReader::new(file), size).map_err(|why| StoreError::malformed(path, why))
}

/// Refuses an `.npz` file one of whose arrays `names` promises more than the file holds. Arrays that are not there
/// are no concern of this.
///
/// # Errors
/// As [`check_file`].
pub(super) fn check_archive(path: &Path, names: &[&str]) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    let length = file.metadata().map_err(StoreError::read(path))?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(StoreError::decode(path))?;
    for name in names {
        // The reader looks for both, in this order.
        for name in [(*name).to_owned(), format!("{name}.npy")] {
            let mut entry = match archive.by_name(&name) {
                Ok(entry) => entry,
                Err(ZipError::FileNotFound) => continue,
                Err(error) => return Err(StoreError::malformed(path, format!("{name}: {error}"))),
            };
            if entry.compression() != CompressionMethod::Stored {
                let message = format!("{name} is compressed: save it with numpy.savez");
                return Err(StoreError::malformed(path, message));
            }
            // The size of an entry is a number that anyone can write.
            let size = entry.size().min(length);
            check(&mut entry, size)
                .map_err(|why| StoreError::malformed(path, format!("{name}: {why}")))?;
            break;
        }
    }
    Ok(())
}

/// Holds the header at the start of `reader` against the `size` bytes that there are, header included.
fn check(reader: &mut impl Read, size: u64) -> Result<(), String> {
    let prefix = prefix(reader)?;
    let header = Header::from_reader(&mut prefix.as_slice()).map_err(|error| error.to_string())?;
    // Axes of no length would hide the others from the product.
    let axes = header.shape.iter().filter(|axis| **axis > 0);
    let n = axes.copied().try_fold(1_usize, usize::checked_mul);
    let room = usize::try_from(size.saturating_sub(prefix.len() as u64)).unwrap_or(usize::MAX);
    // An element has one byte or more.
    let most = if header.shape.contains(&0) { MAX_EMPTY } else { room };
    if n.is_some_and(|n| n <= most) {
        return Ok(());
    }
    let shape = header.shape;
    Err(format!("its header promises the shape {shape:?}, {room} bytes follow it"))
}

/// Magic, version, length and dictionary of a header.
fn prefix(reader: &mut impl Read) -> Result<Vec<u8>, String> {
    let mut read = |bytes: &mut [u8]| {
        reader.read_exact(bytes).map_err(|error| format!("its header cannot be read: {error}"))
    };
    let mut prefix = vec![0; 8];
    read(&mut prefix)?;
    if !prefix.starts_with(b"\x93NUMPY") {
        return Err("it is no NumPy array".to_owned());
    }
    // Version 1 has two bytes of length, 2 and 3 have four.
    let width = if prefix[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    read(&mut length[..width])?;
    prefix.extend(&length[..width]);
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes, at most {MAX_HEADER} are read"));
    }
    let start = prefix.len();
    prefix.resize(start + length, 0);
    read(&mut prefix[start..])?;
    if depth(&prefix[start..]) > MAX_DEPTH {
        return Err(format!("its header has brackets more than {MAX_DEPTH} deep"));
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
        check(&mut &bytes[..], bytes.len() as u64).unwrap_err()
    }

    fn dictionary(shape: &str) -> String {
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_there_passes_and_what_is_only_promised_does_not() {
        let good = array(&dictionary("(2, 3)"), 24);
        check(&mut &good[..], good.len() as u64).unwrap();
        let empty = array(&dictionary("(0, 2048)"), 0);
        check(&mut &empty[..], empty.len() as u64).unwrap();
        for shape in ["(1000000000000,)", "(4294967296, 4294967296)", "(0, 9223372036854775807, 9)"]
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
}
