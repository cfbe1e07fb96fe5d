//! Who models and feature networks are, by their descriptions: quick, and enough to name a plan.

use std::path::Path;

use crate::config::model_yaml::MODEL_FILE;
use crate::config::{ExtractorYaml, ModelYaml, Preprocess};
use crate::model::ExtractorId;
use crate::plan::ModelIdentity;
use crate::store::digest::sha256_of_file;

use crate::stage::StageError;

/// Name of a bundle, the promised hash of each of its files, and the hash of its description.
///
/// # Errors
/// [`StageError::Config`] for a description that is missing or wrong.
pub fn identity(folder: &Path) -> Result<ModelIdentity, StageError> {
    let description = folder.join(MODEL_FILE);
    let model = ModelYaml::read(&description)?;
    let mut files: std::collections::BTreeMap<String, String> =
        model.files.into_iter().map(|(name, file)| (name, file.sha256)).collect();
    files.insert(MODEL_FILE.to_owned(), sha256_of_file(&description)?);
    Ok(ModelIdentity { name: model.name, files })
}

/// Identity of the features that a feature network gives; `preprocess` replaces its own.
///
/// # Errors
/// [`StageError::Config`] for a description that is missing or wrong.
pub fn extractor_id(
    description: &Path,
    preprocess: Option<Preprocess>,
) -> Result<ExtractorId, StageError> {
    let yaml = ExtractorYaml::read(description)?;
    Ok(ExtractorId {
        name: yaml.name,
        sha256: yaml.file.sha256,
        preprocess: preprocess.unwrap_or(yaml.preprocess).as_str().to_owned(),
        dim: yaml.output.dim,
        output: Some(yaml.output.name),
        input_size: Some(yaml.input.size),
    })
}
