//! From a pinned asset to its finished files in the cache folder: look, lock, fetch, build, check, publish.

use std::path::{Path, PathBuf};

use super::build::build;
use super::client::Caller;
use super::error::AssetError;
use super::pins::{Asset, Output};
use super::{fetch, stamp};
use crate::store::checked::publish_checked;
use crate::store::digest::sha256_of_file;
use crate::store::lock::Lock;

/// What [`ensure`] has found or made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// Name of the asset.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its finished files; the first is the one that others are found by.
    pub files: Vec<PathBuf>,
    /// Whether all of them were there.
    pub found: bool,
}

impl Installed {
    fn new(asset: &Asset, cache: &Path, found: bool) -> Self {
        let files = asset.outputs.iter().map(|output| cache.join(&output.path)).collect();
        Self { name: asset.name.clone(), version: asset.version.clone(), files, found }
    }
}

/// Makes every finished file of an asset present and right, below the folder `cache`.
///
/// Of several processes one works, and the others wait and are told so.
///
/// # Errors
/// [`AssetError`]; no file is left half-made, and the next call goes on.
pub fn ensure(asset: &Asset, cache: &Path, caller: Caller<'_>) -> Result<Installed, AssetError> {
    if is_ready(asset, cache) {
        return Ok(Installed::new(asset, cache, true));
    }
    let locks = cache.join("locks");
    std::fs::create_dir_all(&locks).map_err(AssetError::disk(&locks))?;
    let waits = |holder: &str| {
        (caller.tell)(&format!("setup: {holder} is preparing {}, waiting for it", asset.name));
    };
    let _lock = Lock::wait(&locks.join(format!("{}.lock", asset.name)), &waits)?;
    let mut missing = Vec::new();
    for output in &asset.outputs {
        if !adopt(&cache.join(&output.path), output)? {
            missing.push(output);
        }
    }
    if missing.is_empty() {
        return Ok(Installed::new(asset, cache, true));
    }
    let (package, source) = fetch::obtain(asset, &cache.join("downloads"), caller)?;
    (caller.tell)(&format!("setup: building {}", asset.name));
    build(asset, (source, &package), &missing, &mut |output, content| {
        publish(&cache.join(&output.path), output, content)
    })?;
    Ok(Installed::new(asset, cache, false))
}

/// Hashes every finished file again.
///
/// # Errors
/// [`AssetError::Integrity`] for the first that differs or is not there: the next [`ensure`] makes it again.
pub fn verify(asset: &Asset, cache: &Path) -> Result<Installed, AssetError> {
    for output in &asset.outputs {
        let path = cache.join(&output.path);
        let got =
            if path.is_file() { sha256_of_file(&path)? } else { "that of no file".to_owned() };
        if got != output.sha256 {
            if path.is_file() {
                stamp::remove(&path).map_err(AssetError::disk(&path))?;
            }
            return Err(AssetError::Integrity {
                path: path.display().to_string(),
                got,
                expected: output.sha256.clone(),
                remedy: "run setup without --verify to make it again",
            });
        }
    }
    Ok(Installed::new(asset, cache, true))
}

/// Whether every finished file is the one that was hashed before: a `stat` and a small read a file.
pub fn is_ready(asset: &Asset, cache: &Path) -> bool {
    asset.outputs.iter().all(|output| stamp::holds(&cache.join(&output.path), &output.sha256))
}

/// Accepts a file that somebody put there, if it is the right one.
fn adopt(path: &Path, output: &Output) -> Result<bool, AssetError> {
    if stamp::holds(path, &output.sha256) {
        return Ok(true);
    }
    let same_size = std::fs::metadata(path).is_ok_and(|found| found.len() == output.bytes);
    if !same_size || sha256_of_file(path)? != output.sha256 {
        return Ok(false);
    }
    stamp::write(path, &output.sha256).map_err(AssetError::disk(path))?;
    Ok(true)
}

fn publish(
    path: &Path,
    output: &Output,
    content: &mut dyn std::io::Read,
) -> Result<(), AssetError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(AssetError::disk(folder))?;
    }
    publish_checked(path, &output.sha256, content).map_err(|error| {
        let remedy = "report this with the processor of the machine";
        AssetError::checked(error, (path, &output.sha256), remedy)
    })?;
    stamp::write(path, &output.sha256).map_err(AssetError::disk(path))
}

#[cfg(test)]
mod tests {
    use super::super::pins::tests::shipped;
    use super::*;

    fn cache() -> PathBuf {
        crate::model::onnx::environment::cache_root().unwrap()
    }

    const SILENT: Caller<'_> = Caller { tell: &|_| {}, stopped: &|| false };

    /// Builds in an empty folder, from the archive that set-up has kept. The hashes were taken of what the authors publish
    /// (CIFAR-10, Fashion-MNIST) and of what another program has built (the networks).
    fn is_built_again(name: &str) {
        let (list, folder) = (shipped(), tempfile::tempdir().unwrap());
        let asset =
            list.named(&[name.to_owned()], &super::super::pins::this_platform()).unwrap()[0];
        let kept = cache().join("downloads");
        std::os::unix::fs::symlink(&kept, folder.path().join("downloads")).unwrap();
        let caller = Caller {
            tell: &|line| {
                assert!(
                    !line.contains("fetching"),
                    "run `just setup-tests` first: it keeps the archive"
                );
            },
            ..SILENT
        };
        let made = ensure(asset, folder.path(), caller).unwrap();
        assert!(!made.found && made.files.len() == asset.outputs.len());
        verify(asset, folder.path()).unwrap();
        assert!(ensure(asset, folder.path(), SILENT).unwrap().found);
    }

    #[test]
    fn the_network_has_the_hash_of_the_one_that_another_program_has_built() {
        is_built_again("fid-inception");
    }

    /// With the packages numpy and onnx.
    #[test]
    fn efficientnet_has_the_hash_of_the_one_that_another_program_has_built() {
        is_built_again("efficientnet-lite0");
    }

    #[test]
    fn cifar10_has_the_bytes_of_its_authors() {
        is_built_again("cifar10");
    }

    #[test]
    fn the_library_is_that_of_its_wheel() {
        is_built_again("onnxruntime");
    }
}
