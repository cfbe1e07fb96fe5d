//! What a model is: its files, and what a plan asks of it.

use std::path::Path;

use crate::canonical::fingerprint;
use crate::config::model_yaml::{MODEL_FILE, TaskYaml};
use crate::config::precision_yaml::PrecisionYaml;
use crate::config::{CfgYaml, Common, ModelConfig, ModelYaml};
use crate::experiment::plan::{Encoding, ModelFacts};
use crate::model::pipeline::{self, Pipeline};
use crate::plan::ModelIdentity;
use crate::stage::StageError;
use crate::stage::open::{ANALYTIC_NAME, identities};

/// Identity of a model, and the facts that plans are held against.
pub(super) fn model_identity(
    common: &Common,
    config: &ModelConfig,
) -> Result<(ModelIdentity, ModelFacts), StageError> {
    match config {
        ModelConfig::Analytic(gaussian) => {
            let facts = ModelFacts {
                axis: gaussian.schedule.axis(),
                shape: gaussian.shape,
                n_classes: gaussian.classes,
                encoding: Encoding::Pixels,
            };
            Ok((ModelIdentity::of_config(ANALYTIC_NAME, config), facts))
        }
        ModelConfig::Pipeline(config) => {
            let pipeline = Pipeline::read(config, &common.folder)?;
            let facts = ModelFacts {
                axis: pipeline.axis(),
                shape: pipeline.shape,
                n_classes: None,
                encoding: Encoding::Missing,
            };
            let (name, files) = (pipeline::label(&pipeline)?, pipeline::identity(&pipeline)?);
            Ok((ModelIdentity { name, files }, facts))
        }
        ModelConfig::Bundle { path, cfg, precision } => {
            of_bundle(&common.resolve(path), cfg.as_ref(), *precision)
        }
    }
}

/// Of a bundle under the guidance and the precision of an experiment, which are part of what it is.
fn of_bundle(
    folder: &Path,
    cfg: Option<&CfgYaml>,
    precision: PrecisionYaml,
) -> Result<(ModelIdentity, ModelFacts), StageError> {
    let model = ModelYaml::read(&folder.join(MODEL_FILE))?;
    let facts = ModelFacts {
        axis: model.schedule.axis(),
        shape: model.task.shape(),
        n_classes: model.task.classes(),
        encoding: encoding(&model.task),
    };
    let mut identity = identities::identity(folder)?;
    identity.name = model.label(cfg, precision);
    if precision != PrecisionYaml::Float32 {
        identity.files.insert("precision of the experiment".to_owned(), fingerprint(&precision));
    }
    if let Some(cfg) = cfg {
        identity.files.insert("cfg of the experiment".to_owned(), fingerprint(cfg));
    }
    Ok((identity, facts))
}

fn encoding(task: &TaskYaml) -> Encoding {
    match task {
        TaskYaml::Denoiser { .. } => Encoding::Pixels,
        TaskYaml::Latent { encoder: Some(_), .. } => Encoding::Encoder,
        TaskYaml::Latent { encoder: None, .. } => Encoding::Missing,
    }
}
