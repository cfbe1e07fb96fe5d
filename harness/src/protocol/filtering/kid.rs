//! Kernel distance of what is kept: unbiased where FID, with fewer images than features, is mostly bias.

use dubench_metrics::{KidEstimate, KidStudy, MetricError};
use ndarray::ArrayView2;

use super::study::ends;
use crate::protocol::RunFacts;
use crate::protocol::rows::{holm_rows_as, mean_and_se};
use crate::store::records::MetricRow;

/// What is held against real images.
pub(super) struct KidInput<'a> {
    /// Features of the pool `[n, d]`.
    pub(super) features: ArrayView2<'a, f32>,
    /// Features of real images `[m, d]`.
    pub(super) real: ArrayView2<'a, f32>,
    /// `(method, one score an image)`; higher is less certain.
    pub(super) scores: &'a [(String, Vec<f64>)],
    /// Images kept.
    pub(super) n_keep: usize,
    /// Random subsets.
    pub(super) n_random: usize,
    /// Seed of the random subsets: that of FID's, so that they are the same.
    pub(super) seed: u64,
}

/// Random subsets.
struct Null {
    values: Vec<f64>,
    mean: f64,
    sd: f64,
}

impl Null {
    fn of(values: Vec<f64>) -> Self {
        let (mean, se) = mean_and_se(&values);
        let sd = se.unwrap_or(0.0) * (values.len() as f64).sqrt();
        Self { values, mean, sd }
    }

    /// How many lie as far from their mean, to either side.
    fn as_far(&self, observed: f64) -> usize {
        let distance = (observed - self.mean).abs();
        self.values.iter().filter(|value| (*value - self.mean).abs() >= distance).count()
    }
}

impl KidInput<'_> {
    /// `kid` of the pool, of random subsets and of both ends of every ranking; `delta_kid`, `p_kid` and `p_kid_holm` of the
    /// latter.
    ///
    /// # Errors
    /// [`MetricError`] for features of two dimensions or values that are not finite, and for fewer than two images.
    pub(super) fn rows(&self, facts: &RunFacts) -> Result<Vec<MetricRow>, MetricError> {
        let study = KidStudy::new(self.features, self.real)?;
        let null = Null::of(study.random(self.n_keep, self.n_random, self.seed)?);
        let mut sets = vec![(0..self.features.nrows()).collect()];
        sets.extend(self.scores.iter().flat_map(|(_, scores)| ends(scores, self.n_keep)));
        let found = study.sets(&sets)?;
        let (full, kept) = found.split_at(1);
        let kid = |method: &str, set: &KidEstimate| {
            facts.row(method, "kid", Some(set.kid)).with_se(Some(set.se)).over(set.n)
        };
        let mut rows: Vec<MetricRow> = full.iter().map(|set| kid("full", set)).collect();
        let random =
            |metric: &str, value: f64| facts.row("random", metric, Some(value)).over(self.n_keep);
        // The error bar of one of them over new pools: that of the pool for fewer images.
        let ratio = self.features.nrows() as f64 / self.n_keep as f64;
        let se = full.first().map(|full| full.se * ratio.sqrt());
        rows.push(random("kid", null.mean).with_se(se));
        rows.push(random("kid_sd", null.sd));
        let mut tested = Vec::new();
        for ((method, _), two) in self.scores.iter().zip(kept.chunks_exact(2)) {
            for (side, set) in ["lowest", "highest"].into_iter().zip(two) {
                rows.push(kid(method, set).on(side));
                let [delta, p] = difference(facts, (method, set), &null)?;
                rows.push(delta.on(side));
                tested.push(p.on(side));
            }
        }
        let adjusted = holm_rows_as("p_kid_holm", &tested.iter().collect::<Vec<_>>())?;
        rows.extend(tested);
        rows.extend(adjusted);
        Ok(rows)
    }
}

