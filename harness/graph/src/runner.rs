//! What the passes need of a runtime: run a graph and hand back all of what was asked.

use std::path::Path;

use super::error::GraphError;
use super::tensor::Tensor;

/// Where the runtime finds a model.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// One message, all weights inside.
    Bytes(&'a [u8]),
    /// A file, weights possibly beside it (2 GiB and more).
    File(&'a Path),
}

/// Named inputs of one run.
pub type Feeds = Vec<(String, Tensor)>;

/// Runs graphs for the passes: the parts whose shapes cannot be inferred. Must not optimise, since any value may be
/// asked for.
///
/// Why a trait? `ort` has one door, `model::onnx`, and the passes are pure graph surgery.
pub trait Runner {
    /// Runs `source` once for each element of `feeds`; for each run, the values of `outputs` in order.
    ///
    /// # Errors
    /// [`GraphError::Runtime`] with the runtime's own words.
    fn run(
        &self,
        source: Source<'_>,
        feeds: &[Feeds],
        outputs: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError>;
}
