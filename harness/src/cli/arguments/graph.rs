//! Options of the passes over graphs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What all passes have in common. Lines are short enough for a terminal of 80 columns.
pub(crate) const GRAPH_HELP: &str = "\
Each pass reads a plain forward graph (ONNX, operator set 13 to 25, float32,
dynamic batch) and writes a new one: the inputs and outputs of the old one, and
some more. What a pass cannot rewrite it refuses by the name of the node.

Examples, and what is fed to the result:
  dubench graph vjp denoiser.onnx -o vjp.onnx
      sample, timestep, cotangent
  dubench graph variance-gradient denoiser.onnx -o guide.onnx --draws 5
      sample, timestep: 5 rows an image, one after the other
  dubench graph dropout denoiser_train.onnx -o mc.onnx
      sample, timestep, masks [batch, total]
  dubench graph tap denoiser.onnx -o features.onnx
      sample, timestep
  dubench graph step denoiser.onnx -o step.onnx --draws 5 --clip=-1,1
      sample, timestep, step_noise [M, batch, ..], coefficients (f64)";

/// Input graph and output graph.
#[derive(Args, Clone, Debug)]
pub(crate) struct GraphFiles {
    /// Forward graph
    pub(crate) input: PathBuf,
    /// Where the derived graph goes; replaces what is there
    #[arg(short, long)]
    pub(crate) output_file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GraphCommand {
    /// Vector-Jacobian product: one more input `cotangent` (shape of the output) and output `jtv` (shape of x)
    Vjp(VjpOptions),
    /// Variance over M rows an image, and its gradient: two more outputs `variance` and `gradient`, one row an image
    VarianceGradient(VarianceGradientOptions),
    /// Dropout under masks that you feed: one more input `masks` (u8 `[batch, total]`, 1 = keep)
    Dropout(DropoutOptions),
    /// Input of the last layer: one more output `features`
    Tap(TapOptions),
    /// Variance of the output under a Gaussian over the last layer's weights: one more output `variance`
    LastLayerVariance(LastLayerOptions),
    /// A whole step of a sampler: prediction, next state, M re-noised states and the variance of the predictions there, with the
    /// bits of separate calls; levels, coefficients and noise are inputs
    Step(StepOptions),
    /// Half precision: weights, convolutions and products of matrices in float16, norms and softmax in float32; the
    /// inputs and outputs stay as they are
    Half(HalfOptions),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HalfOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Store the weights of convolutions and products in float16 and compute in float32: half the file, and the arithmetic
    /// of the float32 network of the rounded weights
    #[arg(long)]
    pub(crate) weights: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct VjpOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Input to differentiate with respect to; found where only one float image-like input exists
    #[arg(long, value_name = "NAME")]
    pub(crate) x: Option<String>,
    /// Output to differentiate; found where there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct VarianceGradientOptions {
    #[command(flatten)]
    pub(crate) vjp: VjpOptions,
    /// Noise draws M an image, 2 or more: rows i M to (i + 1) M of every input belong to image i
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1024))]
    pub(crate) draws: u32,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DropoutOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Kept values are scaled by a further input `keep_scale` (f32 scalar, 1 / (1 - p)), so that p is chosen at run time;
    /// without it, by each node's own p
    #[arg(long)]
    pub(crate) keep_scale_input: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TapOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Output behind the last layer; found where there is only one float output
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LastLayerOptions {
    #[command(flatten)]
    pub(crate) tap: TapOptions,
    /// npz with `weight_variance` (f32, flat, in the order of the layer's weights) and, where the layer has a bias that is
    /// uncertain, `bias_variance`
    #[arg(long, value_name = "NPZ")]
    pub(crate) variances: PathBuf,
}

/// How the state moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StepUpdate {
    /// DDIM without noise: `step_next_a`, `step_next_s`.
    Ddim,
    /// DPM-Solver++(2M): `step_keep`, `step_gain`, `step_weight`, `step_earlier`.
    #[value(name = "dpm-solver-pp-2m")]
    DpmSolverPp2m,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StepOptions {
    #[command(flatten)]
    pub(crate) files: GraphFiles,
    /// Input of the states; found where only one float image-like input exists
    #[arg(long, value_name = "NAME")]
    pub(crate) x: Option<String>,
    /// Output of the prediction; found where there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Noise draws M an image, 2 or more
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1024))]
    pub(crate) draws: u32,
    /// How the state moves on, and by which coefficients
    #[arg(long, value_enum, default_value_t = StepUpdate::Ddim)]
    pub(crate) update: StepUpdate,
    /// Range that the clean image is clipped to, as pixel models are under DDIM; not clipped where left out
    #[arg(
        long,
        value_name = "LOW,HIGH",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true
    )]
    pub(crate) clip: Vec<f32>,
    /// The output is no noise but a line in it (predictions of the image, v, score, velocity): two more inputs `step_of_output` and
    /// `step_of_x` make noise of it
    #[arg(long)]
    pub(crate) line: bool,
}
