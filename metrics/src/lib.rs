//! Exact metrics of generative models and of their uncertainty, each with its error bar.
//!
//! Arrays in, numbers out. Rows are images: features are `[n, d]`, and every sum is f64.

mod compensated;
mod error;
mod features;
mod filter;
mod frechet;
mod gaussian;
mod linalg;
mod moments;
mod normal;
pub mod resize;
mod rng;

pub use error::{MetricError, Result};
pub use features::Features;
pub use filter::{CurvePoint, FilterOutcome, FilterStudy, RandomNull};
pub use frechet::{
    Basis, Comparison, EstimateOptions, FrechetEstimate, Pairing, Reference, SampleRegime,
    compare_overlapping, compare_paired, compare_unpaired, frechet_distance,
};
pub use gaussian::Gaussian;
pub use moments::{BLOCK_ROWS, Moments, MomentsBuilder};
