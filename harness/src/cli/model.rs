//! `dubench model init` and `dubench model inspect`.

use super::answer::Context;
use super::arguments::{InitOptions, InspectOptions, ModelCommand, RenewOptions};
use super::error::CliError;
use super::model_pipeline;
use super::model_words::NetworkWords;
use super::sample_source::is_pipeline;
use super::session::runtime;
use crate::config::ModelYaml;
use crate::config::model_yaml::{FileYaml, MODEL_FILE};
use crate::exit::Exit;
use crate::model::bundle::init::{Hints, propose};
use crate::model::bundle::{Gradients, SiteSummary, Summary, inspect, renewed};
use crate::model::pipeline;
use crate::store::{StoreError, publish};

pub(super) fn run(command: &ModelCommand, context: Context) -> Result<Exit, CliError> {
    let options = match command {
        ModelCommand::Init(options) => return init(options, context),
        ModelCommand::Renew(options) => return renew(options, context),
        ModelCommand::Inspect(options) => options,
    };
    if is_pipeline(&options.bundle) {
        return inspect_pipeline(options, context);
    }
    let summary = summary(options)?;
    context.answer(&summary, &text(&summary))?;
    Ok(Exit::Complete)
}

fn init(options: &InitOptions, context: Context) -> Result<Exit, CliError> {
    if !options.folder.is_dir() {
        let shown = options.folder.display().to_string();
        let expected =
            "a folder that holds exported graphs, as denoiser.onnx: make it and put them there";
        return Err(CliError::option("FOLDER", &shown, expected));
    }
    let path = options.folder.join(MODEL_FILE);
    if path.exists() {
        let shown = path.display().to_string();
        return Err(CliError::option(
            "FOLDER",
            &shown,
            "a folder without a description: move it aside, or run `dubench model renew` where its graphs were exported again",
        ));
    }
    let image = match options.image.as_deref() {
        None => None,
        Some(&[c, h, w]) => Some([c, h, w]),
        Some(other) => {
            let expected = "channels, height, width: 3,32,32";
            let got: Vec<String> = other.iter().map(usize::to_string).collect();
            return Err(CliError::option("--image", &got.join(","), expected));
        }
    };
    let hints = Hints { graph: options.graph.clone(), image, classes: options.classes };
    let proposal = propose(&options.folder, &hints)?;
    publish(&path, proposal.yaml.as_bytes()).map_err(StoreError::write(&path))?;
    let lines = |title: &str, lines: &[String]| -> String {
        lines.iter().flat_map(|line| ["\n  ", title, "  ", line.as_str()]).collect()
    };
    let text = format!(
        "{}{}{}",
        path.display(),
        lines("found", &proposal.found),
        lines("check", &proposal.check)
    );
    context.answer(&proposal, &text)?;
    Ok(Exit::Complete)
}

fn renew(options: &RenewOptions, context: Context) -> Result<Exit, CliError> {
    // A folder of no bundle is a wrong option here as in every other command.
    ModelYaml::read(&options.bundle.join(MODEL_FILE))?;
    let renewal = renewed(&options.bundle)?;
    let path = &renewal.path;
    if !renewal.renewed.is_empty() {
        publish(path, renewal.yaml.as_bytes()).map_err(StoreError::write(path))?;
    }
    let line = |(name, now): (&String, &FileYaml)| {
        format!("\n  renewed  {name}: sha256 {}, {} bytes", now.sha256, now.bytes)
    };
    let lines: String = renewal.renewed.iter().map(line).collect();
    let nothing =
        if lines.is_empty() { ": its files are as it says, nothing is renewed" } else { "" };
    context.answer(&renewal, &format!("{}{nothing}{lines}", path.display()))?;
    Ok(Exit::Complete)
}

fn summary(options: &InspectOptions) -> Result<Summary, CliError> {
    let runtime = runtime(&options.device, options.device.batch.unwrap_or(32))?;
    // A folder of no bundle is a wrong option here as in every other command.
    ModelYaml::read(&options.bundle.join(MODEL_FILE))?;
    Ok(inspect(&options.bundle, &runtime, &gradients(options))?)
}

fn inspect_pipeline(options: &InspectOptions, context: Context) -> Result<Exit, CliError> {
    let runtime = runtime(&options.device, options.device.batch.unwrap_or(4))?;
    let summary = pipeline::inspect(&options.bundle, &runtime, &gradients(options))?;
    context.answer(&summary, &model_pipeline::text(&summary))?;
    Ok(Exit::Complete)
}

fn gradients(options: &InspectOptions) -> Gradients {
    if options.gradients { Gradients::Derive { n_draws: Vec::new() } } else { Gradients::None }
}

fn text(summary: &Summary) -> String {
    let dropout = match (&summary.dropout_mask_len, &summary.dropout_reason) {
        (Some(len), _) => format!("applicable, {len} mask elements an image{}", sites(summary)),
        (None, Some(reason)) => format!("not applicable: {reason}"),
        (None, None) => "not applicable".to_owned(),
    };
    let network = &summary.network;
    let NetworkWords { inputs, outputs, memory, gradients, self_test, noise, warnings } =
        NetworkWords::of(network);
    let weights = match summary.storage {
        stored if stored == summary.precision => stored.to_owned(),
        stored => format!("{}, stored in {stored}", summary.precision),
    };
    let classes = summary.n_classes.map_or("unconditional".to_owned(), |n| format!("{n} classes"));
    format!(
        "{}\n  state       {:?}, {classes}\n  prediction  {}\n  inputs      {inputs}\n  outputs     {outputs}\n  weights     {weights}\n  memory      {memory}\n  MC-Dropout  {dropout}\n  gradients   {gradients}\n  self-test   {self_test}\n  noise       {noise}\n  files       {} checked by SHA-256{warnings}",
        network.name,
        network.shape,
        network.prediction,
        network.files.len()
    )
}

/// One line a dropout site: its name and probability.
fn sites(summary: &Summary) -> String {
    let line = |site: &SiteSummary| {
        let idle = if site.p > 0.0 { "" } else { ", drops nothing" };
        format!("\n    site {}, p = {}{idle}", site.node, site.p)
    };
    summary.dropout_sites.iter().map(line).collect()
}
