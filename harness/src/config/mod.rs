//! The sections of an experiment file, and descriptions of models and feature networks. The only door to `serde_yaml`.
//!
//! Reading goes in two passes: serde refuses unknown keys, wrong types and unknown variants with the key path;
//! [`validate`] and the protocols then refuse values that cannot work together, all of them at once, again with key
//! paths. Samplers, estimators, controls, rules and protocols have their settings in their own files.

mod base_paths;
pub mod common;
mod condition_yaml;
pub mod error;
pub(crate) mod extends;
pub mod extractor_yaml;
pub mod features;
mod graphs_yaml;
mod locate;
pub mod model;
mod model_faults;
mod model_label;
pub mod model_yaml;
pub mod pipeline;
pub mod precision_yaml;
pub mod preset;
pub mod published;
pub mod reader;
mod role;
pub mod scale;
pub mod snippet;
mod starts;
mod task_yaml;
mod time_yaml;
pub mod validate;
pub mod values;

pub use common::Common;
pub use condition_yaml::{CfgYaml, ConditionYaml, NullYaml};
pub use error::ConfigError;
pub use extractor_yaml::ExtractorYaml;
pub use features::{FeaturesConfig, GeneratedImages, NAMED_IMAGES, Preprocess, ReferenceConfig};
pub use model::{AnalyticConfig, ModelConfig};
pub use model_yaml::{ModelYaml, Prediction, TaskYaml};
pub use pipeline::{PipelineCfg, PipelineConfig, PipelineFolder, Scheduler};
pub use preset::Preset;
pub use published::{PublishedConfig, PublishedMethod, PublishedSetting, PublishedTable};
pub use reader::read_yaml;
pub use role::Role;
pub use scale::{ArmImages, GateConfig, ScaleConfig};
pub use starts::StartsConfig;
