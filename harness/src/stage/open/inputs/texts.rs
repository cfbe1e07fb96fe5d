//! What a text-to-image model is asked for, and what its images are held against.

use std::path::Path;

use crate::config::pipeline::{ClipFolder, PipelineIndex};
use crate::config::{Common, ModelConfig, ScaleConfig};
use crate::model::pipeline;
use crate::protocol::Texts;
use crate::stage::StageError;

/// Prompts of a scale's model; `None` of one that takes no text.
///
/// # Errors
/// [`StageError::Model`] for a file of prompts that cannot be read.
pub fn prompts(common: &Common, sizes: &ScaleConfig) -> Result<Option<Vec<String>>, StageError> {
    match common.model_of(sizes) {
        ModelConfig::Pipeline(config) => Ok(Some(pipeline::prompts(config, &common.folder)?)),
        ModelConfig::Analytic(_) | ModelConfig::Bundle { .. } => Ok(None),
    }
}

/// What a scale's model is asked for; `None` of one that takes no text.
///
/// # Errors
/// As [`prompts`]; [`StageError::Config`] for a pipeline that cannot be read.
pub fn texts(common: &Common, sizes: &ScaleConfig) -> Result<Option<Texts>, StageError> {
    let (Some(prompts), ModelConfig::Pipeline(config)) =
        (prompts(common, sizes)?, common.model_of(sizes))
    else {
        return Ok(None);
    };
    let note = PipelineIndex::read(&common.resolve(&config.path))?.note;
    Ok(Some(Texts { prompts, note }))
}

/// The CLIP export in a folder, and the prompts that images are held against.
///
/// # Errors
/// As [`prompts`]; [`StageError::Config`] for a folder that is none.
pub fn clip(
    common: &Common,
    sizes: &ScaleConfig,
    path: &Path,
) -> Result<(ClipFolder, Vec<String>), StageError> {
    let prompts = prompts(common, sizes)?;
    let prompts = prompts.ok_or(StageError::Absent { what: "prompt (a text-to-image model)" })?;
    Ok((ClipFolder::read(&common.resolve(path))?, prompts))
}
