//! Exact metrics of generative models and of their uncertainty, each with its error bar.
//!
//! Arrays in, numbers out: rows are images, features are `[n, d]` in f32 or f64, and every sum is f64. Results have
//! the same bits for any number of threads. Bad input is a typed [`MetricError`], never NaN and never a panic.
//!
//! # Which metric
//!
//! | question | function |
//! |---|---|
//! | How far are two sets apart? | [`Reference::estimate`] (FID, sFID, FD-DINOv2), [`kid`], [`mmd`] (CMMD) |
//! | Is the difference of two models real? | [`compare_paired`], [`compare_unpaired`], [`compare_overlapping`] |
//! | Does dropping uncertain images help? | [`FilterStudy`] |
//! | Are paired differences above or below zero? | [`signed_rank`] |
//! | Of several tests, which hold? | [`holm`] |
//! | Are images there more than once? | [`equal_rows`], [`FrechetEstimate::se_by_group`] |
//! | Does uncertainty rank the error? | [`sparsification`](sparsification::sparsification) (AUSE, AURG), [`spearman`], [`kendall`] |
//! | Quality or diversity? | [`overlap`](manifold::overlap) (precision, recall, density, coverage), of many subsets [`OverlapStudy`](manifold::OverlapStudy); [`inception_score`] |
//! | How real, how rare is one image? | [`realism`](manifold::realism), [`rarity`](manifold::rarity) |
//! | What does the network see? | [`resize`] |
//!
//! # Whose number, and how well it is known
//!
//! | metric | function | convention | error bar | equals |
//! |---|---|---|---|---|
//! | FID, sFID, FD-DINOv2 | [`Reference::estimate`], [`frechet_distance`] | divisor n - 1, f64, no epsilon on the diagonal | influence of each image, `sd(phi) / sqrt(n)`; bias by halves; `fid_inf` | pytorch-fid, torch-fidelity to 1e-9 from equal features |
//! | the same from `mu`, `sigma` | [`Reference::estimate_from_statistics`] | as above | Gaussian plug-in | as above |
//! | difference of two FIDs | [`compare_paired`], [`compare_overlapping`], [`compare_unpaired`] | one reference, held fixed | influence of shared images cancels; z, p, least detectable difference | no tool has it |
//! | difference of two FIDs for infinitely many images | [`leave_out_inf`], [`jackknife_se`] | halves as above | groups of images left out in turn | no tool has it |
//! | keep k of n by a score | [`FilterStudy`] | exactly k, ties by index | p against random subsets, never zero | full recomputation to 1e-9 |
//! | KID | [`kid`] | cubic kernel, unbiased, subsets of `RandomState(2020)` | spread over subsets, as the tool prints it | torch-fidelity (its kernel is f32) |
//! | KID of subsets of a pool, of pairs | [`KidStudy`], [`compare_kid_paired`] | cubic kernel, unbiased, all images at once | influence of each image; p by random subsets, by exchanging pairs | definition |
//! | MMD, CMMD | [`mmd`] | [`Kernel`], [`MmdEstimator`] | delta method | definition |
//! | precision, recall | [`manifold::overlap`] | [`manifold::Convention`]: strict or not, k | of a share, balls held fixed | prdc, torch-fidelity; guided-diffusion but for its half precision |
//! | realism, rarity | [`manifold::realism`], [`manifold::rarity`] | k = 3; strict; nothing added to distances | none: one image | youngjung's and Rarity-Score's code to 1e-5 relative |
//! | density, coverage | [`manifold::overlap`] | strict, k = 5 | of a mean and of a share | prdc |
//! | Inception Score | [`inception_score`] | [`Splits`] | over splits | torch-fidelity |
//! | AUSE, AURG | [`sparsification::sparsification`] | [`sparsification::Preset`] | over images | torch-uncertainty; mono-uncertainty by its definition |
//! | Spearman's rho, Kendall's tau-b | [`spearman`], [`kendall`] | ties at their mean rank | null law; [`spearman_interval`] | `SciPy` |
//! | what the network is fed | [`resize::Preprocess`] | the tool's own, by name | none: bits | pytorch-fid, torch-fidelity, clean-fid bit for bit |
//!
//! Equal means tested: golden values in `tests/data` were written by the tools (`scripts/golden/metrics_golden.py`).
//!
//! # Memory
//! Beside the rows themselves: moments and Fréchet distances a few `d x d` matrices; KID two subsets a thread, or both sets where that is faster; precision and
//! recall some tens of megabytes a thread, whatever the number of rows; AUSE a few numbers a pixel.

#![expect(
    clippy::needless_pass_by_value,
    reason = "views of arrays are handles: ndarray passes them by value"
)]
#![expect(clippy::needless_for_each, reason = "one operation on a whole slice reads as one line")]

mod compensated;
mod equal_rows;
mod error;
mod features;
mod filter;
mod frechet;
mod gaussian;
mod gemm;
mod inception_score;
mod intervals;
mod kid;
mod kid_study;
mod linalg;
pub mod manifold;
mod mmd;
mod moments;
mod mt19937;
mod multiple;
mod normal;
mod rank;
pub mod resize;
mod rng;
mod signed_rank;
mod simd;
pub mod sparsification;

pub use equal_rows::equal_rows;
pub use error::{MetricError, Result};
pub use features::Features;
pub use filter::{CurvePoint, FilterOutcome, FilterStudy, RandomNull, jackknife_se, leave_out_inf};
pub use frechet::{
    Basis, Comparison, EstimateOptions, FrechetEstimate, Pairing, Reference, SampleRegime,
    compare_overlapping, compare_paired, compare_unpaired, frechet_distance,
};
pub use gaussian::Gaussian;
pub use inception_score::{InceptionScore, Splits, inception_score};
pub use intervals::{share_interval, spearman_interval};
pub use kid::{Kid, KidOptions, kid};
pub use kid_study::{KidComparison, KidEstimate, KidStudy, compare_kid_paired};
pub use mmd::{Kernel, Mmd, MmdEstimator, mmd};
pub use moments::{BLOCK_ROWS, Moments, MomentsBuilder};
pub use mt19937::RandomState;
pub use multiple::holm;
pub use rank::{RankCorrelation, kendall, spearman};
pub use signed_rank::{SignedRank, signed_rank};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
