//! What a YAML file is to its reader.

/// What a YAML file is to its reader, which its errors say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An experiment.
    Experiment,
    /// What an experiment extends.
    Base,
    /// `model.yaml` of a bundle.
    Bundle,
    /// A feature network.
    Extractor,
    /// Published numbers.
    Published,
    /// Pins of what is fetched.
    Assets,
    /// What a paper claims.
    Claims,
    /// A part of a text-to-image pipeline.
    Pipeline,
    /// A part of a CLIP export.
    Clip,
}

impl Role {
    /// What is expected, and the remedy.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Experiment => "expected an experiment file: check its path",
            Self::Base => {
                "expected what `extends` names: a file, relative to the one that names it, or an installed experiment (`dubench doctor` says where those are)"
            }
            Self::Bundle => {
                "expected the model.yaml of a bundle, or the model_index.json of a pipeline: name the folder that holds it (`model.path` in an experiment); one of a published checkpoint is imported first (docs/importing.md)"
            }
            Self::Extractor => {
                "expected the description of a feature network: check `features.path` of the experiment, or --extractor"
            }
            Self::Pipeline => {
                "expected a pipeline as Optimum writes it, with model_index.json, scheduler/, unet/, text_encoder/, tokenizer/ and vae_decoder/: export it again, or check its path"
            }
            Self::Clip => {
                "expected CLIP as Optimum writes it, with model.onnx, config.json, preprocessor_config.json and a tokenizer: export it again, or check `features.path`"
            }
            Self::Published => {
                "expected a table of published numbers: check `published.file` of the experiment"
            }
            Self::Assets => {
                "expected the list of pins, experiments/assets.yaml: run this in a checkout, or install dubench again"
            }
            Self::Claims => "expected the claims of a paper: check --claims",
        }
    }
}
