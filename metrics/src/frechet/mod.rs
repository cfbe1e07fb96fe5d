//! The Fréchet distance between Gaussians (FID, sFID, FD-DINOv2 by features), with its error bar.
//!
//! `F = |mu_r - mu|^2 + tr S_r + tr S - 2 tr (S_r S)^(1/2)` (Dowson and Landau 1982; Heusel et al. 2017,
//! arXiv:1706.08500). No tool of the field says how far F is from its value for infinitely many samples;
//! [`Reference::estimate`] does, from the eigenvectors that F needs anyway.
//!
//! The reference is taken as fixed throughout: its own sampling error is shared by everything that is
//! compared with it.

mod centred_rows;
mod compare;
mod estimate;
mod groups;
mod influence;
mod reference;

pub(crate) use centred_rows::CentredRows;
pub use compare::{
    Basis, Comparison, Pairing, compare_overlapping, compare_paired, compare_unpaired,
};
pub use estimate::{EstimateOptions, FrechetEstimate, SampleRegime};
pub use reference::Reference;

use crate::error::Result;
use crate::gaussian::Gaussian;

/// The Fréchet distance between two Gaussians.
///
/// `|mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)`, where the last trace is the sum of the square
/// roots of the eigenvalues of `F^T S_b F` for any `F F^T = S_a`: a symmetric problem, so no complex numbers
/// and no matrix square root. Never negative, never NaN. Prepare a [`Reference`] where one side stays the same.
///
/// # Errors
/// [`MetricError::LengthMismatch`](crate::MetricError::LengthMismatch) if the dimensions differ,
/// [`MetricError::NotPositiveSemidefinite`](crate::MetricError::NotPositiveSemidefinite) for an indefinite
/// covariance.
///
/// # Examples
/// ```
/// use dubench_metrics::{Gaussian, frechet_distance};
/// use ndarray::array;
/// // In one dimension: (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2.
/// let a = Gaussian::new(array![0.0], array![[4.0]], None)?;
/// let b = Gaussian::new(array![3.0], array![[1.0]], None)?;
/// assert!((frechet_distance(&a, &b)? - (9.0 + 1.0)).abs() < 1e-12);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    Reference::new(a.clone())?.distance(b)
}
