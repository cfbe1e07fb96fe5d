//! What tables and plots of a guidance experiment are made of, beside its rows.

use ndarray::Array3;

use crate::units::SampleId;

/// One cell of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    /// Strength.
    pub(super) lambda: f64,
    /// Percentile.
    pub(super) percentile: f64,
    /// Sampler.
    pub(super) sampler: String,
    /// FID minus that of the unguided images of the same starts.
    pub(super) delta: f64,
    /// Its standard error.
    pub(super) se: f64,
    /// The same of FID for infinitely many images.
    pub(super) delta_inf: f64,
    /// Its standard error, where there are images enough.
    pub(super) delta_inf_se: Option<f64>,
    /// Difference of KID, its standard error, its p-value adjusted over the cells; where real images are drawn.
    pub(super) kid: Option<[f64; 3]>,
    /// Two-sided p-value of `delta`, adjusted over the cells.
    pub(super) p: f64,
    /// The `M` of the sweep.
    pub(super) n_draws: Option<u32>,
    /// Pairs.
    pub(super) n: u64,
}

/// The same starts under the rules of one sampler.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    /// Sampler.
    pub(super) sampler: String,
    /// Starts.
    pub(super) samples: Vec<SampleId>,
    /// Label of each arm, and its images `[3, H, W]`, one a start.
    pub(super) arms: Vec<(String, Vec<Array3<u8>>)>,
}
