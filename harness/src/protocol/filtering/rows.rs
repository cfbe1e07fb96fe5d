//! The rows that the filtering protocol writes.

use std::collections::BTreeMap;

use dubench_metrics::{FrechetEstimate, MetricError, spearman_interval};

use super::between;
use super::study::{FilteringOutcome, Kept, MethodOutcome};
use crate::protocol::RunFacts;
use crate::protocol::rows::{LEVEL, fid_rows};
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// What images and methods cost.
pub(super) struct Costs {
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Time inside the network for the trajectories, where it can be told from that of estimators.
    pub(super) trajectory_seconds: Option<f64>,
    /// Evaluations per image beyond the trajectory and time inside the network, by method.
    pub(super) methods: BTreeMap<String, (Nfe, f64)>,
}

/// The published number of a metric and a kind.
pub(super) type Paper<'a> = &'a dyn Fn(&str, &str) -> Option<f64>;

/// All rows, in the order of a table: whole pool, random, methods with both sides, methods that are not
/// applicable, rank correlations. `paper` gives the published number of a metric and kind.
pub(super) fn rows(
    facts: &RunFacts,
    outcome: &FilteringOutcome,
    costs: &Costs,
    (not_applicable, paper): (&BTreeMap<String, String>, Paper<'_>),
) -> Result<Vec<MetricRow>, MetricError> {
    let table = Table { facts, costs, paper };
    let mut rows = table.full(&outcome.full);
    rows.extend(table.random(outcome));
    for method in &outcome.methods {
        rows.extend(table.method(method, outcome)?);
    }
    rows.extend(between::rows(facts, &outcome.methods)?);
    for (method, reason) in not_applicable {
        let mut row = facts.not_applicable(method, "fid", reason).on("lowest");
        row.paper_value = paper("fid", &row.kind);
        rows.push(row);
    }
    for (method, other, rho) in &outcome.correlations {
        let value = rho.map(|rho| rho.coefficient);
        let mut row = facts.row(method, "spearman", value).of(other).over(outcome.full.n);
        row.se = rho.map(|rho| rho.null_se);
        // With one image less than a variance of Fisher's z needs there is no interval.
        if let Some(rho) = rho.filter(|rho| rho.n > 3) {
            let (low, high) = spearman_interval(rho.coefficient, rho.n, LEVEL)?;
            (row.ci_low, row.ci_high) = (Some(low), Some(high));
        }
        row.reason = Some(match rho {
            Some(_) => {
                "interval by Fisher's z (Bonett and Wright 2000); se is that of unrelated scores"
                    .to_owned()
            }
            None => "one of the scores is the same for all images".to_owned(),
        });
        rows.push(row);
    }
    Ok(rows)
}

struct Table<'a> {
    facts: &'a RunFacts,
    costs: &'a Costs,
    paper: Paper<'a>,
}

impl Table<'_> {
    fn full(&self, full: &FrechetEstimate) -> Vec<MetricRow> {
        let [mut fid, inf, bias] = fid_rows(self.facts, "full", full);
        // What authors say of a network itself.
        fid.paper_value = (self.paper)("fid", "full");
        let fid = fid.costing(self.costs.nfe_trajectory, None, self.costs.trajectory_seconds);
        vec![fid, inf, bias]
    }

    /// The error bar of a random subset is that of the whole pool for fewer images; its bias is measured on the subsets.
    fn random(&self, outcome: &FilteringOutcome) -> Vec<MetricRow> {
        let (full, null) = (&outcome.full, &outcome.null);
        let ratio = full.n as f64 / null.keep as f64;
        let row = |metric: &str, value: f64| {
            self.facts.row("random", metric, Some(value)).over(null.keep)
        };
        let mut fid = row("fid", null.mean).with_se(Some(full.se * ratio.sqrt())).costing(
            self.costs.nfe_trajectory,
            None,
            None,
        );
        fid.paper_value = (self.paper)("fid", "random");
        fid.reason = Some(format!(
            "mean of {} random subsets, whose standard deviation is {:.3}; ± is the standard error of one of them over \
             new pools",
            null.fids.len(),
            null.sd
        ));
        let inf = row("fid_inf", outcome.random_inf).with_se(Some(full.fid_inf_se * ratio.sqrt()));
        vec![fid, inf, row("fid_bias", null.mean - outcome.random_inf), row("fid_sd", null.sd)]
    }

    fn method(
        &self,
        method: &MethodOutcome,
        outcome: &FilteringOutcome,
    ) -> Result<Vec<MetricRow>, MetricError> {
        let mut rows = Vec::new();
        for (side, kept) in [("lowest", &method.lowest), ("highest", &method.highest)] {
            let mut own = self.kept(&method.method, kept, outcome)?;
            if side == "lowest" {
                own[0].paper_value = (self.paper)("fid", &own[0].kind);
            }
            rows.extend(own.into_iter().map(|row| row.on(side)));
        }
        Ok(rows)
    }

    fn kept(
        &self,
        method: &str,
        kept: &Kept,
        outcome: &FilteringOutcome,
    ) -> Result<Vec<MetricRow>, MetricError> {
        let verdict = Some(kept.verdict.to_owned());
        let [fid, inf, bias] = fid_rows(self.facts, method, &kept.estimate);
        let known = self.costs.methods.get(method);
        let (nfe, seconds) = (known.map(|(nfe, _)| *nfe), known.map(|(_, seconds)| *seconds));
        let mut fid = fid.costing(self.costs.nfe_trajectory, nfe, seconds);
        fid.verdict.clone_from(&verdict);
        let row = |metric: &str, value: f64| {
            self.facts.row(method, metric, Some(value)).of("random").over(kept.estimate.n)
        };
        let mut delta = row("delta", kept.delta);
        (delta.se, delta.verdict) = (Some(outcome.null.sd), verdict);
        let over_pools = row("delta_se_pools", kept.delta_se_pools);
        let delta_inf = row("delta_inf", kept.delta_inf).with_se(kept.delta_inf_se);
        let n_random = outcome.null.fids.len();
        let p = row("p_value", kept.p).counted_over_subsets(kept.as_far, n_random)?;
        let mut adjusted = row("p_holm", kept.p_holm);
        adjusted.ci_low = p.ci_low.filter(|low| *low == 0.0);
        let family = 2 * outcome.methods.len();
        adjusted.reason = Some(format!("by Holm's method, over a family of {family}"));
        Ok(vec![fid, inf, bias, delta, over_pools, delta_inf, p, adjusted])
    }
}
