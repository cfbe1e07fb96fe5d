//! Memory of a call for each image: estimated once a graph, kept in the cache beside derived graphs.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use super::derive::{cache_failure, derived_folder};
use super::options::RuntimeOptions;
use super::runner;
use crate::canonical::sha256_hex;
use crate::graph::cache::PASS_VERSION;
use crate::graph::{GraphError, Model, Names, memory};
use crate::model::ModelError;
use crate::store::publish;

/// A number for each graph of a denoiser; `None` where there is no such graph, or nothing is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerGraph {
    /// Predictions.
    pub forward: Option<NonZeroUsize>,
    /// Predictions under dropout masks.
    pub dropout: Option<NonZeroUsize>,
    /// Vector-Jacobian products.
    pub vjp: Option<NonZeroUsize>,
    /// Variance gradients, by the number of draws an image.
    pub fused: BTreeMap<u32, NonZeroUsize>,
}

impl PerGraph {
    /// `f` of every number, with the name of its graph.
    pub(super) fn map(self, f: impl Fn(&str, NonZeroUsize) -> NonZeroUsize) -> Self {
        let fused = |(n_draws, n)| (n_draws, f("variance gradient", n));
        Self {
            forward: self.forward.map(|n| f("prediction", n)),
            dropout: self.dropout.map(|n| f("prediction under dropout", n)),
            vjp: self.vjp.map(|n| f("vector-Jacobian product", n)),
            fused: self.fused.into_iter().map(fused).collect(),
        }
    }
}

/// The smaller of the images that were asked for and those that memory holds.
pub(super) fn at_most(asked: usize, fits: Option<NonZeroUsize>) -> usize {
    fits.map_or(asked, |fits| asked.min(fits.get()))
}

/// A graph whose memory is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The file.
    pub path: &'a Path,
    /// What the file holds, in a word that changes with it: its digest or content key.
    pub content: &'a str,
    /// Input of the state and output.
    pub names: Names<'a>,
    /// Rows of the state that make an image: draws of a fused graph, 1 elsewhere.
    pub rows: NonZeroUsize,
}

/// Bytes that one more image adds to a call of the graph, as [`memory::bytes_per_image`] estimates them; `None`, with a
/// line in the log, for a graph that cannot be looked into (it runs all the same, in batches as they are asked for).
///
/// # Errors
/// [`ModelError::Runtime`] where the runtime or the cache folder cannot be had.
pub fn bytes_per_image(
    graph: Measured<'_>,
    options: &RuntimeOptions,
) -> Result<Option<NonZeroUsize>, ModelError> {
    let Measured { content, names, rows, .. } = graph;
    let folder = derived_folder()?;
    let key = sha256_hex(
        format!("bytes per image {PASS_VERSION} {content} {rows} {:?} {:?}", names.x, names.output)
            .as_bytes(),
    );
    let path = folder.join(format!("{key}.bytes_per_image"));
    let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    if known.is_some() {
        return Ok(known);
    }
    let bytes = match estimate(graph, options)? {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::info!(%error, "memory of a call is not known");
            return Ok(None);
        }
    };
    let failed = |error| cache_failure(&path, &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    publish(&path, format!("{bytes}\n").as_bytes()).map_err(failed)?;
    Ok(NonZeroUsize::new(bytes))
}

fn estimate(
    graph: Measured<'_>,
    options: &RuntimeOptions,
) -> Result<Result<usize, GraphError>, ModelError> {
    let runner = runner::of(options)?;
    let Measured { path, names, rows, .. } = graph;
    Ok(Model::read(path).and_then(|model| memory::bytes_per_image(&model, names, rows, &runner)))
}
