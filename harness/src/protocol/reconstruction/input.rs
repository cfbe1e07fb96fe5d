//! What figures of a reconstruction are made of, beside its rows.

use ndarray::{Array2, Array3};

use crate::units::SampleId;

/// One image: what it was, what became of it, where it is wrong, and where the methods expect it to be.
#[derive(Clone, Debug)]
pub(super) struct MapPanel {
    /// Place in the data set.
    pub(super) sample: SampleId,
    /// `[3, H, W]` u8.
    pub(super) truth: Array3<u8>,
    /// `[3, H, W]` u8.
    pub(super) reconstruction: Array3<u8>,
    /// Sum over channels of absolute differences, `[H, W]`.
    pub(super) error: Array2<f32>,
    /// Label and map `[H, W]`.
    pub(super) maps: Vec<(String, Array2<f32>)>,
}
