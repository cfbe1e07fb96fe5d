//! By what the images of a pool are ranked: the scores of the arm, and what only this table can rank by.

use dubench_metrics::MetricError;
use dubench_metrics::manifold::{rarity, realism};
use ndarray::ArrayView2;

use crate::protocol::ArmScores;

/// Realism: the control that has seen real images.
pub(super) const REALISM: &str = "realism";
/// Rarity among real images.
pub(super) const RARITY: &str = "rarity";
/// The ranking of the released code.
pub(super) const NAN_RANKING: &str = "nan_ranking";
/// Names of rows that no experiment may take.
pub(super) const OWN: [&str; 5] = ["random", "full", REALISM, RARITY, NAN_RANKING];

/// A ranking: its name and one score an image, higher is kept last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranking {
    pub(super) name: String,
    pub(super) scores: Vec<f64>,
}

/// All rankings of a pool.
///
/// Realism counts with its sign turned, so that the most realistic images are "lowest" as the most certain ones are. An image
/// outside of all real balls has no rarity and counts as rarer than any.
///
/// DIFFERENCE (D24): the released code ranks by the square roots of standardised sums, half of which are negative, so every
/// score is not a number and sorting leaves the order of the files. `nan_ranking` is that: the first images of the pool.
pub(super) fn rankings(
    scores: &ArmScores,
    (features, real): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
    k: usize,
) -> Result<Vec<Ranking>, MetricError> {
    let ranking = |name: &str, scores: Vec<f64>| Ranking { name: name.to_owned(), scores };
    let methods = scores.methods.iter();
    let mut all: Vec<Ranking> =
        methods.map(|method| ranking(&method.name, method.scores.clone())).collect();
    // A copy of a real image is infinitely realistic; the largest number keeps it first, and can be ranked.
    let realistic = realism(features, real, k)?;
    all.push(ranking(REALISM, realistic.into_iter().map(|r| -r.min(f64::MAX)).collect()));
    let rare = rarity(features, real, k)?;
    all.push(ranking(RARITY, rare.into_iter().map(|r| r.unwrap_or(f64::MAX)).collect()));
    all.push(ranking(NAN_RANKING, vec![0.0; features.nrows()]));
    Ok(all)
}
