//! `dubench sample`, as typed.

use std::path::PathBuf;

use clap::Args;

use super::DeviceOptions;

/// What `dubench sample --help` ends with.
pub(crate) const SAMPLE_HELP: &str = "\
Writes final.npy (f32 [n, c, h, w]), images/, maps.npz (a map an estimator, summed over its window and channels), scores.csv,
uncertainty.png (the images of lowest and highest score with their maps) and sample.json.

Examples:
  dubench sample MODEL -o out
  dubench sample MODEL -o out -n 64 --steps 20 --estimator sample_var --estimator '{kind: mc_dropout, p: 0.1}'
  dubench sample MODEL -o out --starts x_T.npy --labels y.npy --estimator none";

#[derive(Args, Clone, Debug)]
pub(crate) struct SampleOptions {
    /// Folder of the model: model.yaml and its graphs
    pub(crate) bundle: PathBuf,
    /// Folder of what is made; it must be new or empty
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    /// Number of images; with --starts, as many as the file has
    #[arg(short)]
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
    /// Scale of classifier-free guidance; the null condition is that of model.yaml
    #[arg(long)]
    pub(crate) cfg: Option<f64>,
    /// Sampler: a kind, or as an experiment writes it, `{kind: ddim, n_steps: 20, eta: 1.0}`. Left out: `ddim`, `edm_heun`
    /// for an EDM schedule, `flow_euler` for a flow
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
