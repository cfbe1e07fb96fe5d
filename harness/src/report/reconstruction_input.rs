//! What tables and plots of a reconstruction are made of.

use ndarray::{Array2, Array3};

use crate::store::records::MetricRow;
use crate::store::sparsification::SparsificationRow;
use crate::units::SampleId;

/// Everything that tables and plots of a reconstruction need.
#[derive(Clone, Debug)]
pub struct ReconstructionInput {
    /// Experiment name.
    pub experiment: String,
    /// The question of the experiment file.
    pub question: String,
    /// Published artefact, `table2`.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// All numbers, long form.
    pub rows: Vec<MetricRow>,
    /// Curves of the first arm.
    pub curves: Vec<SparsificationRow>,
    /// Images of the first arm with their maps.
    pub panels: Vec<MapPanel>,
    /// Sentences that must stand under the table.
    pub remarks: Vec<String>,
}

/// One image: what it was, what became of it, where it is wrong, and where the methods expect it to be.
#[derive(Clone, Debug)]
pub struct MapPanel {
    /// Place in the data set.
    pub sample: SampleId,
    /// `[3, H, W]` u8.
    pub truth: Array3<u8>,
    /// `[3, H, W]` u8.
    pub reconstruction: Array3<u8>,
    /// Sum over channels of absolute differences, `[H, W]`.
    pub error: Array2<f32>,
    /// Method and map `[H, W]`.
    pub maps: Vec<(String, Array2<f32>)>,
}
