//! Differences of two arms over the same starts.

use dubench_metrics::{EstimateOptions, FrechetEstimate, MetricError, Reference, compare_paired};
use ndarray::s;

use super::samples::ArmSamples;
use crate::protocol::rows::{holm_rows, inf_without_groups, paired_se, verdict};
use crate::store::records::MetricRow;

/// The first starts of an arm.
struct FirstStarts {
    arm: usize,
    n: usize,
    estimate: FrechetEstimate,
    /// FID for infinitely many images without each group.
    without: Option<Vec<f64>>,
}

/// Arms by their first starts, each estimated once.
pub(super) struct Paired<'r, 'a> {
    reference: &'r Reference,
    arms: &'r [ArmSamples<'a>],
    known: Vec<FirstStarts>,
}

/// The rows of one difference.
pub(super) struct Tested {
    pub(super) delta: MetricRow,
    pub(super) delta_inf: MetricRow,
    pub(super) p: MetricRow,
}

impl<'r, 'a> Paired<'r, 'a> {
    pub(super) fn new(reference: &'r Reference, arms: &'r [ArmSamples<'a>]) -> Self {
        Self { reference, arms, known: Vec::new() }
    }

    /// Place of the first `n` starts of an arm among the known.
    fn first(&mut self, arm: usize, n: usize) -> Result<usize, MetricError> {
        let known = self.known.iter().position(|set| (set.arm, set.n) == (arm, n));
        if let Some(place) = known {
            return Ok(place);
        }
        let arms = self.arms;
        let features = arms[arm].features.slice(s![..n, ..]);
        let estimate = self.reference.estimate(features, &EstimateOptions::default())?;
        let without = inf_without_groups(self.reference, features, 0..n)?;
        self.known.push(FirstStarts { arm, n, estimate, without });
        Ok(self.known.len() - 1)
    }

    /// FID of all images of an arm.
    pub(super) fn whole(&mut self, arm: usize) -> Result<&FrechetEstimate, MetricError> {
        let place = self.first(arm, self.arms[arm].features.nrows())?;
        Ok(&self.known[place].estimate)
    }

    /// One arm less another, over the starts that both have. The verdict waits for [`family`].
    pub(super) fn difference(
        &mut self,
        (one, other): (usize, usize),
        argument: &str,
    ) -> Result<Tested, MetricError> {
        let rows = |arm: usize| self.arms[arm].features.nrows();
        let n = rows(one).min(rows(other));
        let (first, second) = (self.first(one, n)?, self.first(other, n)?);
        let (own, base) = (&self.known[first], &self.known[second]);
        let comparison = compare_paired(&own.estimate, &base.estimate)?;
        let arm = &self.arms[one];
        let row = |metric: &str, value: f64| {
            arm.facts.row(arm.kind, metric, Some(value)).over(n).of(argument)
        };
        let se = paired_se(own.without.as_deref(), base.without.as_deref());
        let mut p = row("p_value", comparison.p);
        p.reason = Some("two-sided, paired over starts".to_owned());
        Ok(Tested {
            delta: row("delta", comparison.delta).with_se(Some(comparison.se)),
            delta_inf: row("delta_inf", own.estimate.fid_inf - base.estimate.fid_inf).with_se(se),
            p,
        })
    }

    /// Differences between two rules of one sampler: every pair of listed arms, and cells of the sweep that differ in the
    /// sign of lambda alone. Each is tested by itself: two error bars against no guidance are no test of two rules.
    pub(super) fn between_rules(&mut self) -> Result<Vec<MetricRow>, MetricError> {
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (one, arm) in self.arms.iter().enumerate() {
            let partners = self.arms[..one].iter().enumerate();
            pairs.extend(partners.filter(|(_, other)| arm.answers(other)).map(|(o, _)| (one, o)));
        }
        let (arms, mut rows) = (self.arms, Vec::new());
        while let Some(&(first, _)) = pairs.first() {
            let sampler = &arms[first].facts.arm[1];
            let here = |pair: &(usize, usize)| arms[pair.0].facts.arm[1] == *sampler;
            let (family_pairs, rest): (Vec<_>, Vec<_>) = pairs.iter().copied().partition(here);
            pairs = rest;
            let tested = family_pairs.into_iter().map(|pair| self.between(pair));
            rows.extend(family(tested.collect::<Result<_, _>>()?)?.into_iter().flatten());
        }
        Ok(rows)
    }

    fn between(&mut self, (one, other): (usize, usize)) -> Result<Tested, MetricError> {
        let name = self.arms[other].facts.arm[0].clone();
        let mut tested = self.difference((one, other), &name)?;
        let draws = |arm: usize| {
            self.arms[arm].n_draws.map_or("none".to_owned(), |n_draws| n_draws.to_string())
        };
        let (own, others) = (draws(one), draws(other));
        if own != others {
            tested.delta.reason = Some(format!("M = {own} against M = {others}"));
        }
        Ok(tested)
    }
}

/// The rows of each difference of a family, with verdicts by the adjusted p-value.
///
/// # Errors
/// [`MetricError::OutOfRange`] for a p-value that is none.
pub(super) fn family(tested: Vec<Tested>) -> Result<Vec<[MetricRow; 4]>, MetricError> {
    let adjusted = holm_rows(&tested.iter().map(|one| &one.p).collect::<Vec<_>>())?;
    let rows = |(mut one, adjusted): (Tested, MetricRow)| {
        let judged = one.delta.value.zip(adjusted.value);
        one.delta.verdict = judged.map(|(delta, p)| verdict(delta, p).to_owned());
        [one.delta, one.delta_inf, one.p, adjusted]
    };
    Ok(tested.into_iter().zip(adjusted).map(rows).collect())
}
