//! A first `model.yaml` of the graphs in a folder: what can be found out is written, what only people know is marked.

mod ports;
mod roles;
mod sizes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::files::{external_files, fault, sha256_file};
use super::precision::Precision;
use crate::config::ModelYaml;
use crate::config::model_yaml::{Layout, MODEL_FILE};
use crate::config::precision_yaml::PrecisionYaml;
use crate::graph::Model;
use crate::model::ModelError;
use ports::{Found, Ports};
use roles::roles;

/// Factor of the latents of Stable Diffusion 1, whose autoencoder the published U-ViT takes too.
const SCALE: &str = "0.18215";

/// What the caller says of the network, where the graph does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// File of the forward graph.
    pub graph: Option<String>,
    /// `[c, h, w]` of the state.
    pub image: Option<[usize; 3]>,
    /// Number of classes.
    pub classes: Option<u32>,
}

/// A description, and what to look at in it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Proposal {
    /// Text of `model.yaml`.
    pub yaml: String,
    /// What was found out.
    pub found: Vec<String>,
    /// What only the people who trained the network know.
    pub check: Vec<String>,
}

/// The description of the graphs in `folder`.
///
/// # Errors
/// [`ModelError::Bundle`] where there is no graph, or several that could be the network; for inputs and outputs of no
/// known role; for sizes that the graph leaves open and nobody gives.
pub fn propose(folder: &Path, hints: &Hints) -> Result<Proposal, ModelError> {
    let graphs = graphs(folder)?;
    let (forward, train) = roles(folder, &graphs, hints)?;
    let (path, model) = (folder.join(forward), &graphs[position(&graphs, forward)].1);
    let ports = Ports::of(model).map_err(|message| fault(&path, message))?;
    let mut found = ports.read(hints).map_err(|message| fault(&path, message))?;
    let task = Task::of(folder, &graphs, &found)?;
    found.check.push(task.check);
    let mut text = head(folder, &found, &task.yaml);
    let precision = Precision::of(model);
    if precision.computed != PrecisionYaml::Float32 {
        let _ = writeln!(text, "precision: {}", precision.computed.as_str());
    }
    if precision.stored != precision.computed {
        let _ = writeln!(text, "storage: {}", precision.stored.as_str());
    }
    let _ = writeln!(
        text,
        "graphs:\n  denoiser: {{file: {forward}, {}inputs: {{x: {}, t: {}, y: {}}}, outputs: {{prediction: {}}}}}",
        layout(found.layout),
        quoted(&found.x),
        quoted(&found.t),
        found.y.as_deref().map_or("null".to_owned(), quoted),
        quoted(&found.output),
    );
    if let Some(train) = train {
        let _ = writeln!(text, "  train: {{file: {train}}}");
    }
    text.push_str(&conditions(folder, &found)?);
    text.push_str(&files(folder, &graphs, &found)?);
    text.push_str(
        "provenance:\n  training_data: unknown   # CHECK\n  licence: unknown   # CHECK\n",
    );
    let yaml = text;
    let path = folder.join(MODEL_FILE);
    ModelYaml::of_text(&path, &yaml).map_err(|error| fault(&path, error.to_string()))?;
    Ok(Proposal { yaml, found: report(forward, train, &found), check: found.check })
}

type Graphs = Vec<(String, Model)>;

fn graphs(folder: &Path) -> Result<Graphs, ModelError> {
    let entries = std::fs::read_dir(folder).map_err(|error| fault(folder, error.to_string()))?;
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fault(folder, error.to_string()))?.path();
        if path.extension().is_some_and(|end| end == "onnx") {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    if names.is_empty() {
        let message = "there is no .onnx file in it: export the forward graph of the network there";
        return Err(fault(folder, message.to_owned()));
    }
    let read = |name: String| {
        let path = folder.join(&name);
        let model = Model::read(&path).map_err(|error| ModelError::of_graph(&path, &error))?;
        Ok((name, model))
    };
    names.into_iter().map(read).collect()
}

fn position(graphs: &Graphs, name: &str) -> usize {
    graphs.iter().position(|(known, _)| known == name).unwrap_or(0)
}

/// What the network makes, as `task:` says it, and what to look at there.
struct Task {
    yaml: String,
    check: String,
}

