//! What a table calls a model.

use super::precision_yaml::PrecisionYaml;
use super::{CfgYaml, ModelYaml};

impl ModelYaml {
    /// The name in tables: that of the bundle, with a precision other than float32 and a scale of classifier-free
    /// guidance other than 1. `cfg` is what an experiment says of the latter, `computed` what it computes in.
    pub fn label(&self, cfg: Option<&CfgYaml>, computed: PrecisionYaml) -> String {
        let mut label = self.name.clone();
        if self.precision != PrecisionYaml::Float32 {
            label = format!("{label}, {}", self.precision.as_str());
        }
        if computed != PrecisionYaml::Float32 {
            label = format!("{label}, computed in {}", computed.as_str());
        }
        let scale = cfg.cloned().unwrap_or_default().over(self.cfg.as_ref()).scale;
        match scale.filter(|&scale| scale != 1.0) {
            Some(scale) => format!("{label}, guidance scale {scale}"),
            None => label,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::model_yaml::MODEL_FILE;
    use crate::config::precision_yaml::PrecisionYaml;
    use crate::config::reader::parse;
    use crate::config::{CfgYaml, ModelYaml};

    fn model(more: &str) -> ModelYaml {
        let text = format!(
            "{{format: 1, name: tiny, task: {{kind: denoiser, image: [3, 8, 8], range: [-1, 1], classes: null}}, \
             prediction: epsilon, schedule: {{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}, \
             graphs: {{denoiser: {{file: d.onnx, inputs: {{x: x, t: t, y: null}}, outputs: {{prediction: eps}}}}}}, \
             files: {{}}{more}}}"
        );
        parse(MODEL_FILE.as_ref(), &text).unwrap()
    }

    #[test]
    fn what_departs_from_the_plain_network_is_said() {
        let plain = PrecisionYaml::Float32;
        let scale = |scale: f64| CfgYaml { scale: Some(scale), null: None };
        assert_eq!(model("").label(None, plain), "tiny");
        assert_eq!(model(", precision: float32").label(Some(&scale(1.0)), plain), "tiny");
        assert_eq!(model("").label(Some(&scale(0.4)), plain), "tiny, guidance scale 0.4");
        let guided = model(", precision: float16, cfg: {scale: 7.5}");
        assert_eq!(guided.label(None, plain), "tiny, float16, guidance scale 7.5");
        assert_eq!(model("").label(None, PrecisionYaml::Bfloat16), "tiny, computed in bfloat16");
        // An experiment has the last word.
        assert_eq!(guided.label(Some(&scale(2.0)), plain), "tiny, float16, guidance scale 2");
    }
}
