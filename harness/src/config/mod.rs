//! Experiment files. The only door to `serde_yaml`.
//!
//! One YAML file asks one question. Reading goes in two passes: serde refuses unknown keys, wrong
//! types and unknown variants with the key path; `validate` then refuses values that cannot work
//! together, all of them at once, again with key paths.

pub mod bundled;
pub mod error;
pub mod estimator;
pub mod experiment;
pub mod extractor_yaml;
pub mod guidance;
pub mod guidance_mask;
pub mod model;
pub mod model_yaml;
pub mod preset;
pub mod protocol;
pub mod published;
pub mod reader;
pub mod reconstruction;
pub mod sampler;
pub mod scale;
#[cfg(test)]
mod tests;
mod validate;
mod validate_arms;
mod validate_guidance;
mod validate_values;

pub use error::{ConfigError, Fault};
pub use estimator::{ControlConfig, EstimatorConfig};
pub use experiment::Experiment;
pub use extractor_yaml::ExtractorYaml;
pub use guidance::{DirectionConfig, GuidanceArm, GuidanceConfig, RuleConfig, SweepConfig};
pub use guidance_mask::MaskConfig;
pub use model::{AnalyticConfig, ModelConfig};
pub use model_yaml::{ModelYaml, Prediction, TaskYaml};
pub use preset::{Defaults, Preset};
pub use protocol::{CurveConfig, FeaturesConfig, Preprocess, ProtocolConfig, ReferenceConfig};
pub use published::{PublishedConfig, PublishedMethod, PublishedSetting, PublishedTable};
pub use reader::read_yaml;
pub use reconstruction::{
    ArmImages, LateWindow, NoiseLevel, ReconstructionArm, ReconstructionConfig,
};
pub use sampler::{Clip, FinalAlphaBar, GridConfig, SamplerConfig, ScheduleConfig};
pub use scale::{GateConfig, ScaleConfig};
