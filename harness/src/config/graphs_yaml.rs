//! The graphs of a bundle: files, names and order of axes.

use serde::{Deserialize, Deserializer, Serialize};

/// The graphs of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphsYaml {
    /// The plain forward graph.
    pub denoiser: DenoiserGraphYaml,
    /// The same network with its `Dropout` nodes kept; same input and output names.
    #[serde(default)]
    pub train: Option<TrainGraphYaml>,
}

/// The plain forward graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserGraphYaml {
    /// File in the bundle.
    pub file: String,
    /// Order of the axes of states and predictions.
    #[serde(default)]
    pub layout: Layout,
    /// Names of the inputs.
    pub inputs: InputsYaml,
    /// Names of the outputs.
    pub outputs: OutputsYaml,
}

/// Order of the axes of states and predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[b, c, h, w]`.
    #[default]
    Nchw,
    /// `[b, h, w, c]`, as TensorFlow and JAX export.
    Nhwc,
}

/// Names of the inputs of a denoiser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputsYaml {
    /// State, f32 `[b, c, h, w]`.
    #[serde(deserialize_with = "port_name")]
    pub x: String,
    /// Time, `[b]`, or `[1]` or `[]` where all rows of a call share it; i32, i64, f16, f32 or f64.
    #[serde(deserialize_with = "port_name")]
    pub t: String,
    /// Class, i64 or i32 `[b]`, or f32 `[b, k]` of which the class is 1 and all others are 0.
    #[serde(default)]
    pub y: Option<String>,
}

/// Names of the outputs of a denoiser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputsYaml {
    /// Prediction, f32 `[b, c, h, w]`, or `[b, 2 c, h, w]` with learned variances behind.
    #[serde(deserialize_with = "port_name")]
    pub prediction: String,
}

/// The train-mode graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainGraphYaml {
    /// File in the bundle.
    pub file: String,
}

/// A name; empty for `null` without quotes, which YAML reads as nothing and a plain string as the word.
fn port_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}
