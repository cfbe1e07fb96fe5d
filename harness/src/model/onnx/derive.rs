//! Graphs made from a bundle's graphs, kept in the cache by content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::environment;
use super::options::RuntimeOptions;
use super::posterior::PosteriorGraphs;
use super::runner;
use crate::graph::cache::content_key;
use crate::graph::dropout::{self, KeepScale, MaskLayout};
use crate::graph::head::{self, LayerWeights};
use crate::graph::last_layer::{self, WeightVariance};
use crate::graph::layer_gradient::{self, FittedLayer};
use crate::graph::step;
use crate::graph::{
    ConvGradient, GraphError, Model, Names, Runner, Tensor, Weights, at_size, fused, in_single,
    tap, vjp,
};
use crate::model::{LastLayerPosterior, ModelError, StepKind, StepRule};
use crate::store::publish;

/// A graph whose dropout masks are an input, in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct DropoutGraph {
    /// The file.
    pub path: PathBuf,
    /// Elements of one image's mask.
    pub mask_len: usize,
    /// Dropout probability of training, where all sites share it.
    pub p: Option<f32>,
}

/// A graph that gives the vector-Jacobian product of the network's output beside the output: the
/// inputs of the forward graph plus `cotangent`, its outputs plus `jtv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VjpGraph {
    /// The file.
    pub path: PathBuf,
    /// Name of the cotangent input, of the output's shape.
    pub cotangent: String,
    /// Name of the product, of the shape of `x`.
    pub jtv: String,
}

/// A forward graph to derive others from.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The file.
    pub path: &'a Path,
    /// Input of the state.
    pub x: &'a str,
    /// The prediction.
    pub output: &'a str,
    /// Axes of a state behind the batch, in the order of the graph: they fix what it leaves open.
    pub axes: [usize; 3],
}

impl<'a> Forward<'a> {
    fn names(&self) -> Names<'a> {
        Names { x: Some(self.x), output: Some(self.output) }
    }
}

/// A graph that is fed the draws of each sample and gives their variance and its gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VarianceGradientGraph {
    /// The file.
    pub path: PathBuf,
    /// Draws a sample.
    pub n_draws: u32,
}

/// A graph of whole steps, in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct StepGraph {
    /// The file.
    pub path: PathBuf,
    /// Steps that it makes.
    pub kind: StepKind,
}

/// The mask-input graph of a train-mode graph: from the cache, else made and put there.
///
/// # Errors
/// [`GraphError`] where the graph has no usable dropout or cannot be read;
/// [`ModelError::Runtime`] where the runtime or the cache folder cannot be had.
pub fn dropout_graph(
    train: Forward<'_>,
    options: &RuntimeOptions,
) -> Result<DropoutGraph, DeriveError> {
    let model = at_size(Model::read(train.path)?, train.x, &train.axes)?;
    let key = content_key(&model, "dropout keep_scale=input")?;
    let folder = derived_folder()?;
    let path = folder.join(format!("{key}.onnx"));
    if let Some(layout) = cached(&path) {
        return Ok(describe(path, &layout));
    }
    let runner = runner::of(options)?;
    let (masked, layout) = dropout::to_mask_input(&model, KeepScale::Input, &runner)?;
    std::fs::create_dir_all(&folder).map_err(|error| DeriveError::cache(&folder, &error))?;
    masked.write(&path, Weights::Auto).map_err(|error| DeriveError::written(&path, error))?;
    seal(&path).map_err(|error| DeriveError::cache(&path, &error))?;
    Ok(describe(path, &layout))
}

/// The gradient graph of a forward graph: from the cache, else made and put there.
///
/// Why flipped convolutions? They are a tenth faster on a processor; the file is in the cache, so
/// that it is twice as large does not matter.
///
/// # Errors
/// [`GraphError`] where an operator has no gradient rule, or the graph cannot be read;
/// [`ModelError::Runtime`] where the runtime or the cache folder cannot be had.
pub fn vjp_graph(forward: Forward<'_>, options: &RuntimeOptions) -> Result<VjpGraph, DeriveError> {
    vjp_graph_of_sizes(forward, &Sizes::new(), options)
}

/// Axes behind the batch of further inputs whose graph leaves them open.
pub type Sizes = BTreeMap<String, Vec<usize>>;

