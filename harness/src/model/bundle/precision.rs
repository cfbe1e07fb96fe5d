//! A network works in the precision that its description says.

use std::path::Path;

use super::files::fault;
use crate::config::ModelYaml;
use crate::config::model_yaml::MODEL_FILE;
use crate::config::precision_yaml::PrecisionYaml;
use crate::graph::{ElementType, Model};
use crate::model::ModelError;

/// Precision of most of the weights of a graph.
pub(in crate::model) fn of_graph(model: &Model) -> PrecisionYaml {
    match model.weight_type() {
        ElementType::F16 => PrecisionYaml::Float16,
        ElementType::Bf16 => PrecisionYaml::Bfloat16,
        _ => PrecisionYaml::Float32,
    }
}

/// Refuses a description that says another precision than the forward graph has: a table would name the wrong one.
pub(super) fn check(folder: &Path, model: &ModelYaml) -> Result<(), ModelError> {
    let file = &model.graphs.denoiser.file;
    let path = folder.join(file);
    let graph = Model::read(&path).map_err(|error| fault(&path, error.to_string()))?;
    let (said, found) = (model.precision, of_graph(&graph));
    if said == found {
        return Ok(());
    }
    let message = format!(
        "precision is {}, and most weights of {file} are {}: write `precision: {}`",
        said.as_str(),
        found.as_str(),
        found.as_str()
    );
    Err(fault(&folder.join(MODEL_FILE), message))
}
