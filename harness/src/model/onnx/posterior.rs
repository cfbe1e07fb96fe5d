//! The posterior of the last layer of an open denoiser.

use std::path::PathBuf;

use ndarray::ArrayD;

use super::lazy::LazySession;
use super::options::RuntimeOptions;
use crate::model::LastLayerPosterior;

/// Files of the graphs that look at uncertain weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosteriorGraphs {
    /// The prediction and its variance over all weights.
    pub exact: PathBuf,
    /// The prediction and the input of the last layer.
    pub tapped: PathBuf,
    /// From the input of the last layer and weights to the prediction.
    pub head: PathBuf,
    /// Shape of the weights, and of the bias.
    pub shapes: (Vec<usize>, Option<Vec<usize>>),
}

/// The posterior of an open denoiser, its sessions opened on first use.
#[derive(Debug)]
pub(super) struct OpenPosterior {
    pub(super) weights: LastLayerPosterior,
    pub(super) shapes: (Vec<usize>, Option<Vec<usize>>),
    pub(super) exact: LazySession<()>,
    pub(super) tapped: LazySession<()>,
    pub(super) head: LazySession<()>,
}

/// What a posterior is fitted on: for each row of a call the input of the last layer, and the gradient of
/// `sum (epsilon_hat - e)^2` with respect to its output.
#[derive(Clone, Debug)]
pub struct LayerGradients {
    /// Input of the last layer.
    pub features: ArrayD<f32>,
    /// Gradient with respect to its output.
    pub gradient: ArrayD<f32>,
    /// Rows that were asked for, and rows of the arrays: the last one is repeated where the graph has a batch of its own.
    pub n: (usize, usize),
}

impl OpenPosterior {
    /// The posterior of a denoiser, over these graphs.
    pub(super) fn new(
        graphs: PosteriorGraphs,
        weights: LastLayerPosterior,
        options: &RuntimeOptions,
    ) -> Self {
        let lazy = |path| LazySession::of(path, (), options);
        Self {
            weights,
            shapes: graphs.shapes,
            exact: lazy(graphs.exact),
            tapped: lazy(graphs.tapped),
            head: lazy(graphs.head),
        }
    }
}
