//! Models and feature networks from their folders.

use std::path::Path;

use crate::config::Preprocess;
use crate::model::ExtractorId;
use crate::plan::ModelIdentity;
use crate::store::digest::sha256_of_file;

use super::StageError;

/// Identity of a bundle: its name and the hash of every file that it declares.
pub fn identity(folder: &Path) -> Result<ModelIdentity, StageError> {
    let _ = folder;
    todo!()
}

/// Identity of a feature network.
pub fn extractor_id(
    folder: &Path,
    name: &str,
    preprocess: Preprocess,
) -> Result<ExtractorId, StageError> {
    let sha256 = sha256_of_file(&folder.join("model.onnx"))?;
    Ok(ExtractorId {
        name: name.to_owned(),
        sha256,
        preprocess: preprocess.as_str().to_owned(),
        dim: 2048,
    })
}
