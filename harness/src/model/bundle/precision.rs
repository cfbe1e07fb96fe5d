//! A network works in the precision that its description says, and is stored as it says.

use std::path::Path;

use super::files::fault;
use crate::config::ModelYaml;
use crate::config::model_yaml::MODEL_FILE;
use crate::config::precision_yaml::PrecisionYaml;
use crate::graph::{ElementType, Model};
use crate::model::ModelError;

/// Precision of most of the weights of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Precision {
    /// In which they are computed with.
    pub(super) computed: PrecisionYaml,
    /// In which they lie in the file.
    pub(super) stored: PrecisionYaml,
}

impl Precision {
    pub(super) fn of(model: &Model) -> Self {
        Self { computed: word(model.weight_type()), stored: word(model.storage_type()) }
    }
}

/// In which most of the weights of a graph are computed with.
pub(in crate::model) fn of_graph(model: &Model) -> PrecisionYaml {
    Precision::of(model).computed
}

fn word(element: ElementType) -> PrecisionYaml {
    match element {
        ElementType::F16 => PrecisionYaml::Float16,
        ElementType::Bf16 => PrecisionYaml::Bfloat16,
        _ => PrecisionYaml::Float32,
    }
}

/// Refuses a description that says another precision than the forward graph has: a table would name the wrong one.
pub(super) fn check(folder: &Path, model: &ModelYaml) -> Result<Precision, ModelError> {
    let file = &model.graphs.denoiser.file;
    let path = folder.join(file);
    let graph = Model::read(&path).map_err(|error| ModelError::of_graph(&path, &error))?;
    let found = Precision::of(&graph);
    let refuse = |key: &str, said: PrecisionYaml, is: &str, found: PrecisionYaml| {
        let (said, found) = (said.as_str(), found.as_str());
        let message = format!(
            "{key} is {said}, and most weights of {file} are {is}{found}: write `{key}: {found}`"
        );
        Err(fault(&folder.join(MODEL_FILE), message))
    };
    if model.precision != found.computed {
        return refuse("precision", model.precision, "", found.computed);
    }
    match model.storage.unwrap_or(model.precision) {
        said if said != found.stored => refuse("storage", said, "stored in ", found.stored),
        _ => Ok(found),
    }
}