/// As [`vjp_graph`], with axes of inputs beside the state fixed too: gradients want lengths that are known.
///
/// # Errors
/// As [`vjp_graph`].
pub fn vjp_graph_of_sizes(
    forward: Forward<'_>,
    sizes: &Sizes,
    options: &RuntimeOptions,
) -> Result<VjpGraph, DeriveError> {
    let names = forward.names();
    let of = if sizes.is_empty() { String::new() } else { format!(" of {sizes:?}") };
    let pass = format!("vjp flipped {:?} {:?}{of}", names.x, names.output);
    let how = vjp::Options { names, conv: ConvGradient::FlippedConv };
    let path = derived(forward, &pass, options, |model, runner| {
        let fix = |model, (input, axes): (&String, &Vec<usize>)| at_size(model, input, axes);
        vjp::vjp(&sizes.iter().try_fold(model.clone(), fix)?, how, runner)
    })?;
    Ok(VjpGraph { path, cotangent: vjp::COTANGENT.to_owned(), jtv: vjp::JTV.to_owned() })
}

/// The fused variance gradient of a forward graph over `n_draws` draws: from the cache, else made and put there.
///
/// # Errors
/// As [`vjp_graph`].
pub fn variance_gradient_graph(
    forward: Forward<'_>,
    n_draws: u32,
    options: &RuntimeOptions,
) -> Result<VarianceGradientGraph, DeriveError> {
    let names = forward.names();
    let pass = format!("variance gradient {n_draws} flipped {:?} {:?}", names.x, names.output);
    let conv = ConvGradient::FlippedConv;
    let how = fused::Options { names, conv, n_draws: n_draws as usize };
    let make = |model: &Model, runner: &dyn Runner| fused::variance_gradient(model, how, runner);
    Ok(VarianceGradientGraph { path: derived(forward, &pass, options, make)?, n_draws })
}

/// The graph of whole steps of a forward graph, whose output is what `prediction` says: from the cache, else made and put there.
///
/// # Errors
/// As [`vjp_graph`].
pub fn step_graph(
    forward: Forward<'_>,
    (prediction, kind): (step::Prediction, StepKind),
    options: &RuntimeOptions,
) -> Result<StepGraph, DeriveError> {
    let StepKind { n_draws, clip, rule } = kind;
    let update = match rule {
        StepRule::Ddim => step::Update::Ddim,
        StepRule::DpmSolverPp2m => step::Update::DpmSolverPp2m,
    };
    let (names, n) = (forward.names(), n_draws as usize);
    let how = step::Options { names, n_draws: n, prediction, clip, update };
    let of = format!("{n_draws} {update:?} {prediction:?} {clip:?}");
    let pass = format!("step {of} {:?} {:?}", names.x, names.output);
    let path = derived(forward, &pass, options, |model, runner| step::step(model, how, runner))?;
    Ok(StepGraph { path, kind })
}

/// The graphs that look at uncertain weights of the last layer behind the prediction, whose variances these are, with the weights of
/// the network: from the cache, else made and put there.
///
/// # Errors
/// As [`vjp_graph`].
pub fn posterior_graphs(
    forward: Forward<'_>,
    variance: &dyn Fn(&LayerWeights) -> Result<LastLayerPosterior, ModelError>,
    options: &RuntimeOptions,
) -> Result<(PosteriorGraphs, LastLayerPosterior), DeriveError> {
    let output = forward.output;
    let (_, weights) = head::head(&Model::read(forward.path)?, Some(output))?;
    let posterior = variance(&weights)?;
    let bias = posterior.bias.as_ref().map(|bias| bias.variance.as_slice());
    let of_weights = WeightVariance { weight: &posterior.weight.variance, bias };
    let mut hasher = Sha256::new();
    let all = of_weights.weight.iter().chain(of_weights.bias.unwrap_or_default());
    all.for_each(|value| hasher.update(value.to_le_bytes()));
    let sha256 = super::super::bundle::files::hex(&hasher.finalize());
    let pass = format!("last-layer variance {output} {sha256}");
    let exact = derived(forward, &pass, options, |model, _| {
        last_layer::with_variance(model, Some(output), of_weights)
    })?;
    let pass = format!("tap {output}");
    let tapped = derived(forward, &pass, options, |model, _| tap::tap(model, Some(output)))?;
    let pass = format!("head {output}");
    let head = derived(forward, &pass, options, |model, _| Ok(head::head(model, Some(output))?.0))?;
    let shape = |tensor: &Tensor| tensor.shape().to_vec();
    let shapes = (shape(&weights.weight), weights.bias.as_ref().map(shape));
    Ok((PosteriorGraphs { exact, tapped, head, shapes }, posterior))
}

