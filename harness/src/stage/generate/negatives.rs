//! How much of a map lies below zero, for the estimators whose maps can.

use ndarray::{ArrayView3, Axis};

use crate::plan::ArmPlan;
use crate::store::records::{MethodScores, Span};
use crate::uncertainty::{Estimator, GroupEstimate};
use crate::units::Nfe;

/// Elements below zero, and all elements, of the maps of each estimator; `None` for those that cannot be negative.
#[derive(Debug)]
pub(super) struct Negatives(Vec<Option<Count>>);

#[derive(Clone, Debug)]
struct Count {
    method: String,
    /// One number an image.
    below: Vec<u64>,
    /// Elements of all maps of an image.
    elements: u64,
}

impl Negatives {
    /// Empty counts for `n` images of an arm, in the order of `estimators`.
    pub(super) fn new(arm: &ArmPlan, estimators: &[Box<dyn Estimator>], n: usize) -> Self {
        let signed =
            |name: &str| arm.watch.iter().any(|plan| plan.name == name && plan.rule.facts().signed);
        let count = |name: &str| Count { method: name.to_owned(), below: vec![0; n], elements: 0 };
        let names = estimators.iter().map(|estimator| estimator.name());
        Self(names.map(|name| signed(name).then(|| count(name))).collect())
    }

    /// Counts one step.
    pub(super) fn see(&mut self, estimates: &[Option<GroupEstimate>]) {
        for (count, estimate) in self.0.iter_mut().zip(estimates) {
            let (Some(count), Some(estimate)) = (count, estimate) else { continue };
            let below = |map: ArrayView3<'_, f32>| map.iter().filter(|u| **u < 0.0).count() as u64;
            let rows = estimate.map.axis_iter(Axis(0));
            count.below.iter_mut().zip(rows).for_each(|(sum, map)| *sum += below(map));
            count.elements += (estimate.map.len() / estimate.map.dim().0.max(1)) as u64;
        }
    }

    /// The share of each image.
    pub(super) fn close(self) -> impl Iterator<Item = MethodScores> {
        let scores = |Count { method, below, elements }: Count| MethodScores {
            method,
            span: Span::Negative,
            score: below.iter().map(|n| *n as f64 / elements.max(1) as f64).collect(),
            map: None,
            nfe: Nfe::default(),
            network_seconds: 0.0,
        };
        self.0.into_iter().flatten().map(scores)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ndarray::{Array4, array};

    use super::*;
    use crate::stage::tests::Bench;
    use crate::uncertainty::EstimatorPlan;

    fn bench() -> Bench {
        let both = "- {kind: sample_var}\n  - {kind: divergence, n_draws: 2}";
        Bench::edited(|text| text.replacen("- {kind: sample_var}", both, 1))
    }

    fn estimate(map: Array4<f32>) -> GroupEstimate {
        GroupEstimate { map, nfe: Nfe::default(), network_time: Duration::ZERO }
    }

    #[test]
    fn elements_below_zero_are_counted_over_all_steps_of_those_that_can_have_some() {
        let bench = bench();
        let arm = &bench.plan.arms[0];
        let estimators: Vec<_> =
            arm.watch.iter().map(EstimatorPlan::build).collect::<Result<_, _>>().unwrap();
        let mut negatives = Negatives::new(arm, &estimators, 2);
        let first = array![[[[1.0, -1.0], [0.0, -0.0]]], [[[2.0, 3.0], [4.0, 5.0]]]];
        let second = array![[[[-1.0, -1.0], [-2.0, 1.0]]], [[[2.0, -3.0], [4.0, 5.0]]]];
        negatives.see(&[Some(estimate(first.clone())), Some(estimate(first)), None]);
        negatives.see(&[None, None, Some(estimate(second.clone()))]);
        negatives.see(&[None, Some(estimate(second)), None]);
        let found: Vec<MethodScores> = negatives.close().collect();
        // One of four and three of four; none of four and one of four.
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].method.as_str(), found[0].span), ("divergence", Span::Negative));
        assert_eq!(found[0].score, [0.5, 0.125]);
    }

    /// The posterior variance of a Gaussian is positive, and the row says so; it is no score that ranks.
    #[test]
    fn the_row_stands_beside_the_scores_and_ranks_nothing() {
        let bench = bench();
        let numbers = bench.all("work", 8).unwrap().numbers;
        let rows: Vec<_> =
            numbers.rows.iter().filter(|row| row.metric == crate::propagation::NEGATIVE).collect();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].method.as_str(), rows[0].value), ("divergence", Some(0.0)));
        assert_eq!(rows[0].n, Some(48));
        let names: Vec<&str> = numbers.scores.columns.iter().map(|(name, _)| &**name).collect();
        let expected =
            ["sample_var", "divergence", "centered", "total_variation", "mean_squared_epsilon"];
        assert_eq!(names, expected);
    }
}
