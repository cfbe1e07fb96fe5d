//! A pipeline with what it is asked for.

use std::path::Path;

use super::prompts;
use crate::config::pipeline::{Family, PipelineFolder};
use crate::config::{ConfigError, PipelineConfig};
use crate::model::ModelError;
use crate::schedule::TimeAxis;

/// A pipeline with prompts, guidance and size; its graphs are not opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// What its folder says.
    pub folder: PipelineFolder,
    /// Prompts: sample `id` is of prompt `id % n`.
    pub prompts: Vec<String>,
    /// What stands for no prompt.
    pub negative: String,
    /// Whether states of zeros stand for no prompt: Stable Diffusion XL where no negative prompt is given.
    pub zero_negative: bool,
    /// Scale of classifier-free guidance.
    pub scale: f64,
    /// `[c, h, w]` of the latents.
    pub shape: [usize; 3],
}

impl Pipeline {
    /// Reads the descriptions of a pipeline and its prompts; paths of `config` start at `base`.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for files that are missing, of another library or version, or say what is not understood, and
    /// for prompts that are no text.
    pub fn read(config: &PipelineConfig, base: &Path) -> Result<Self, ModelError> {
        let folder = PipelineFolder::read(&base.join(&config.path)).map_err(described)?;
        let shape = folder.shape(config.size).map_err(described)?;
        let prompts = prompts::of(config, base)?;
        let cfg = config.cfg.clone().unwrap_or_default();
        let scale = cfg.scale.unwrap_or_else(|| folder.family.guidance());
        let zero_negative = cfg.negative.is_none()
            && folder.family == Family::StableDiffusionXl
            && folder.index.zeros_for_none;
        let negative = cfg.negative.unwrap_or_default();
        Ok(Self { folder, prompts, negative, zero_negative, scale, shape })
    }

    /// The negative prompt, for people; nothing where zeros stand for it.
    pub fn told_negative(&self) -> Option<&str> {
        (!self.zero_negative).then_some(self.negative.as_str())
    }

    /// What the times of its schedule are.
    pub fn axis(&self) -> TimeAxis {
        self.folder.scheduler.schedule.axis()
    }

    /// Whether the negative prompt has any weight.
    #[expect(clippy::float_cmp, reason = "a scale of 1 is written as 1")]
    pub(super) fn guides(&self) -> bool {
        self.scale != 1.0
    }
}

/// An error of a description, with its path told apart.
pub(super) fn described(error: ConfigError) -> ModelError {
    let path = error.path().display().to_string();
    let text = error.to_string();
    let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(&text).to_owned();
    ModelError::Bundle { path, message }
}
