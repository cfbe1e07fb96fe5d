//! The YAML of a feature network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::model_yaml::{FORMAT, is_sha256, refuse, version};
use super::reader::read_yaml;
use super::role::Role;
use super::values::MAX_SIDE;
use crate::fault::Fault;

/// Features of an image, at most: a covariance of theirs is held in memory.
const MAX_DIM: usize = 1 << 16;

/// The YAML of a feature network, `experiments/extractors/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractorYaml {
    /// Format version: 1.
    pub format: u32,
    /// `extractor`.
    pub kind: ExtractorKind,
    /// Name in tables and statistics.
    pub name: String,
    /// The network.
    pub file: ExtractorFileYaml,
    /// Image input.
    pub input: ExtractorInputYaml,
    /// Feature output.
    pub output: ExtractorOutputYaml,
    /// Preprocessing where the caller names none.
    pub preprocess: super::Preprocess,
    /// Where the weights come from: for people.
    #[serde(default)]
    pub weights: BTreeMap<String, serde_json::Value>,
}

/// The one kind of feature network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractorKind {
    /// Images in, features out.
    Extractor,
}

/// File of a feature network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractorFileYaml {
    /// Below the cache folder, or absolute.
    pub path: PathBuf,
    /// SHA-256.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
}

/// Image input of a feature network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractorInputYaml {
    /// Name in the graph.
    pub name: String,
    /// Side of the image.
    pub size: usize,
    /// Channels: 3.
    pub channels: usize,
    /// Order of the axes.
    pub layout: LayoutYaml,
}

/// Order of the axes of an image batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LayoutYaml {
    /// `[b, c, h, w]`.
    Nchw,
}

/// Feature output of a feature network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractorOutputYaml {
    /// Name in the graph.
    pub name: String,
    /// Number of features.
    pub dim: usize,
}

impl ExtractorYaml {
    /// Reads and checks the YAML of a feature network.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let extractor: Self = read_yaml(path, Role::Extractor)?;
        refuse(path, extractor.faults())?;
        Ok(extractor)
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |ok: bool, key: &str, message: String| {
            if !ok {
                faults.push(Fault::new(key, message));
            }
        };
        let input = &self.input;
        check(self.format == FORMAT, "format", version(self.format));
        check(input.channels == 3, "input.channels", format!("is {}, expected 3", input.channels));
        let message = format!("is {}, expected the side of the image, 1 to {MAX_SIDE}", input.size);
        check((1..=MAX_SIDE).contains(&input.size), "input.size", message);
        let dim = self.output.dim;
        let message = format!("is {dim}, expected the feature dimension, 1 to {MAX_DIM}");
        check((1..=MAX_DIM).contains(&dim), "output.dim", message);
        let message = format!("`{}` is no SHA-256", self.file.sha256);
        check(is_sha256(&self.file.sha256), "file.sha256", message);
        faults
    }
}
