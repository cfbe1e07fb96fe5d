//! Which model an experiment runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::precision_yaml::PrecisionYaml;
use super::{CfgYaml, PipelineConfig};
use crate::schedule::ScheduleConfig;

/// Where the noise predictions come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    /// An ONNX bundle: a folder with `model.yaml`.
    Bundle {
        /// The folder, relative to the experiment file.
        path: PathBuf,
        /// Classifier-free guidance; left out, that of the bundle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cfg: Option<CfgYaml>,
        /// What the network computes in: float32, or bfloat16 on a device that has it.
        #[serde(default, skip_serializing_if = "PrecisionYaml::is_float32")]
        precision: PrecisionYaml,
    },
    /// A text-to-image pipeline, as Optimum and diffusers write one.
    Pipeline(PipelineConfig),
    /// A network with a closed form, for tests and teaching.
    Analytic(AnalyticConfig),
}

/// Images `x_0 ~ N(mean, std^2 I)`, for which
/// `E[epsilon | x_t] = s_t (x_t - a_t mean) / (a_t^2 std^2 + s_t^2)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyticConfig {
    /// `[c, h, w]` of the images; `c` is 3.
    pub shape: [usize; 3],
    /// Mean of every pixel, in [-1, 1].
    pub mean: f64,
    /// Standard deviation of every pixel, above 0.
    pub std: f64,
    /// Noise schedule of the imagined training.
    pub schedule: ScheduleConfig,
    /// Whether it has a dropout element for each output element.
    #[serde(default)]
    pub dropout: bool,
    /// Number of classes, whose means lie 0.1 apart; left out for none.
    pub classes: Option<u32>,
    /// Variance of the one bias of its last layer, for `BayesDiff`; left out for certain weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_variance: Option<f64>,
}
