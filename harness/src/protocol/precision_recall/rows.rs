//! The rows of Table 4.

use std::collections::BTreeMap;

use dubench_metrics::manifold::{Overlap, OverlapStudy};
use dubench_metrics::{MetricError, spearman, spearman_interval};

use super::rankings::{NAN_RANKING, REALISM, Ranking};
use crate::protocol::RunFacts;
use crate::protocol::filtering::study::ends;
use crate::protocol::rows::{LEVEL, holm_rows_as, mean_and_se, verdict};
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// Name of each number, with the number and its standard error over the points that are asked.
pub(super) const METRICS: [&str; 4] = ["precision", "recall", "density", "coverage"];

fn numbers(set: &Overlap) -> [(f64, f64); 4] {
    [
        (set.precision, set.precision_se),
        (set.recall, set.recall_se),
        (set.density, set.density_se),
        (set.coverage, set.coverage_se),
    ]
}

/// What methods cost.
pub(super) struct Costs {
    pub(super) nfe_trajectory: u64,
    pub(super) methods: BTreeMap<String, Nfe>,
}

/// What rows are made of.
pub(super) struct Input<'a> {
    pub(super) facts: &'a RunFacts,
    pub(super) study: OverlapStudy<'a, 'a>,
    pub(super) rankings: Vec<Ranking>,
    /// Images of the pool.
    pub(super) n: usize,
    pub(super) n_keep: usize,
    /// Random subsets, and their seed: that of the filter's, so that they are the same.
    pub(super) null: (usize, u64),
    pub(super) costs: Costs,
    /// Why a method cannot run on the model, for each that cannot.
    pub(super) not_applicable: &'a BTreeMap<String, String>,
    /// The published number of a metric and a kind.
    pub(super) paper: &'a dyn Fn(&str, &str) -> Option<f64>,
}

/// Both ends of a ranking, or the one that there is.
struct Kept<'a> {
    method: &'a str,
    side: &'static str,
    set: Overlap,
}

