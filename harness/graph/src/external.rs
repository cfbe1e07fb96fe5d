//! Weights that lie outside the model file: where they may lie, and how they are read.
//!
//! Why an own check beside the runtime's? A model may come from anyone, older runtimes follow `..`,
//! and a hard link passes even the newest one (seen with ONNX Runtime 1.32). So: a relative path
//! of plain components, no symlink on the way, a regular file with one name, bytes in range.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::{LOCATION_EXTERNAL, TensorProto};
use super::tensor::{ElementType, shape_of};

/// Checked place of one tensor's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    path: PathBuf,
    offset: u64,
    bytes: usize,
}

/// Whether the elements lie in another file.
pub(crate) fn is_external(proto: &TensorProto) -> bool {
    proto.data_location == Some(LOCATION_EXTERNAL) || !proto.external_data.is_empty()
}

/// Bytes that shape and type ask for; `None` where they cannot be known.
pub(crate) fn declared_bytes(proto: &TensorProto) -> Option<usize> {
    let shape = shape_of(proto).ok()?;
    let size = ElementType::from_onnx(proto.data_type.unwrap_or(0)).size()?;
    shape.iter().try_fold(size, |n, &d| n.checked_mul(d))
}

/// Finds and checks the bytes of an external tensor. The error text says what is wrong.
pub(crate) fn locate(folder: &Path, proto: &TensorProto) -> Result<Region, String> {
    let entry =
        |key: &str| proto.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").ok_or("names no file (key location)")?;
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("has {key} {text:?}, expected a whole number of bytes")),
    };
    let expected = declared_bytes(proto)
        .ok_or("has a shape or element type whose size cannot be known".to_owned())?;
    let offset = number("offset")?.unwrap_or(0);
    if let Some(length) = number("length")?
        && usize::try_from(length) != Ok(expected)
    {
        return Err(format!("has length {length}, its shape and type ask for {expected} bytes"));
    }
    let path = inside(folder, location)?;
    let size = regular_file(&path, location)?;
    let end = offset.checked_add(expected as u64).filter(|&end| end <= size);
    if end.is_none() {
        return Err(format!(
            "asks for {expected} bytes from byte {offset} of {location}, which has {size}: the file is cut off or belongs to another model"
        ));
    }
    Ok(Region { path, offset, bytes: expected })
}

/// Joins folder and location; only plain components may be in the location.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let relative = Path::new(location);
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_)));
    if location.is_empty() || !plain || location.contains(['\\', '\0']) {
        return Err(format!(
            "points to {location:?}: only a file inside the folder of the model is read, by a relative path without .."
        ));
    }
    let mut path = folder.to_path_buf();
    for component in relative.components() {
        path.push(component);
        let meta = std::fs::symlink_metadata(&path)
            .map_err(|error| format!("cannot be read at {location}: {error}"))?;
        if meta.file_type().is_symlink() {
            return Err(format!(
                "goes through a symbolic link at {location}: put the file itself there"
            ));
        }
    }
    Ok(path)
}

fn regular_file(path: &Path, location: &str) -> Result<u64, String> {
    let meta = std::fs::symlink_metadata(path)
        .map_err(|error| format!("cannot be read at {location}: {error}"))?;
    if !meta.file_type().is_file() {
        return Err(format!("points to {location}, which is no regular file"));
    }
    if n_links(&meta) != 1 {
        return Err(format!(
            "points to {location}, which has {} names (hard links): copy the file so that it has one",
            n_links(&meta)
        ));
    }
    Ok(meta.len())
}

#[cfg(unix)]
fn n_links(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(meta)
}

#[cfg(not(unix))]
fn n_links(_: &std::fs::Metadata) -> u64 {
    1
}

impl Region {
    /// Reads the bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        let at =
            |error: std::io::Error| format!("cannot be read at {}: {error}", self.path.display());
        let mut file = File::open(&self.path).map_err(at)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(at)?;
        let mut bytes = Vec::new();
        let wanted = self.bytes as u64;
        file.take(wanted).read_to_end(&mut bytes).map_err(at)?;
        if bytes.len() == self.bytes {
            return Ok(bytes);
        }
        Err(format!("{} ended after {} of {wanted} bytes", self.path.display(), bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::locate;
    use crate::proto::{LOCATION_EXTERNAL, StringStringEntryProto, TensorProto};

    fn tensor(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        TensorProto {
            dims: vec![4],
            data_type: Some(1),
            name: "w".to_owned(),
            data_location: Some(LOCATION_EXTERNAL),
            external_data: entries.iter().map(entry).collect(),
            ..TensorProto::default()
        }
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("m")).unwrap();
        put(&folder.path().join("m/w.data"), &[7; 20]);
        put(&folder.path().join("secret"), &[1; 20]);
        folder
    }

    fn put(path: &Path, bytes: &[u8]) {
        use std::io::Write;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        file.unwrap().write_all(bytes).unwrap();
    }

    fn refusal(folder: &Path, entries: &[(&str, &str)]) -> String {
        locate(&folder.join("m"), &tensor(entries)).unwrap_err()
    }

    #[test]
    fn bytes_in_range_are_read() {
        let folder = folder();
        let entries = [("location", "w.data"), ("offset", "4"), ("length", "16")];
        let region = locate(&folder.path().join("m"), &tensor(&entries)).unwrap();
        assert_eq!(region.read().unwrap(), [7; 16]);
    }

    #[test]
    fn paths_out_of_the_folder_are_refused() {
        let folder = folder();
        let absolute = folder.path().join("secret");
        for location in
            ["../secret", "a/../../secret", "./../secret", absolute.to_str().unwrap(), ""]
        {
            let text = refusal(folder.path(), &[("location", location)]);
            assert!(text.contains("only a file inside the folder"), "{location}: {text}");
        }
    }

    #[test]
    fn wrong_ranges_are_refused() {
        let folder = folder();
        let cut = refusal(folder.path(), &[("location", "w.data"), ("offset", "8")]);
        assert!(cut.contains("asks for 16 bytes from byte 8") && cut.contains("has 20"), "{cut}");
        let wrap =
            refusal(folder.path(), &[("location", "w.data"), ("offset", "18446744073709551615")]);
        assert!(wrap.contains("asks for 16 bytes"), "{wrap}");
        let length = refusal(folder.path(), &[("location", "w.data"), ("length", "12")]);
        assert!(length.contains("has length 12"), "{length}");
        let text = refusal(folder.path(), &[("location", "w.data"), ("offset", "-1")]);
        assert!(text.contains("expected a whole number"), "{text}");
        assert!(refusal(folder.path(), &[]).contains("names no file"));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_are_refused() {
        let folder = folder();
        let inside = folder.path().join("m");
        std::os::unix::fs::symlink("../secret", inside.join("soft")).unwrap();
        assert!(refusal(folder.path(), &[("location", "soft")]).contains("symbolic link"));
        std::fs::hard_link(folder.path().join("secret"), inside.join("hard")).unwrap();
        assert!(refusal(folder.path(), &[("location", "hard")]).contains("2 names (hard links)"));
        std::fs::create_dir(inside.join("dir")).unwrap();
        assert!(refusal(folder.path(), &[("location", "dir")]).contains("no regular file"));
        assert!(refusal(folder.path(), &[("location", "gone")]).contains("cannot be read"));
    }
}
