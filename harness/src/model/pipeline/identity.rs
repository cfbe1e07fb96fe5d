//! What names a pipeline in a plan: the bytes of every file that it is made of, and what it is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::request::Pipeline;
use crate::canonical::fingerprint;
use crate::config::precision_yaml::PrecisionYaml;
use crate::graph::{ElementType, Model, Port};
use crate::model::ModelError;
use crate::model::bundle::files::sha256_file;
use crate::model::bundle::precision_of;
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

/// Name in tables, with the precision of the network's weights where that is not float32.
///
/// # Errors
/// As [`identity`].
pub fn label(pipeline: &Pipeline) -> Result<String, ModelError> {
    let graph = pipeline.folder.graph(pipeline.folder.family.network());
    let model = Model::read(&graph).map_err(|error| ModelError::of_graph(&graph, &error))?;
    let name = &pipeline.folder.name;
    Ok(match precision_of(&model) {
        PrecisionYaml::Float32 => name.clone(),
        precision => format!("{name}, {}", precision.as_str()),
    })
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
pub(in crate::model) fn external(graph: &Path) -> Result<Vec<String>, ModelError> {
    let model = Model::read(graph).map_err(|error| ModelError::of_graph(graph, &error))?;
    let ports = model.inputs().into_iter().chain(model.outputs());
    let brain = |port: &Port| port.element == ElementType::Bf16;
    if let Some(port) = ports.into_iter().find(brain) {
        let message = format!(
            "`{}` is bfloat16, as of an export with --dtype bf16: export the pipeline in float32 or, by --fp16, in float16",
            port.name
        );
        return Err(fault(graph, &message));
    }
    Ok(model.external_files().into_iter().collect())
}

fn fault(path: &Path, message: &str) -> ModelError {
    ModelError::Bundle { path: path.display().to_string(), message: message.to_owned() }
}
