//! Exact metrics of generative models and of their uncertainty, each with its error bar.
//!
//! Arrays in, numbers out: rows are images, features are `[n, d]` in f32 or f64, and every sum is f64. Results have
//! the same bits for any number of threads. Bad input is a typed [`MetricError`], never NaN and never a panic.
//!
//! | question | function |
//! |---|---|
//! | How far are two sets apart? | [`Reference::estimate`] (FID, sFID, FD-DINOv2), [`kid`], [`mmd`] (CMMD) |
//! | Is the difference of two models real? | [`compare_paired`], [`compare_unpaired`], [`compare_overlapping`] |
//! | Does dropping uncertain images help? | [`FilterStudy`] |
//! | Does uncertainty rank the error? | [`sparsification`](sparsification::sparsification) (AUSE, AURG), [`spearman`], [`kendall`] |
//! | Quality or diversity? | [`overlap`](manifold::overlap) (precision, recall, density, coverage), [`inception_score`] |
//! | What does the network see? | [`resize`] |

#![expect(
    clippy::needless_pass_by_value,
    reason = "views of arrays are handles: ndarray passes them by value"
)]
#![expect(clippy::needless_for_each, reason = "one operation on a whole slice reads as one line")]

mod compensated;
mod error;
mod features;
mod filter;
mod frechet;
mod gaussian;
mod gemm;
mod inception_score;
mod kid;
mod linalg;
pub mod manifold;
mod mmd;
mod moments;
mod mt19937;
mod normal;
mod rank;
pub mod resize;
mod rng;
mod simd;
pub mod sparsification;

pub use error::{MetricError, Result};
pub use features::Features;
pub use filter::{CurvePoint, FilterOutcome, FilterStudy, RandomNull};
pub use frechet::{
    Basis, Comparison, EstimateOptions, FrechetEstimate, Pairing, Reference, SampleRegime,
    compare_overlapping, compare_paired, compare_unpaired, frechet_distance,
};
pub use gaussian::Gaussian;
pub use inception_score::{InceptionScore, Splits, inception_score};
pub use kid::{Kid, KidOptions, kid};
pub use mmd::{Kernel, Mmd, MmdEstimator, mmd};
pub use moments::{BLOCK_ROWS, Moments, MomentsBuilder};
pub use mt19937::RandomState;
pub use rank::{RankCorrelation, kendall, spearman};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