/// A kept set against random subsets of its size.
fn difference(
    facts: &RunFacts,
    (method, set): (&str, &KidEstimate),
    null: &Null,
) -> Result<[MetricRow; 2], MetricError> {
    let row =
        |metric: &str, value: f64| facts.row(method, metric, Some(value)).of("random").over(set.n);
    let mut delta = row("delta_kid", set.kid - null.mean);
    delta.se = Some(null.sd);
    let (as_far, n_random) = (null.as_far(set.kid), null.values.len());
    let p = row("p_kid", (1 + as_far) as f64 / (1 + n_random) as f64);
    Ok([delta, p.counted_over_subsets(as_far, n_random)?])
}

#[cfg(test)]
mod tests {
    use dubench_metrics::{Kernel, MmdEstimator, mmd};
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::protocol::example::weyl;

    /// Images of a pool of which every third lies far from the real ones, and a score that knows.
    fn rows() -> (Array2<f32>, Array2<f32>, Vec<MetricRow>) {
        let (mut pool, real) = (weyl(60, 0.0), weyl(50, 0.02));
        let bad = |i: usize| i.is_multiple_of(3);
        for (i, mut row) in pool.outer_iter_mut().enumerate().filter(|(i, _)| bad(*i)) {
            row += 1.0 + 0.01 * i as f32;
        }
        let knows = (0..60).map(|i| if bad(i) { 2.0 + i as f64 } else { 0.01 * i as f64 });
        let scores = [("knows".to_owned(), knows.collect()), ("flat".to_owned(), vec![1.0; 60])];
        let input = KidInput {
            features: pool.view(),
            real: real.view(),
            scores: &scores,
            n_keep: 40,
            n_random: 99,
            seed: 3,
        };
        let facts = RunFacts { n_reference: Some(50), ..RunFacts::default() };
        let rows = input.rows(&facts).unwrap();
        (pool, real, rows)
    }

    fn find(rows: &[MetricRow], method: &str, metric: &str, side: Option<&str>) -> MetricRow {
        let own = |row: &&MetricRow| {
            row.method == method && row.metric == metric && row.side.as_deref() == side
        };
        rows.iter().find(own).unwrap().clone()
    }

    #[test]
    fn a_kept_set_has_the_unbiased_distance_of_its_images() {
        let (pool, real, rows) = rows();
        let kept: Vec<usize> = (0..60).filter(|i| i % 3 != 0).collect();
        let direct =
            mmd(&pool.select(Axis(0), &kept), &real, Kernel::Cubic, MmdEstimator::Unbiased);
        let lowest = find(&rows, "knows", "kid", Some("lowest"));
        assert!((lowest.value.unwrap() - direct.unwrap().value).abs() < 1e-12);
        assert_eq!((lowest.n, lowest.n_reference), (Some(40), Some(50)));
        let random = find(&rows, "random", "kid", None).value.unwrap();
        let delta = find(&rows, "knows", "delta_kid", Some("lowest"));
        assert!((delta.value.unwrap() - (lowest.value.unwrap() - random)).abs() < 1e-15);
        assert_eq!(delta.se, find(&rows, "random", "kid_sd", None).value);
    }

    #[test]
    fn a_score_that_knows_is_at_the_floor_and_adjusted_over_all_kept_sets() {
        let (.., rows) = rows();
        let p = |metric: &str| find(&rows, "knows", metric, Some("lowest"));
        assert_eq!((p("p_kid").value, p("p_kid").ci_low), (Some(0.01), Some(0.0)));
        // Two scores with two ends each.
        assert_eq!((p("p_kid_holm").value, p("p_kid_holm").ci_low), (Some(0.04), Some(0.0)));
        assert!(p("p_kid_holm").reason.unwrap().ends_with("over a family of 4"));
        let flat = find(&rows, "flat", "p_kid", Some("lowest")).value.unwrap();
        assert!(flat > 0.05, "the first images of a pool are no choice: {flat}");
    }
}
