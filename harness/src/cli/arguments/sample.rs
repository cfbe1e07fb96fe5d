//! `dubench sample`, as typed.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceOptions, images};

/// What `dubench sample --help` ends with.
pub(crate) const SAMPLE_HELP: &str = "\
Writes final.npy (f32 [n, c, h, w]), images/, maps.npz (a map an estimator, summed over its window and channels), scores.csv,
uncertainty.png (the images of lowest and highest score with their maps) and sample.json.

Examples:
  dubench sample MODEL -o out
  dubench sample MODEL -o out -n 64 --steps 20 --estimator sample_var --estimator '{kind: mc_dropout, p: 0.1}'
  dubench sample MODEL -o out --starts x_T.npy --labels y.npy --estimator none
  dubench sample PIPELINE -o out --prompt 'a red cat' --prompt 'a blue dog' --steps 20 --cfg 7.5";

#[derive(Args, Clone, Debug)]
pub(crate) struct SampleOptions {
    /// Folder of the model: model.yaml and its graphs, or a text-to-image pipeline as Optimum writes it
    pub(crate) bundle: PathBuf,
    /// Folder of what is made; it must be new or empty
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Number of images; left out, as many as --starts has, one of each prompt, or 16
    #[arg(short, value_parser = images)]
    pub(crate) n: Option<u64>,
    /// Master seed of all draws
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Sample id of the first image: draws are keyed by it, so that any part of a larger set can be made alone
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// States to begin at instead of keyed noise: an array [n, c, h, w] in .npy or .npz
    #[arg(long)]
    pub(crate) starts: Option<PathBuf>,
    /// Classes instead of keyed ones: an array [n] of whole numbers, or one number for all
    #[arg(long)]
    pub(crate) labels: Option<String>,
    /// Scale of classifier-free guidance; left out, that of model.yaml or of the kind of pipeline
    #[arg(long)]
    pub(crate) cfg: Option<f64>,
    /// Prompt of a pipeline, once or more: image i is of prompt i modulo their number
    #[arg(long)]
    pub(crate) prompt: Vec<String>,
    /// The same from a text file, one prompt a line
    #[arg(long, conflicts_with = "prompt")]
    pub(crate) prompts: Option<PathBuf>,
    /// Prompt that stands for no prompt in classifier-free guidance; empty where left out
    #[arg(long)]
    pub(crate) negative: Option<String>,
    /// Height and width of a pipeline's images in pixels; left out, those of its training
    #[arg(long, value_delimiter = ',', num_args = 1)]
    pub(crate) size: Option<Vec<usize>>,
    /// Sampler: a kind, or as an experiment writes it, `{kind: ddim, n_steps: 20, eta: 1.0}`. Left out: `ddim`, `edm_heun`
    /// for an EDM schedule, `flow_euler` for a flow, that of its scheduler for a pipeline
    #[arg(long)]
    pub(crate) sampler: Option<String>,
    /// Number of steps; 50 where the sampler does not say
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// Estimator, once or more: a kind, or as an experiment writes it, `{kind: sample_var, n_draws: 20}`; `none` for none
    #[arg(long, default_value = "sample_var")]
    pub(crate) estimator: Vec<String>,
    #[command(flatten)]
    pub(crate) device: DeviceOptions,
}