impl Task {
    /// A state of one channel or three is an image, any other is a latent of the decoder beside it.
    fn of(folder: &Path, graphs: &Graphs, found: &Found) -> Result<Self, ModelError> {
        let [c, h, w] = found.image;
        let classes = found.classes.map_or("null".to_owned(), |n| n.to_string());
        if [1, 3].contains(&c) {
            let yaml = format!(
                "{{kind: denoiser, image: [{c}, {h}, {w}], range: [-1, 1], classes: {classes}}}   # CHECK range"
            );
            return Ok(Self { yaml, check: "task.range: [-1, 1] is assumed".to_owned() });
        }
        let decoders = graphs.iter().map(|(name, _)| name).filter(|name| name.contains("decoder"));
        let [decoder] = decoders.collect::<Vec<_>>()[..] else {
            let message = format!(
                "the state has {c} channels, which is a latent, and there is no single graph with `decoder` in its name beside it: \
                 export the one that makes images [b, 3, H, W] of latents as decoder.onnx; where the last axis is that of the \
                 channels (`layout: nhwc`), say so by --image C,H,W"
            );
            return Err(fault(folder, message));
        };
        let yaml = format!(
            "{{kind: latent, shape: [{c}, {h}, {w}], scale: {SCALE}, decoder: {}, classes: {classes}}}   # CHECK scale",
            quoted(decoder)
        );
        let check = format!(
            "task.scale: {SCALE} is a guess, that of Stable Diffusion: what latents are multiplied by in training"
        );
        Ok(Self { yaml, check })
    }
}

/// The key `layout`, where it is not the one that is meant without it.
fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "",
        Layout::Nhwc => "layout: nhwc, ",
    }
}

fn head(folder: &Path, found: &Found, task: &str) -> String {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("mine");
    format!(
        "# Written by `dubench model init`. Lines with CHECK are what a graph cannot say: correct them, then run\n\
         # `dubench model inspect` on this folder.\n\
         format: 1\n\
         name: {}\n\
         task: {task}\n\
         prediction: {}   # CHECK\n\
         schedule: {}   # CHECK\n\
         time: {}   # CHECK\n",
        quoted(name),
        found.guess.prediction,
        found.guess.schedule,
        found.guess.time,
    )
}

/// A name as a YAML string, in quotes where it would be read as something else.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// Inputs that are bound to files: `NAME.npy` for the input `NAME`.
fn conditions(folder: &Path, found: &Found) -> Result<String, ModelError> {
    let mut text = String::new();
    for name in &found.conditions {
        let path = folder.join(condition_file(name));
        if !path.is_file() {
            let message = format!(
                "is missing: the graph takes `{name}`, which is neither state, time nor class. Put its value there, one row for all \
                 samples or a row a sample, and run again"
            );
            return Err(fault(&path, message));
        }
        text.push_str(if text.is_empty() { "conditions:\n" } else { "" });
        let _ = writeln!(text, "  {}: {{file: {}}}", quoted(name), quoted(&condition_file(name)));
    }
    Ok(text)
}

fn condition_file(name: &str) -> String {
    format!("{name}.npy")
}

/// Every graph, every file of weights and every condition, with size and hash.
fn files(folder: &Path, graphs: &Graphs, found: &Found) -> Result<String, ModelError> {
    let mut names: BTreeSet<String> = graphs.iter().map(|(name, _)| name.clone()).collect();
    names.extend(found.conditions.iter().map(|name| condition_file(name)));
    for (name, _) in graphs {
        names.extend(external_files(&folder.join(name))?);
    }
    let mut text = "files:\n".to_owned();
    for name in names {
        let path = folder.join(&name);
        let unreadable = |error: std::io::Error| fault(&path, error.to_string());
        let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
        let sha256 = sha256_file(&path).map_err(unreadable)?;
        let _ = writeln!(text, "  {}: {{sha256: {sha256}, bytes: {bytes}}}", quoted(&name));
    }
    Ok(text)
}

fn report(forward: &str, train: Option<&str>, found: &Found) -> Vec<String> {
    let [c, h, w] = found.image;
    let mut lines = vec![
        format!(
            "forward graph {forward}: state {} [{c}, {h}, {w}]{}, time {}",
            found.x,
            if found.layout == Layout::Nhwc { ", channels last" } else { "" },
            found.t
        ),
        format!("prediction: output {}", found.output),
    ];
    lines.extend(found.y.as_ref().map(|y| format!("class: input {y}")));
    let bound = |name: &String| format!("condition: input {name}, from {}", condition_file(name));
    lines.extend(found.conditions.iter().map(bound));
    lines.extend(train.map(|train| format!("train-mode graph {train}: MC-Dropout")));
    lines
}
