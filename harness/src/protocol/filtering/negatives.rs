//! Variances that come out below zero: how many, mean over images.

use crate::propagation::NEGATIVE;
use crate::protocol::rows::mean_and_se;
use crate::protocol::{ArmScores, RunFacts};
use crate::store::records::MetricRow;

/// `negative_variance` of an arm that carries moments: what few states do to an estimated covariance.
pub(super) fn of_moments(facts: &RunFacts, scores: &ArmScores) -> Option<MetricRow> {
    let shares = &scores.method(NEGATIVE)?.scores;
    let words = "share of the elements of all carried variances that are below 0, set to 0 before states are drawn";
    Some(row(facts, (&facts.arm[0], shares), words))
}

/// `negative_variance` of an estimator whose maps can fall below zero: what few probes do, and a network that is no exact
/// denoiser.
pub(super) fn of_maps(facts: &RunFacts, (method, shares): (&str, &[f64])) -> MetricRow {
    let words = "share of the elements of all maps of the window that are below 0, kept as they are in map and score";
    row(facts, (method, shares), words)
}

fn row(facts: &RunFacts, (method, shares): (&str, &[f64]), words: &str) -> MetricRow {
    let (mean, se) = mean_and_se(shares);
    let row = facts.row(method, NEGATIVE, Some(mean)).over(shares.len()).with_se(se);
    MetricRow { reason: Some(words.to_owned()), ..row }
}
