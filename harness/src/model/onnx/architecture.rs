//! What processor a shared library is for. The loader of Linux passes over one that is for another, as if it were not there.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// `e_machine` of an ELF file, and what Rust calls that processor.
const MACHINES: [(u16, &str); 6] = [
    (3, "x86"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (21, "powerpc64"),
];

/// The processor of a library that is not for this one; none for those that are, and for what is no ELF file.
pub(super) fn foreign(library: &Path) -> Option<String> {
    let mut header = [0; 20];
    File::open(library).ok()?.read_exact(&mut header).ok()?;
    foreign_in(&header, std::env::consts::ARCH)
}

fn foreign_in(header: &[u8; 20], here: &str) -> Option<String> {
    if &header[..4] != b"\x7fELF" {
        return None;
    }
    let word = [header[18], header[19]];
    let is_little = header[5] == 1;
    let machine = if is_little { u16::from_le_bytes(word) } else { u16::from_be_bytes(word) };
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    let name = known.map_or_else(|| format!("processor {machine}"), |(_, name)| (*name).to_owned());
    (name != here).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(machine: u16, order: u8) -> [u8; 20] {
        let mut header = [0; 20];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, order]);
        let word = if order == 1 { machine.to_le_bytes() } else { machine.to_be_bytes() };
        header[18..].copy_from_slice(&word);
        header
    }

    #[test]
    fn a_library_is_told_by_the_processor_in_its_header() {
        assert_eq!(foreign_in(&header(62, 1), "x86_64"), None);
        assert_eq!(foreign_in(&header(183, 1), "x86_64").as_deref(), Some("aarch64"));
        assert_eq!(foreign_in(&header(21, 2), "x86_64").as_deref(), Some("powerpc64"));
        assert_eq!(foreign_in(&header(999, 1), "x86_64").as_deref(), Some("processor 999"));
        assert_eq!(foreign_in(b"not a library at all", "x86_64"), None);
    }

    #[test]
    fn this_program_is_for_this_processor() {
        assert_eq!(foreign(&std::env::current_exe().unwrap()), None);
    }
}
