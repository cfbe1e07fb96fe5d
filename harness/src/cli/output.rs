//! The file that a command writes, looked at before any work: nothing is lost, and no work is in vain.

use std::path::Path;

use super::error::CliError;

/// Refuses a folder, a device or pipe, a file in a folder that is not there, and one of `inputs`.
pub(super) fn check<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), CliError> {
    let refuse =
        |expected| Err(CliError::option("--output", &output.display().to_string(), expected));
    let folder = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    if !folder.is_none_or(Path::is_dir) {
        return refuse("a file in a folder that is there: make the folder first");
    }
    let Ok(found) = std::fs::metadata(output) else { return Ok(()) };
    if found.is_dir() {
        return refuse("a file, and this is a folder: name a file in it");
    }
    if !found.is_file() {
        return refuse("a regular file, and this is a device, a pipe or a socket: name a new file");
    }
    let output = output.canonicalize().ok();
    match inputs.into_iter().find(|input| input.canonicalize().ok() == output) {
        Some(_) => refuse("another file than an input, which would be lost: name a new one"),
        None => Ok(()),
    }
}

/// Refuses a file in the place of a folder, or of one above it.
pub(super) fn folder(option: &'static str, path: &Path) -> Result<(), CliError> {
    if path.ancestors().find(|above| above.exists()).is_none_or(Path::is_dir) {
        return Ok(());
    }
    let expected = "a folder, and a file is in its place: name another";
    Err(CliError::option(option, &path.display().to_string(), expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    #[test]
    fn inputs_folders_and_what_is_no_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        crate::store::publish(&path("in"), b"x").unwrap();
        crate::store::publish(&path("old"), b"x").unwrap();
        let said = |output: &Path| match check(output, [path("in").as_path()]) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.exit(), Exit::Usage);
                error.to_string()
            }
        };
        assert_eq!([said(&path("new")), said(&path("old"))], ["", ""]);
        assert!(said(&path("in")).contains("an input, which would be lost"));
        assert!(
            said(&path("../").join(folder.path().file_name().unwrap()).join("in")).contains("lost")
        );
        assert!(said(folder.path()).contains("this is a folder"));
        assert!(said(&path("gone/new")).contains("make the folder first"));
        assert!(said(Path::new("/dev/null")).contains("a device"));
        assert_eq!(said(Path::new("new-in-this-folder")), "");
    }
}
