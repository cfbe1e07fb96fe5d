//! The bytes of an array that a file holds as they are, or packed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;

/// How the bytes of the array lie in the file.
pub(super) enum Packing {
    Stored(File),
    Deflated { packed: u64, reader: Option<Unpacked> },
}

/// A reader of unpacked bytes and how many it has given.
pub(super) struct Unpacked {
    bytes: DeflateDecoder<std::io::Take<BufReader<File>>>,
    at: u64,
}

impl Packing {
    /// Packed into `packed` bytes.
    pub(super) fn deflated(packed: u64) -> Self {
        Self::Deflated { packed, reader: None }
    }

    /// Fills `bytes` with those from `offset` on of the array that begins at `start` of the file.
    pub(super) fn read(
        &mut self,
        path: &Path,
        start: u64,
        (offset, bytes): (u64, &mut [u8]),
    ) -> std::io::Result<()> {
        match self {
            Self::Stored(file) => {
                file.seek(SeekFrom::Start(start + offset))?;
                file.read_exact(bytes)
            }
            Self::Deflated { packed, reader } => {
                if reader.as_ref().is_none_or(|reader| reader.at > offset) {
                    let mut file = BufReader::new(File::open(path)?);
                    file.seek(SeekFrom::Start(start))?;
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