impl Input<'_> {
    /// Rows of the pool, of random subsets and of both ends of every ranking; then rank correlations with realism.
    pub(super) fn rows(&self) -> Result<Vec<MetricRow>, MetricError> {
        let (n_random, seed) = self.null;
        let drawn = self.study.random(self.n_keep, n_random, seed)?;
        let full = self.study.sets(&[(0..self.n).collect()])?;
        let kept = self.kept()?;
        let mut rows = Vec::new();
        for (at, metric) in METRICS.into_iter().enumerate() {
            let null: Vec<f64> = drawn.iter().map(|set| numbers(set)[at].0).collect();
            let own = |method: &str, set: &Overlap, n: usize| {
                let (value, se) = numbers(set)[at];
                self.row(method, metric, value).with_se(Some(se)).over(n)
            };
            rows.extend(full.iter().map(|full| own("full", full, self.n)));
            let errors: Vec<f64> = drawn.iter().map(|set| numbers(set)[at].1).collect();
            rows.extend(self.random(metric, &null, mean_and_se(&errors).0));
            let mut tested = Vec::new();
            for kept in &kept {
                let mut row = own(kept.method, &kept.set, self.n_keep).on(kept.side);
                if kept.side == "lowest" {
                    row.paper_value = (self.paper)(metric, &row.kind);
                }
                rows.push(row);
                tested.push(self.difference((metric, at), kept, &null)?);
            }
            rows.extend(judged(metric, tested)?);
            for (method, reason) in self.not_applicable {
                let mut row = self.facts.not_applicable(method, metric, reason).on("lowest");
                row.paper_value = (self.paper)(metric, &row.kind);
                rows.push(row);
            }
        }
        rows.extend(self.correlations()?);
        Ok(rows)
    }

    fn row(&self, method: &str, metric: &str, value: f64) -> MetricRow {
        let nfe = self.costs.methods.get(method).copied();
        self.facts.row(method, metric, Some(value)).costing(self.costs.nfe_trajectory, nfe, None)
    }

    fn kept(&self) -> Result<Vec<Kept<'_>>, MetricError> {
        let ends_of = |ranking: &Ranking| ends(&ranking.scores, self.n_keep);
        let mut rows: Vec<Vec<usize>> = self.rankings.iter().flat_map(ends_of).collect();
        // Ascending rows: sums of a set do not depend on the order of its ranking.
        for rows in &mut rows {
            rows.sort_unstable();
        }
        let sets = self.study.sets(&rows)?;
        let sides = self
            .rankings
            .iter()
            .flat_map(|ranking| ["lowest", "highest"].map(|side| (ranking.name.as_str(), side)));
        let kept = sides.zip(sets).map(|((method, side), set)| Kept { method, side, set });
        // All scores of the released ranking are equal, so there are no two ends.
        Ok(kept.filter(|kept| kept.method != NAN_RANKING || kept.side == "lowest").collect())
    }

    /// Mean over random subsets; its error bar is that of one of them.
    fn random(&self, metric: &str, null: &[f64], se: f64) -> [MetricRow; 2] {
        let (mean, sd) = centre(null);
        let mut row = self.row("random", metric, mean).with_se(Some(se)).over(self.n_keep);
        row.paper_value = (self.paper)(metric, "random");
        let spread = self.row("random", &format!("{metric}_sd"), sd).over(self.n_keep);
        [row, spread]
    }

    /// `delta` and its p-value within the pool, two-sided, against random subsets.
    fn difference(
        &self,
        (metric, at): (&str, usize),
        kept: &Kept<'_>,
        null: &[f64],
    ) -> Result<[MetricRow; 2], MetricError> {
        let (mean, sd) = centre(null);
        let delta = numbers(&kept.set)[at].0 - mean;
        let as_far = null.iter().filter(|value| (*value - mean).abs() >= delta.abs()).count();
        let row = |metric: String, value: f64| {
            self.facts
                .row(kept.method, &metric, Some(value))
                .of("random")
                .on(kept.side)
                .over(self.n_keep)
        };
        let mut difference = row(format!("delta_{metric}"), delta);
        difference.se = Some(sd);
        let p = row(format!("p_{metric}"), (1 + as_far) as f64 / (1 + null.len()) as f64);
        Ok([difference, p.counted_over_subsets(as_far, null.len())?])
    }

    /// Rank correlation of every score with realism: whether it knows what real images are like. Below zero, uncertain images
    /// are the less realistic ones.
    fn correlations(&self) -> Result<Vec<MetricRow>, MetricError> {
        let realism = self.rankings.iter().find(|ranking| ranking.name == REALISM);
        let Some(realism) = realism else { return Ok(Vec::new()) };
        let realism: Vec<f64> = realism.scores.iter().map(|turned| -turned).collect();
        let methods = self.rankings.iter().filter(|r| self.costs.methods.contains_key(&r.name));
        let mut rows = Vec::new();
        for ranking in methods {
            let row = |value| self.facts.row(&ranking.name, "spearman", value).of(REALISM);
            match spearman(&ranking.scores, &realism) {
                Ok(rho) => {
                    let mut row = row(Some(rho.coefficient)).over(rho.n);
                    row.se = Some(rho.null_se);
                    if rho.n > 3 {
                        let (low, high) = spearman_interval(rho.coefficient, rho.n, LEVEL)?;
                        (row.ci_low, row.ci_high) = (Some(low), Some(high));
                    }
                    rows.push(row);
                }
                // A score that is constant has no order to compare.
                Err(MetricError::OutOfRange { .. }) => {
                    let reason = "one of the scores is the same for all images".to_owned();
                    rows.push(MetricRow { reason: Some(reason), ..row(None) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }
}

/// Mean and standard deviation.
fn centre(values: &[f64]) -> (f64, f64) {
    let (mean, se) = mean_and_se(values);
    (mean, se.unwrap_or(0.0) * (values.len() as f64).sqrt())
}

/// The rows of a family of differences, with p adjusted by Holm's method and verdicts by it. Higher is better.
fn judged(metric: &str, tested: Vec<[MetricRow; 2]>) -> Result<Vec<MetricRow>, MetricError> {
    let p_values: Vec<&MetricRow> = tested.iter().map(|[_, p]| p).collect();
    let adjusted = holm_rows_as(&format!("p_{metric}_holm"), &p_values)?;
    let rows = |([mut delta, p], adjusted): ([MetricRow; 2], MetricRow)| {
        let judged = delta.value.zip(adjusted.value);
        delta.verdict = judged.map(|(delta, p)| verdict(-delta, p).to_owned());
        [delta, p, adjusted]
    };
    Ok(tested.into_iter().zip(adjusted).flat_map(rows).collect())
}
