//! `BayesDiff` (arXiv:2310.11142, Algorithm 1): mean and variance of the state, carried along the walk.
//!
//! Unlike an estimator it moves the trajectory, since predictions are drawn at some steps: it is a property of an arm.
//!
//! # What is not copied from the released code?
//! DIFFERENCE (D29): the images that its posterior is fitted on are scaled to [-1, 2.98] and chosen with a bias, their labels go
//! by the order of a directory; the mean of its ancestral sampler never moves (both of its times are the same, so `beta` is 0),
//! and its variance is divided by the root of `1 - beta`; it draws states by `rand`, which is uniform, where a Gaussian is
//! meant. Its loop predicts once more behind the last state, where nothing reads it; ours maps that state to the clean image.

mod config;
mod moments;
#[cfg(test)]
mod tests;

pub use config::{
    EpsilonVariance, PosteriorSettings, PropagationConfig, WeightsConfig, sampler_faults,
};
pub use moments::{At, Propagation};

/// Name of the method in files, and its kind.
pub const METHOD: &str = "bayesdiff";

/// Name of what is written beside the scores: how many elements of the carried variance came out negative, an image.
pub const NEGATIVE: &str = "negative_variance";
