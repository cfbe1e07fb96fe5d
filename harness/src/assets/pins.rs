//! The typed form of `experiments/assets.yaml`: every asset with its pins, checked before anything is fetched.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::AssetError;
use super::source::{SHA256_DIGITS, Source};
use crate::config::{Role, read_yaml};

const FORMAT: u32 = 1;

/// All assets, in the order of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetList {
    format: u32,
    /// Each of them.
    pub assets: Vec<Asset>,
}

/// Something that a run needs, and the way from an archive to its finished files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Name; several entries of one name are for several platforms.
    pub name: String,
    /// What it is.
    pub kind: AssetKind,
    /// Version of its content.
    pub version: String,
    /// Under which it may be used.
    pub licence: String,
    /// Who made it.
    pub origin: String,
    /// The only platform that it is for; any without it.
    pub platform: Option<String>,
    /// How finished files are made of an archive.
    pub build: Build,
    /// Devices that need it.
    pub devices: Vec<AssetDevice>,
    /// Data sets that it holds, as experiments name them.
    #[serde(default)]
    pub datasets: Vec<String>,
    /// Where its archive is, in order of preference.
    pub sources: Vec<Source>,
    /// Its finished files.
    pub outputs: Vec<Output>,
}

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetKind {
    /// Images.
    Dataset,
    /// A feature network.
    Extractor,
    /// A denoising network.
    Model,
    /// ONNX Runtime.
    Library,
}

/// How finished files are made of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Build {
    /// They are members of it.
    Members,
    /// CIFAR-10 in its binary version.
    Cifar10,
    /// An IDX file, unpacked.
    FashionMnist,
    /// The FID Inception network, as ONNX.
    FidInception,
    /// The `EfficientNet`-Lite0 network, as ONNX.
    EfficientnetLite0,
}

/// What a set-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetDevice {
    /// The host.
    Cpu,
    /// CUDA.
    Cuda,
    /// The host, by `OpenVINO`.
    Openvino,
}

/// One finished file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Below the cache folder.
    pub path: PathBuf,
    /// Its name in the archive.
    pub(super) member: Option<String>,
    /// SHA-256.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
}

impl Output {
    fn fault(&self) -> Option<String> {
        let below = self.path.components().all(|part| matches!(part, Component::Normal(_)));
        if !below || self.path.as_os_str().is_empty() {
            let path = self.path.display();
            return Some(format!("path {path} leaves the cache folder: give one below it"));
        }
        (self.sha256.len() != SHA256_DIGITS).then(|| "sha256 has not 64 digits".to_owned())
    }
}

impl Asset {
    fn fault(&self) -> Option<String> {
        if self.sources.is_empty() || self.outputs.is_empty() {
            return Some("sources or outputs are empty: name at least one of each".to_owned());
        }
        let named = |what: &str, at: usize, fault: Option<String>| {
            fault.map(|fault| format!("{what}[{at}] {fault}"))
        };
        let sources = self.sources.iter().enumerate();
        let mut sources = sources.filter_map(|(at, one)| named("sources", at, one.fault()));
        let outputs = self.outputs.iter().enumerate();
        let mut outputs = outputs.filter_map(|(at, one)| named("outputs", at, one.fault()));
        sources.next().or_else(|| outputs.next())
    }

    /// Whether it is for this machine.
    pub fn is_for(&self, platform: &str) -> bool {
        self.platform.as_deref().is_none_or(|only| only == platform)
    }
}

/// This machine, in the words of the list: `linux-x86_64`, `linux-aarch64`, `macos-arm64`.
pub fn this_platform() -> String {
    platform(std::env::consts::OS, std::env::consts::ARCH)
}

fn platform(system: &str, machine: &str) -> String {
    let machine = if (system, machine) == ("macos", "aarch64") { "arm64" } else { machine };
    format!("{system}-{machine}")
}

impl AssetList {
    /// Reads and checks the list.
    ///
    /// # Errors
    /// [`AssetError::Config`] for a file that cannot be read, [`AssetError::List`] for values that cannot be.
    pub fn read(path: &Path) -> Result<Self, AssetError> {
        let list: Self = read_yaml(path, Role::Assets)?;
        let refused = |message| AssetError::List { path: path.to_owned(), message };
        if list.format != FORMAT {
            let message = format!("is of format {}, expected {FORMAT}", list.format);
            return Err(refused(message));
        }
        let mut faults = list
            .assets
            .iter()
            .filter_map(|asset| asset.fault().map(|fault| format!("{}: {fault}", asset.name)));
        match faults.next() {
            Some(fault) => Err(refused(fault)),
            None => Ok(list),
        }
    }

