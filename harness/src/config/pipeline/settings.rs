//! A pipeline as an experiment writes it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Images a side, at most.
const MAX_PIXELS: usize = 8192;

/// A text-to-image pipeline and what it is asked for.
///
/// # Examples
/// ```
/// use dubench::config::PipelineConfig;
/// let text = r#"{"path": "sd15", "prompts": ["a red cat"], "cfg": {"scale": 7.5}}"#;
/// let config: PipelineConfig = serde_json::from_str(text)?;
/// assert_eq!(config.cfg.and_then(|cfg| cfg.scale), Some(7.5));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// The folder that holds `model_index.json`, relative to the experiment file.
    pub path: PathBuf,
    /// Prompts: sample `id` is of prompt `id % n`, so `n` samples are one of each, every one from a seed of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Vec<String>>,
    /// The same from a text file of UTF-8, one prompt a line; relative to the experiment file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_file: Option<PathBuf>,
    /// Classifier-free guidance; left out, that of the kind of pipeline: 7.5 for Stable Diffusion 1 and 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg: Option<PipelineCfg>,
    /// Height and width of the images in pixels; left out, those that the network was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
}

/// Classifier-free guidance of a pipeline (Eq. 6, arXiv:2207.12598).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineCfg {
    /// 1 is the conditional network itself, at its own cost; every other scale costs two evaluations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The prompt that stands for no prompt; the empty one where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
}

impl PipelineConfig {
    /// A pipeline, and prompts.
    pub fn new(path: PathBuf, prompts: Vec<String>) -> Self {
        Self { path, prompts: Some(prompts), prompt_file: None, cfg: None, size: None }
    }

    /// What cannot be, keys below `key`.
    pub(in crate::config) fn faults(&self, key: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        match (&self.prompts, &self.prompt_file) {
            (Some(_), Some(_)) => {
                let message = "stands beside prompts: keep one of the two";
                faults.push(Fault::new(format!("{key}.prompt_file"), message));
            }
            (None, None) => {
                let message = "none is given: write prompts: [\"...\"] or prompt_file: FILE";
                faults.push(Fault::new(format!("{key}.prompts"), message));
            }
            (Some(prompts), None) if prompts.is_empty() => {
                let message = "is empty: write one prompt or more; \"\" is the empty prompt";
                faults.push(Fault::new(format!("{key}.prompts"), message));
            }
            _ => {}
        }
        let scale = self.cfg.as_ref().and_then(|cfg| cfg.scale);
        if let Some(scale) = scale.filter(|scale| !scale.is_finite()) {
            let message = format!("is {scale}, expected a number, 1 for no guidance");
            faults.push(Fault::new(format!("{key}.cfg.scale"), message));
        }
        if let Some(size) = self.size
            && !size.iter().all(|side| (1..=MAX_PIXELS).contains(side))
        {
            let message = format!("is {size:?}, expected [height, width] of 1 to {MAX_PIXELS}");
            faults.push(Fault::new(format!("{key}.size"), message));
        }
        faults
    }
}
