//! What tables and plots of a guidance experiment are made of.

use ndarray::Array3;

use crate::store::records::MetricRow;
use crate::units::SampleId;

/// Everything that tables and plots of a guidance experiment need.
#[derive(Clone, Debug)]
pub struct GuidanceInput {
    /// Experiment name.
    pub experiment: String,
    /// The question of the experiment file.
    pub question: String,
    /// Published artefact, `table3`.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// Numbers of all arms but the cells of the sweep.
    pub rows: Vec<MetricRow>,
    /// The sweep, cell by cell.
    pub cells: Vec<Cell>,
    /// Samplers of the sheet, each with the same starts under its rules.
    pub sheets: Vec<Strip>,
    /// Sentences that must stand under the table.
    pub remarks: Vec<String>,
}

/// One cell of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Strength.
    pub lambda: f64,
    /// Percentile.
    pub percentile: f64,
    /// Sampler.
    pub sampler: String,
    /// FID minus that of the unguided images of the same starts.
    pub delta: f64,
    /// Its standard error.
    pub se: f64,
    /// Its two-sided p-value.
    pub p: f64,
    /// Pairs.
    pub n: u64,
}

/// The same starts under the rules of one sampler.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Sampler.
    pub sampler: String,
    /// Starts.
    pub samples: Vec<SampleId>,
    /// Name of each arm, and its images `[3, H, W]`, one a start.
    pub arms: Vec<(String, Vec<Array3<u8>>)>,
}