    /// The assets of `names`, each for `platform`.
    ///
    /// # Errors
    /// [`AssetError::NoAsset`] for a name that is not in the list, [`AssetError::NoBuild`] for one without a build for this
    /// machine.
    pub fn named(&self, names: &[String], platform: &str) -> Result<Vec<&Asset>, AssetError> {
        let mut chosen = Vec::new();
        for name in names {
            let mut entries = self.assets.iter().filter(|asset| asset.name == *name).peekable();
            if entries.peek().is_none() {
                let mut known: Vec<String> =
                    self.assets.iter().map(|asset| asset.name.clone()).collect();
                known.sort();
                known.dedup();
                return Err(AssetError::NoAsset { name: name.clone(), known: known.join(", ") });
            }
            let Some(asset) = entries.find(|asset| asset.is_for(platform)) else {
                let (name, platform) = (name.clone(), platform.to_owned());
                return Err(AssetError::NoBuild { name, platform });
            };
            if !chosen.iter().any(|other: &&Asset| other.name == asset.name) {
                chosen.push(asset);
            }
        }
        Ok(chosen)
    }

    /// Names of the assets that fit; several entries of one name count once.
    pub fn names(&self, fits: impl Fn(&Asset) -> bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for asset in self.assets.iter().filter(|asset| fits(asset)) {
            if !names.contains(&asset.name) {
                names.push(asset.name.clone());
            }
        }
        names
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exit::{Exit, Exits};

    pub(in crate::assets) fn shipped() -> AssetList {
        AssetList::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/assets.yaml"))
            .unwrap()
    }

    fn read(text: &str) -> Result<AssetList, AssetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("assets.yaml");
        crate::store::publish(&path, text.as_bytes()).unwrap();
        AssetList::read(&path)
    }

    /// A list with one asset; `{pin}` stands for 64 digits.
    const ONE: &str = "
format: 1
assets:
  - {name: a, kind: library, version: \"1\", licence: MIT, origin: us, build: members, devices: [cpu],
     sources: [{pypi: a==1, file: a.whl, bytes: 5, sha256: {pin}}],
     outputs: [{path: a/b, bytes: 1, sha256: {pin}, member: b}]}
";

    fn fault(from: &str, to: &str) -> String {
        let text = ONE.replace(from, to).replace("{pin}", &"0".repeat(64));
        let error = read(&text).unwrap_err();
        assert!(matches!(error.exit(), Exit::Input | Exit::Usage), "{error}");
        error.to_string()
    }

    #[test]
    fn the_shipped_list_has_every_device_on_linux() {
        let list = shipped();
        for device in [AssetDevice::Cpu, AssetDevice::Cuda, AssetDevice::Openvino] {
            let names = list
                .names(|asset| asset.kind == AssetKind::Library && asset.devices.contains(&device));
            assert_eq!(list.named(&names, "linux-x86_64").unwrap().len(), 1, "{device:?}");
        }
        assert_eq!(platform("linux", "x86_64"), "linux-x86_64");
        assert_eq!(platform("macos", "aarch64"), "macos-arm64");
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_refused_by_name() {
        let list = shipped();
        let named = |name: &str, platform| list.named(&[name.to_owned()], platform);
        let error = named("nobody", "linux-x86_64").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(
            error.to_string().contains("one of adaptive-terrain-diffusion, cifar10"),
            "{error}"
        );
        let error = named("onnxruntime", "plan9-mips").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().contains("no pinned build for plan9-mips"), "{error}");
        assert_eq!(named("cifar10", "plan9-mips").unwrap().len(), 1, "files are for all");
    }

    #[test]
    fn a_list_that_could_harm_is_refused_before_anything_is_fetched() {
        assert!(read(&ONE.replace("{pin}", &"0".repeat(64))).is_ok());
        assert!(fault("pypi: a==1", "pypi: a==1, url: b").contains("exactly one of npm, pypi"));
        assert!(fault("pypi: a==1, ", "").contains("exactly one of npm, pypi"));
        assert!(fault("file: a.whl", "file: ../a").contains("is no plain name"));
        assert!(fault("path: a/b", "path: ../b").contains("leaves the cache folder"));
        assert!(fault("path: a/b", "path: /b").contains("leaves the cache folder"));
        assert!(
            fault("sha256: {pin}}", "sha256: ab}").contains("nothing is fetched without a pin")
        );
        assert!(fault("format: 1", "format: 2").contains("expected 1"));
        assert!(fault("build: members", "build: magic").contains("magic"));
        assert!(fault("licence: MIT", "license: MIT").contains("license"));
    }
}
