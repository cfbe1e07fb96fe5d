//! How many images a call may take, where memory is limited.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use super::denoiser::OnnxDenoiser;
use super::footprint::{Measured, PerGraph, bytes_per_image};
use super::options::RuntimeOptions;
use crate::graph::{Names, fused};
use crate::model::ModelError;

impl OnnxDenoiser {
    /// Cuts calls so that their working values take no more than `memory` bytes, by the estimate of
    /// [`Self::memory_per_image`]. A single image is always tried: where even that is too large by the estimate, the log
    /// says so.
    ///
    /// # Why not for every network?
    /// Only where rows do not depend on their batch does this change no digit: the caller has asked the self-test.
    ///
    /// # Errors
    /// As [`Self::memory_per_image`].
    pub fn fit_into(
        &mut self,
        memory: u64,
        forward: (&Path, &str),
        options: &RuntimeOptions,
    ) -> Result<(), ModelError> {
        let bytes = self.memory_per_image(forward, options)?;
        let fits = bytes.clone().map(|graph, bytes| images(graph, memory, bytes));
        tracing::debug!(?bytes, memory, asked = self.micro_batch, ?fits, "images a call");
        self.fits = fits;
        Ok(())
    }

    /// Images of one call that memory holds; `None` where nothing limits them.
    pub fn fits(&self) -> &PerGraph {
        &self.fits
    }

    /// Bytes that one more image adds to a call of each graph, by the estimate of [`crate::graph::memory`]. `forward` is
    /// the file of the plain graph and its digest.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] where the runtime or the cache folder cannot be had.
    pub fn memory_per_image(
        &self,
        forward: (&Path, &str),
        options: &RuntimeOptions,
    ) -> Result<PerGraph, ModelError> {
        let names = Names { x: Some(&self.parts.x), output: Some(&self.parts.output) };
        let rows = NonZeroUsize::MIN;
        let bytes =
            |(path, content)| bytes_per_image(Measured { path, content, names, rows }, options);
        let mut fused = BTreeMap::new();
        for graph in self.fused.iter().filter_map(|lazy| lazy.graph()) {
            let names = Names { output: Some(fused::VARIANCE), ..names };
            let rows = NonZeroUsize::new(graph.n_draws as usize).unwrap_or(NonZeroUsize::MIN);
            let (path, content) = derived(&graph.path);
            let bytes = bytes_per_image(Measured { path, content, names, rows }, options)?;
            fused.extend(bytes.map(|bytes| (graph.n_draws, bytes)));
        }
        let dropout = self.dropout.graph().map(|graph| bytes(derived(&graph.path)));
        let vjp = self.vjp.graph().map(|graph| bytes(derived(&graph.path)));
        Ok(PerGraph {
            forward: bytes(forward)?,
            dropout: dropout.transpose()?.flatten(),
            vjp: vjp.transpose()?.flatten(),
            fused,
        })
    }
}

/// A derived graph and its content key, which is the name of its file.
fn derived(path: &Path) -> (&Path, &str) {
    (path, path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default())
}

/// Images that `memory` bytes hold, at least one.
fn images(graph: &str, memory: u64, bytes: NonZeroUsize) -> NonZeroUsize {
    let fit = memory / bytes.get() as u64;
    if fit == 0 {
        let bytes = bytes.get();
        tracing::warn!(graph, bytes, memory, "one image may need more memory than there is");
    }
    NonZeroUsize::new(usize::try_from(fit).unwrap_or(usize::MAX)).unwrap_or(NonZeroUsize::MIN)
}