/// The graph that a last-layer posterior is fitted with, and the layer: from the cache, else made and put there.
///
/// # Errors
/// As [`vjp_graph`].
pub fn layer_gradient_graph(
    forward: Forward<'_>,
    options: &RuntimeOptions,
) -> Result<(PathBuf, FittedLayer), DeriveError> {
    let names = forward.names();
    let fitted = layer_gradient::fitted_layer(&Model::read(forward.path)?, names.output)?;
    let pass = format!("layer gradient {:?} {:?}", names.x, names.output);
    let path = derived(forward, &pass, options, |model, runner| {
        Ok(layer_gradient::layer_gradient(model, names, runner)?.0)
    })?;
    Ok((path, fitted))
}

/// File of the graph that `make` makes of `forward`: found by content, else made and sealed.
fn derived(
    forward: Forward<'_>,
    pass: &str,
    options: &RuntimeOptions,
    make: impl FnOnce(&Model, &dyn Runner) -> Result<Model, GraphError>,
) -> Result<PathBuf, DeriveError> {
    let model = at_size(Model::read(forward.path)?, forward.x, &forward.axes)?;
    let model = in_single(model, forward.x, forward.output)?;
    let folder = derived_folder()?;
    let path = folder.join(format!("{}.onnx", content_key(&model, pass)?));
    if !is_sealed(&path) {
        let runner = runner::of(options)?;
        let made = make(&model, &runner)?;
        std::fs::create_dir_all(&folder).map_err(|error| DeriveError::cache(&folder, &error))?;
        made.write(&path, Weights::Auto).map_err(|error| DeriveError::written(&path, error))?;
        seal(&path).map_err(|error| DeriveError::cache(&path, &error))?;
    }
    Ok(path)
}

fn describe(path: PathBuf, layout: &MaskLayout) -> DropoutGraph {
    let first = layout.sites.first().map(|site| site.p);
    let p = first.filter(|p| layout.sites.iter().all(|site| site.p.to_bits() == p.to_bits()));
    DropoutGraph { path, mask_len: layout.total, p }
}

/// Layout of a cached graph whose bytes are those that were sealed; `None` makes it anew.
fn cached(path: &Path) -> Option<MaskLayout> {
    is_sealed(path).then(|| MaskLayout::of(&Model::read(path).ok()?)).flatten()
}

/// Whether a cached graph is there, whole and as it was written.
fn is_sealed(path: &Path) -> bool {
    let promised = std::fs::read_to_string(seal_path(path));
    let (Ok(promised), Ok(found)) = (promised, digest(path)) else { return false };
    if promised.trim() != found {
        tracing::warn!(path = %path.display(), "damaged derived graph, making it again");
        return false;
    }
    true
}

/// Writes the digest last: without it a graph in the cache does not count.
fn seal(path: &Path) -> std::io::Result<()> {
    publish(&seal_path(path), digest(path)?.as_bytes())
}

fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("onnx.sha256")
}

/// Digest of the graph and of the weights beside it, where it has them.
fn digest(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    for file in [path.to_path_buf(), path.with_extension("onnx.data")] {
        if file == path || file.is_file() {
            std::io::copy(&mut std::fs::File::open(file)?, &mut HashWriter(&mut hasher))?;
        }
    }
    Ok(super::super::bundle::files::hex(&hasher.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why a graph could not be derived.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The pass refuses the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The runtime or the cache is missing.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl DeriveError {
    fn cache(path: &Path, error: &std::io::Error) -> Self {
        Self::Model(cache_failure(path, error))
    }

    /// A graph that could not be put into the cache: a disk that refuses it says nothing of the network.
    fn written(path: &Path, error: GraphError) -> Self {
        match error {
            GraphError::File { message, .. } | GraphError::Write { message, .. } => {
                Self::Model(cache_refused(path, &message))
            }
            error => Self::Graph(error),
        }
    }
}

/// The error of a cache of derived graphs that cannot be read or written.
pub(super) fn cache_failure(path: &Path, error: &std::io::Error) -> ModelError {
    cache_refused(path, &error.to_string())
}

fn cache_refused(path: &Path, said: &str) -> ModelError {
    ModelError::Runtime {
        context: format!("cache of derived graphs, {}", path.display()),
        message: format!("{said}: point DUBENCH_CACHE at a folder that can be written, with room"),
    }
}

/// Folder of derived graphs, and of what is known of graphs.
pub(super) fn derived_folder() -> Result<PathBuf, ModelError> {
    Ok(environment::cache_root()?.join("derived"))
}
