//! Text-to-image pipelines as Optimum and diffusers write them: a folder of JSON and ONNX files, read as it is.
//!
//! What `model.yaml` is to a bundle, `model_index.json`, the `config.json` of each part and
//! `scheduler/scheduler_config.json` are to a pipeline. Keys that change what is computed are understood or refused.

mod classes;
mod clip;
mod decoder;
mod family;
mod folder;
mod index;
mod json;
mod keys;
mod scheduler;
mod settings;
#[cfg(test)]
mod tests;

pub use clip::{ClipFiles, ClipFolder, ClipPixels};
pub use family::{Family, NetworkNames, T5_LENGTH, TextPart};
pub use folder::{LatentScale, PipelineFolder};
pub use index::{INDEX_FILE, PipelineIndex};
pub use scheduler::Scheduler;
pub use settings::{PipelineCfg, PipelineConfig};
