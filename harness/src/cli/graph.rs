//! `dubench graph`: graph surgery for people who never run the harness.

use std::fs::File;
use std::path::Path;

use ndarray::Array1;
use ndarray_npy::NpzReader;

use super::answer::Context;
use super::arguments::{
    DropoutOptions, GraphCommand, HalfOptions, LastLayerOptions, StepOptions, StepUpdate,
    TapOptions, VarianceGradientOptions, VjpOptions,
};
use super::error::CliError;
use crate::exit::Exit;
use crate::graph::dropout::{KeepScale, to_mask_input};
use crate::graph::last_layer::{WeightVariance, with_variance};
use crate::graph::step::{self, Prediction, Update};
use crate::graph::{ConvGradient, Model, Names, Weights, fused, half, stored, tap, vjp};
use crate::model::onnx::runner;
use crate::store::StoreError;

pub(super) fn run(command: &GraphCommand, context: Context) -> Result<Exit, CliError> {
    let (files, model) = match command {
        GraphCommand::Vjp(options) => (&options.files, vector_jacobian(options)?),
        GraphCommand::VarianceGradient(options) => {
            (&options.vjp.files, variance_gradient(options)?)
        }
        GraphCommand::Dropout(options) => (&options.files, dropout(options)?),
        GraphCommand::Tap(options) => (&options.files, features(options)?),
        GraphCommand::LastLayerVariance(options) => (&options.tap.files, last_layer(options)?),
        GraphCommand::Step(options) => (&options.files, whole_step(options)?),
        GraphCommand::Half(options) => (&options.files, narrow(options)?),
    };
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

fn names(options: &VjpOptions) -> Names<'_> {
    Names { x: options.x.as_deref(), output: options.output.as_deref() }
}

fn vector_jacobian(options: &VjpOptions) -> Result<Model, CliError> {
    let model = Model::read(&options.files.input)?;
    let how = vjp::Options { names: names(options), conv: ConvGradient::default() };
    Ok(vjp::vjp(&model, how, &runner::open(1)?)?)
}

fn variance_gradient(options: &VarianceGradientOptions) -> Result<Model, CliError> {
    let model = Model::read(&options.vjp.files.input)?;
    let how = fused::Options {
        names: names(&options.vjp),
        conv: ConvGradient::default(),
        n_draws: options.draws as usize,
    };
    Ok(fused::variance_gradient(&model, how, &runner::open(1)?)?)
}

fn whole_step(options: &StepOptions) -> Result<Model, CliError> {
    let clip = match options.clip.as_slice() {
        [] => None,
        [low, high] if low < high => Some([*low, *high]),
        other => {
            let given: Vec<String> = other.iter().map(ToString::to_string).collect();
            return Err(CliError::option("--clip", &given.join(","), "two numbers, as -1,1"));
        }
    };
    let model = Model::read(&options.files.input)?;
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
    Ok(step::step(&model, how, &runner::open(1)?)?)
}

fn dropout(options: &DropoutOptions) -> Result<Model, CliError> {
    let model = Model::read(&options.files.input)?;
    let scale = if options.keep_scale_input { KeepScale::Input } else { KeepScale::OfNode };
    let (masked, _) = to_mask_input(&model, scale, &runner::open(1)?)?;
    Ok(masked)
}

fn narrow(options: &HalfOptions) -> Result<Model, CliError> {
    let model = Model::read(&options.files.input)?;
    Ok(if options.weights { stored::in_half(&model)? } else { half::half(&model)? })
}

fn features(options: &TapOptions) -> Result<Model, CliError> {
    Ok(tap::tap(&Model::read(&options.files.input)?, options.output.as_deref())?)
}

fn last_layer(options: &LastLayerOptions) -> Result<Model, CliError> {
    let model = Model::read(&options.tap.files.input)?;
    let (weight, bias) = variances(&options.variances)?;
    let variance = WeightVariance { weight: &weight, bias: bias.as_deref() };
    Ok(with_variance(&model, options.tap.output.as_deref(), variance)?)
}

/// `weight_variance` and, where there is one, `bias_variance`: f32, flat.
fn variances(path: &Path) -> Result<(Vec<f32>, Option<Vec<f32>>), CliError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    let mut npz = NpzReader::new(file).map_err(|error| StoreError::malformed(path, error))?;
    let weight: Array1<f32> = npz.by_name("weight_variance").map_err(|error| {
        StoreError::malformed(path, format!("weight_variance (f32, one axis): {error}"))
    })?;
    let bias: Option<Array1<f32>> = npz.by_name("bias_variance").ok();
    Ok((weight.to_vec(), bias.map(|values| values.to_vec())))
}
