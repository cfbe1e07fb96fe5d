//! `dubench graph`: graph surgery for people who never run the harness.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::Array1;
use ndarray_npy::NpzReader;

use super::answer::Context;
use super::arguments::{
    DropoutOptions, GraphCommand, GraphFiles, LastLayerOptions, StepOptions, StepUpdate,
    VarianceGradientOptions, VjpOptions,
};
use super::error::CliError;
use super::output;
use crate::exit::Exit;
use crate::graph::dropout::{KeepScale, to_mask_input};
use crate::graph::last_layer::{WeightVariance, with_variance};
use crate::graph::step::{self, Prediction, Update};
use crate::graph::{ConvGradient, Model, Names, Weights, fused, half, stored, tap, vjp};
use crate::model::onnx::runner;
use crate::store::StoreError;

pub(super) fn run(command: &GraphCommand, context: Context) -> Result<Exit, CliError> {
    let files = files_of(command);
    let forward = Model::read(&files.input)?;
    // Beside the graph itself its weights, which it reads from there.
    let folder = files.input.parent().unwrap_or(Path::new(""));
    let weights = forward.external_files().into_iter().map(|name| folder.join(name));
    let inputs: Vec<PathBuf> = weights.chain([files.input.clone()]).collect();
    output::check(&files.output_file, inputs.iter().map(PathBuf::as_path))?;
    let model = match command {
        GraphCommand::Vjp(options) => vector_jacobian(&forward, options),
        GraphCommand::VarianceGradient(options) => variance_gradient(&forward, options),
        GraphCommand::Dropout(options) => dropout(&forward, options),
        GraphCommand::Tap(options) => Ok(tap::tap(&forward, options.output.as_deref())?),
        GraphCommand::LastLayerVariance(options) => last_layer(&forward, options),
        GraphCommand::Step(options) => whole_step(&forward, options),
        GraphCommand::Half(options) if options.weights => Ok(stored::in_half(&forward)?),
        GraphCommand::Half(_) => Ok(half::half(&forward)?),
    }?;
    model.write(&files.output_file, Weights::Auto)?;
    let names = |ports: Vec<crate::graph::Port>| -> Vec<String> {
        ports.into_iter().map(|port| port.name).collect()
    };
    let (inputs, outputs) = (names(model.inputs()), names(model.outputs()));
    let answer = serde_json::json!({
        "output_file": files.output_file, "n_nodes": model.n_nodes(),
        "inputs": inputs, "outputs": outputs,
    });
    let text = format!(
        "{}: {} nodes, inputs {}, outputs {}",
        files.output_file.display(),
        model.n_nodes(),
        inputs.join(", "),
        outputs.join(", ")
    );
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}

fn files_of(command: &GraphCommand) -> &GraphFiles {
    match command {
        GraphCommand::Vjp(options) => &options.files,
        GraphCommand::VarianceGradient(options) => &options.vjp.files,
        GraphCommand::Dropout(options) => &options.files,
        GraphCommand::Tap(options) => &options.files,
        GraphCommand::LastLayerVariance(options) => &options.tap.files,
        GraphCommand::Step(options) => &options.files,
        GraphCommand::Half(options) => &options.files,
    }
}

fn names(options: &VjpOptions) -> Names<'_> {
    Names { x: options.x.as_deref(), output: options.output.as_deref() }
}

fn vector_jacobian(model: &Model, options: &VjpOptions) -> Result<Model, CliError> {
    let how = vjp::Options { names: names(options), conv: ConvGradient::default() };
    Ok(vjp::vjp(model, how, &runner::open(1)?)?)
}

fn variance_gradient(model: &Model, options: &VarianceGradientOptions) -> Result<Model, CliError> {
    let how = fused::Options {
        names: names(&options.vjp),
        conv: ConvGradient::default(),
        n_draws: options.draws as usize,
    };
    Ok(fused::variance_gradient(model, how, &runner::open(1)?)?)
}

fn whole_step(model: &Model, options: &StepOptions) -> Result<Model, CliError> {
    let clip = match options.clip.as_slice() {
        [] => None,
        [low, high] if low < high => Some([*low, *high]),
        other => {
            let given: Vec<String> = other.iter().map(ToString::to_string).collect();
            return Err(CliError::option("--clip", &given.join(","), "two numbers, as -1,1"));
        }
    };
    let how = step::Options {
        names: Names { x: options.x.as_deref(), output: options.output.as_deref() },
        n_draws: options.draws as usize,
        prediction: if options.line { Prediction::Line } else { Prediction::Epsilon },
        clip,
        update: match options.update {
            StepUpdate::Ddim => Update::Ddim,
            StepUpdate::DpmSolverPp2m => Update::DpmSolverPp2m,
        },
    };
    Ok(step::step(model, how, &runner::open(1)?)?)
}

fn dropout(model: &Model, options: &DropoutOptions) -> Result<Model, CliError> {
    let scale = if options.keep_scale_input { KeepScale::Input } else { KeepScale::OfNode };
    let (masked, _) = to_mask_input(model, scale, &runner::open(1)?)?;
    Ok(masked)
}

fn last_layer(model: &Model, options: &LastLayerOptions) -> Result<Model, CliError> {
    let (weight, bias) = variances(&options.variances)?;
    let variance = WeightVariance { weight: &weight, bias: bias.as_deref() };
    Ok(with_variance(model, options.tap.output.as_deref(), variance)?)
}

/// What `--variances` has to be.
const VARIANCES: &str = "expected an .npz with weight_variance and, where the layer has a bias, bias_variance: f32, one axis each, none below 0";

/// `weight_variance` and, where there is one, `bias_variance`.
fn variances(path: &Path) -> Result<(Vec<f32>, Option<Vec<f32>>), CliError> {
    let refuse = |what: String| StoreError::input(path, format!("{what}; {VARIANCES}"));
    let file = File::open(path).map_err(StoreError::read(path))?;
    let mut npz = NpzReader::new(file).map_err(|error| refuse(error.to_string()))?;
    let names = npz.names().map_err(|error| refuse(error.to_string()))?;
    let mut read = |key: &str| -> Result<Vec<f32>, StoreError> {
        if !names.iter().any(|name| name.trim_end_matches(".npy") == key) {
            return Err(refuse(format!("it has no {key}")));
        }
        let values: Array1<f32> =
            npz.by_name(key).map_err(|error| refuse(format!("{key}: {error}")))?;
        match values.iter().find(|value| !(value.is_finite() && **value >= 0.0)) {
            Some(bad) => Err(refuse(format!("{key} holds {bad}"))),
            None => Ok(values.to_vec()),
        }
    };
    let has_bias = names.iter().any(|name| name.trim_end_matches(".npy") == "bias_variance");
    Ok((read("weight_variance")?, has_bias.then(|| read("bias_variance")).transpose()?))
}
