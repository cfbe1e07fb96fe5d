//! What names a pipeline in a plan: the bytes of every file that it is made of, and what it is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::request::Pipeline;
use crate::canonical::fingerprint;
use crate::graph::{ElementType, Model, Port};
use crate::model::ModelError;
use crate::model::bundle::files::sha256_file;
use crate::model::text::TextTokenizer;

/// Name of the entry that stands for prompts, guidance and size.
pub(super) const REQUEST: &str = "prompts, cfg and size of the experiment";

/// SHA-256 of every file by its path in the folder, external weights and tokenizer included, and of what is asked.
///
/// # Errors
/// [`ModelError::Bundle`] for a file that cannot be read, and for a graph that is damaged.
pub fn identity(pipeline: &Pipeline) -> Result<BTreeMap<String, String>, ModelError> {
    let root = &pipeline.folder.path;
    let mut hashes = BTreeMap::new();
    for path in files(pipeline)? {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let digest = sha256_file(&path).map_err(|error| fault(&path, &error.to_string()))?;
        hashes.insert(name, digest);
    }
    let Pipeline { prompts, negative, zero_negative, scale, shape, .. } = pipeline;
    let negative = (!zero_negative).then_some(negative);
    hashes.insert(REQUEST.to_owned(), fingerprint(&(prompts, negative, scale, shape)));
    Ok(hashes)
}

/// Bytes of the files of a pipeline.
///
/// # Errors
/// As [`identity`].
pub fn weight_bytes(pipeline: &Pipeline) -> Result<u64, ModelError> {
    let size = |path: &PathBuf| std::fs::metadata(path).map(|found| found.len());
    let sizes = files(pipeline)?;
    sizes.iter().map(|path| size(path).map_err(|error| fault(path, &error.to_string()))).sum()
}

fn files(pipeline: &Pipeline) -> Result<Vec<PathBuf>, ModelError> {
    let folder = &pipeline.folder;
    let mut files = folder.files();
    for path in folder.files() {
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let beside = path.parent().unwrap_or(&folder.path).to_owned();
            files.extend(external(&path)?.into_iter().map(|name| beside.join(name)));
        }
    }
    for part in &folder.texts {
        let tokenizer = folder.path.join(part.tokenizer);
        files.extend(TextTokenizer::files(&tokenizer).into_iter().map(|name| tokenizer.join(name)));
    }
    Ok(files)
}

/// Files of the weights of a graph, whose inputs and outputs must be what a pipeline feeds and takes.
pub(super) fn external(graph: &Path) -> Result<Vec<String>, ModelError> {
    let model = Model::read(graph).map_err(|error| {
        let text = error.to_string();
        let prefix = format!("{}: ", graph.display());
        fault(graph, text.strip_prefix(&prefix).unwrap_or(&text))
    })?;
    let ports = model.inputs().into_iter().chain(model.outputs());
    let half = |port: &Port| [ElementType::F16, ElementType::Bf16].contains(&port.element);
    if let Some(port) = ports.into_iter().find(half) {
        let message = format!(
            "`{}` is {}, as of an export with --fp16 or --dtype: export the pipeline in float32; `dubench graph half` then halves the weights of a graph and keeps its inputs and outputs",
            port.name,
            if port.element == ElementType::F16 { "float16" } else { "bfloat16" }
        );
        return Err(fault(graph, &message));
    }
    Ok(model.external_files().into_iter().collect())
}

fn fault(path: &Path, message: &str) -> ModelError {
    ModelError::Bundle { path: path.display().to_string(), message: message.to_owned() }
}
