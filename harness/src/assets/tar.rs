//! The files of a tar archive, one after the other (POSIX.1-1988 `ustar`; pax headers and links are passed over).
//!
//! Nothing is written, and no name that the archive chose is used as one: files are asked for by the names that are pinned.

use std::io::{self, Read};

const BLOCK: usize = 512;
/// Entries, at most: an archive of more is not one of ours.
const MAX_ENTRIES: usize = 20_000;

/// What an entry is.
enum Entry {
    /// A regular file: name, size.
    File(String, u64),
    /// Something else of this size.
    Other(u64),
    /// Zeros: the archive has ended.
    End,
}

/// Hands every regular file to `on_file`: its name and its bytes, of which it may read as many as it likes.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no tar archive, [`io::ErrorKind::UnexpectedEof`] for half of one, and those of
/// reading; `E` of `on_file`.
pub(super) fn files<E: From<io::Error>>(
    archive: &mut dyn Read,
    on_file: &mut dyn FnMut(&str, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    for _ in 0..MAX_ENTRIES {
        let (name, size) = match header(archive)? {
            Entry::End => return Ok(()),
            Entry::Other(size) => (None, size),
            Entry::File(name, size) => (Some(name), size),
        };
        let mut content = archive.take(size);
        if let Some(name) = name {
            on_file(&name, &mut content)?;
        }
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        io::copy(&mut archive.take(padding), &mut io::sink())?;
    }
    Err(invalid(format!("more than {MAX_ENTRIES} entries")).into())
}

fn header(archive: &mut dyn Read) -> io::Result<Entry> {
    let mut block = [0; BLOCK];
    archive.read_exact(&mut block)?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Entry::End);
    }
    let (sum, stated) = (checksum(&block), octal(&block[148..156])?);
    if sum != stated {
        return Err(invalid(format!("a header has the checksum {sum}, it says {stated}")));
    }
    let size = octal(&block[124..136])?;
    if !matches!(block[156], b'0' | 0) {
        return Ok(Entry::Other(size));
    }
    let (prefix, name) = (text(&block[345..500]), text(&block[..100]));
    let is_ustar = &block[257..262] == b"ustar";
    let whole = if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name };
    Ok(Entry::File(whole, size))
}

/// Sum of the header's bytes, with its own place full of spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
    block.iter().enumerate().map(byte).map(u64::from).sum()
}

fn octal(field: &[u8]) -> io::Result<u64> {
    let digits = text(field);
    let digits = digits.trim_matches(' ');
    u64::from_str_radix(digits, 8).map_err(|_| invalid(format!("{digits:?} is no octal number")))
}

/// Up to the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no tar archive: {message}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tar archive of regular files, by the layout of POSIX.1-1988, with whatever names are given.
    pub(in crate::assets) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in files {
            let mut block = [0; BLOCK];
            block[..name.len()].copy_from_slice(name.as_bytes());
            block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            block[156] = b'0';
            block[257..262].copy_from_slice(b"ustar");
            let sum = checksum(&block);
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            out.extend_from_slice(&block);
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }

    fn read(archive: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        files::<io::Error>(&mut { archive }, &mut |name, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.push((name.to_owned(), bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn files_come_in_their_order_with_their_bytes() {
        let long = vec![7; 1000];
        let archive = tar_of(&[("a", b"one"), ("d/b", &long), ("empty", b"")]);
        let found = read(&archive).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "d/b", "empty"]);
        assert_eq!((found[0].1.as_slice(), &found[1].1, found[2].1.len()), (&b"one"[..], &long, 0));
    }

    #[test]
    fn an_archive_of_another_program_is_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        crate::store::publish(&folder.path().join("x"), b"content").unwrap();
        let made = std::process::Command::new("tar")
            .args(["-c", "-f", "-", "-C"])
            .arg(folder.path())
            .arg("./x")
            .output()
            .unwrap();
        assert_eq!(read(&made.stdout).unwrap(), [("./x".to_owned(), b"content".to_vec())]);
    }

    #[test]
    fn half_an_archive_and_what_is_none_are_refused() {
        let archive = tar_of(&[("a", &[1; 2000])]);
        for end in [0, 100, 600, 2000, 2560] {
            assert!(read(&archive[..end]).is_err(), "{end} bytes");
        }
        let mut damaged = archive;
        damaged[0] ^= 1;
        assert!(read(&damaged).unwrap_err().to_string().contains("checksum"));
    }
}
