//! `model_index.json`: which pipeline it is, and which parts it has.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::json::{read_object, refuse};
use crate::config::ConfigError;
use crate::fault::Fault;

/// Name of the file that makes a folder a pipeline.
pub const INDEX_FILE: &str = "model_index.json";

/// Which pipeline a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineIndex {
    /// Class in diffusers: `StableDiffusionPipeline`.
    pub class: String,
    /// Version of diffusers that wrote it, where it says.
    pub version: Option<String>,
    /// Classes of the parts that are there, by folder.
    pub parts: BTreeMap<String, String>,
    /// Whether no negative prompt means states of zeros instead of those of the empty text: a key of Stable Diffusion XL.
    pub zeros_for_none: bool,
    /// What readers of its numbers must know: `_note`, a key of ours that diffusers passes over.
    pub note: Option<String>,
}

impl PipelineIndex {
    /// Reads `model_index.json` of a folder.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that is missing or no such index, and for one of another version of the library.
    pub fn read(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(INDEX_FILE);
        let object = read_object(&path)?;
        let word = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut faults = Vec::new();
        let class = word("_class_name").unwrap_or_default();
        if class.is_empty() {
            let message =
                "is missing: expected the index of a pipeline, as diffusers or Optimum write it";
            faults.push(Fault::new("_class_name", message));
        }
        let version = word("_diffusers_version");
        let major = version.as_deref().map(|version| version.split('.').next().unwrap_or_default());
        if major.is_some_and(|major| major != "0") {
            let message = format!(
                "is {}, versions 0.x are read: export the pipeline with one of these",
                version.as_deref().unwrap_or_default()
            );
            faults.push(Fault::new("_diffusers_version", message));
        }
        refuse(&path, faults)?;
        let parts = object.iter().filter_map(|(name, value)| {
            let class = value.as_array()?.get(1)?.as_str()?;
            Some((name.clone(), class.to_owned()))
        });
        let parts = parts.collect();
        let key = object.get("force_zeros_for_empty_prompt");
        let zeros_for_none = key.and_then(Value::as_bool).unwrap_or(true);
        Ok(Self { class, version, parts, zeros_for_none, note: word("_note") })
    }
}
