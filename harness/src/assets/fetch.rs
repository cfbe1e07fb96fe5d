//! One pinned archive: from the folder where they are kept, else from the first source that can be reached.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::client::{self, Caller, Failed};
use super::error::AssetError;
use super::pins::Asset;
use super::source::{Place, Source};
use crate::store;
use crate::store::checked::publish_checked;
use crate::store::digest::sha256_of_file;

const OTHER_BYTES: &str = "do not use it; check for a proxy or mirror that changes downloads, then compare experiments/assets.yaml upstream";

/// The verified archive of an asset, and the source that it is of. Whoever calls holds the asset's lock.
///
/// A source that cannot be reached is passed over; one that delivers other bytes ends the call.
///
/// # Errors
/// [`AssetError::Fetch`] where no source can be reached, [`AssetError::Integrity`] for other bytes than those pinned,
/// [`AssetError::Disk`], [`AssetError::Stopped`].
pub(super) fn obtain<'a>(
    asset: &'a Asset,
    downloads: &Path,
    caller: Caller<'_>,
) -> Result<(PathBuf, &'a Source), AssetError> {
    std::fs::create_dir_all(downloads).map_err(AssetError::disk(downloads))?;
    for source in &asset.sources {
        let kept = downloads.join(&source.file);
        if is_kept(&kept, source) {
            return Ok((kept, source));
        }
    }
    let mut failures = Vec::new();
    for source in &asset.sources {
        match download(&asset.name, source, downloads, caller) {
            Ok(kept) => return Ok((kept, source)),
            Err(Failed::Unreachable(words)) => {
                failures.push(format!("{} ({words})", source.label()));
            }
            Err(Failed::Error(error)) => return Err(error),
        }
    }
    let (name, failures) = (asset.name.clone(), failures.join("; "));
    let by_hand =
        asset.sources.iter().map(|source| format!("{} (sha256 {})", source.file, source.sha256));
    let by_hand = by_hand.collect::<Vec<_>>().join(" or ");
    let remedy = format!(
        "connect to the network and run the same command again, or put {by_hand} into {}",
        downloads.display()
    );
    Err(AssetError::Fetch { name, failures, remedy })
}

fn is_kept(kept: &Path, source: &Source) -> bool {
    let same_size = std::fs::metadata(kept).is_ok_and(|found| found.len() == source.bytes);
    same_size && sha256_of_file(kept).is_ok_and(|sha256| sha256 == source.sha256)
}

fn download(
    name: &str,
    source: &Source,
    downloads: &Path,
    caller: Caller<'_>,
) -> Result<PathBuf, Failed> {
    let megabytes = source.bytes as f64 / 1e6;
    (caller.tell)(&format!("setup: fetching {} ({megabytes:.1} MB)", source.label()));
    // Under the lock of the asset: what stands there is of a process that was killed.
    let work = downloads.join(format!(".fetch-{name}"));
    clear(&work)?;
    std::fs::create_dir_all(&work).map_err(AssetError::disk(&work))?;
    let ended = into(&work, (name, source), downloads, caller);
    let cleared = clear(&work);
    let kept = ended?;
    cleared?;
    Ok(kept)
}

fn clear(work: &Path) -> Result<(), AssetError> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(AssetError::disk(work)(error))
        }
        _ => Ok(()),
    }
}

/// Lets the client work in `work` and takes what it brings, if that is what is pinned.
fn into(
    work: &Path,
    (name, source): (&str, &Source),
    downloads: &Path,
    caller: Caller<'_>,
) -> Result<PathBuf, Failed> {
    let (kept, part) =
        (downloads.join(&source.file), downloads.join(format!("{}.part", source.file)));
    client::run((name, source), (work, &part), caller)?;
    let is_url = matches!(source.place(), Place::Url(_));
    let brought = if is_url { part } else { work.join(&source.file) };
    let mut file = File::open(&brought).map_err(|_| wrong_name(work, source))?;
    let taken = publish_checked(&kept, &source.sha256, &mut file);
    if is_url {
        // Whole or wrong: neither is gone on with.
        store::remove(&brought).map_err(AssetError::disk(&brought))?;
    }
    taken.map_err(|error| AssetError::checked(error, (&kept, &source.sha256), OTHER_BYTES))?;
    Ok(kept)
}

fn wrong_name(work: &Path, source: &Source) -> AssetError {
    let names = std::fs::read_dir(work).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let got = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let message = format!("{} delivered {got}", source.label());
    AssetError::archive(Path::new(&source.file), message)
}
