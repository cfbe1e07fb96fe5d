//! The rows that the filtering protocol writes.

use std::collections::BTreeMap;

use dubench_metrics::FrechetEstimate;

use super::filtering::{FilteringOutcome, Kept, MethodOutcome};
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// Version of the definitions of these metrics.
pub const METRIC_VERSION: u32 = 1;

/// Half width of a 95 % interval in standard errors.
pub const Z95: f64 = 1.959_963_984_540_054;

/// What rows say of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFacts {
    /// Experiment, artefact, scale.
    pub experiment: [String; 3],
    /// Model, data set, sampler.
    pub setting: [String; 3],
    /// Plan id.
    pub plan_id: String,
    /// Images behind the reference.
    pub n_reference: Option<u64>,
    /// Evaluations per image that moved the trajectory.
    pub nfe_trajectory: u64,
    /// Wall time inside the network for the trajectories, where it can be told from that of estimators.
    pub trajectory_seconds: Option<f64>,
}

impl RunFacts {
    /// A row of this run that says nothing but a value.
    pub fn row(&self, method: &str, metric: &str, value: Option<f64>) -> MetricRow {
        let [experiment, artefact, scale] = self.experiment.clone();
        let [model, dataset, sampler] = self.setting.clone();
        MetricRow {
            experiment,
            artefact,
            scale,
            model,
            dataset,
            sampler,
            method: method.to_owned(),
            metric: metric.to_owned(),
            value,
            se: None,
            ci_low: None,
            ci_high: None,
            n: None,
            n_reference: self.n_reference,
            direction: None,
            paper_value: None,
            nfe_trajectory: None,
            nfe_estimator: None,
            nfe_gradient: None,
            seconds: None,
            verdict: None,
            reason: None,
            plan_id: self.plan_id.clone(),
            metric_version: METRIC_VERSION,
        }
    }
}

/// What rows say of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodFacts {
    /// Evaluations per image beyond the trajectory.
    pub nfe: Nfe,
    /// Wall time inside the network.
    pub seconds: f64,
}

/// All rows, in the order of a table: whole pool, random, methods with both directions, methods that are not
/// applicable, rank correlations. `paper` gives the published number of a method and metric.
pub fn rows(
    facts: &RunFacts,
    outcome: &FilteringOutcome,
    methods: &BTreeMap<String, MethodFacts>,
    not_applicable: &BTreeMap<String, String>,
    paper: &dyn Fn(&str, &str) -> Option<f64>,
) -> Vec<MetricRow> {
    let table = Table { facts, paper };
    let mut rows = table.full(&outcome.full);
    rows.extend(table.random(outcome));
    for method in &outcome.methods {
        let known = methods.get(&method.method).copied();
        rows.extend(table.method(method, outcome, known));
    }
    for (method, reason) in not_applicable {
        let mut row = table.row(method, "fid", None);
        row.direction = Some("keep_lowest".to_owned());
        row.reason = Some(format!("not applicable: {reason}"));
        row.paper_value = paper("fid", method);
        rows.push(row);
    }
    for (method, other, rho) in &outcome.correlations {
        let value = rho.map(|rho| rho.coefficient);
        let mut row = table.row(method, &format!("spearman({other})"), value);
        row.n = Some(outcome.full.n as u64);
        row.se = rho.map(|rho| rho.null_se);
        row.reason = Some(match rho {
            Some(_) => "se is that of unrelated scores".to_owned(),
            None => "one of the scores is the same for all images".to_owned(),
        });
        rows.push(row);
    }
    rows
}

struct Table<'a> {
    facts: &'a RunFacts,
    paper: &'a dyn Fn(&str, &str) -> Option<f64>,
}

impl Table<'_> {
    fn row(&self, method: &str, metric: &str, value: Option<f64>) -> MetricRow {
        self.facts.row(method, metric, value)
    }

    /// `fid`, `fid_inf`, `fid_bias` of a set of `n` images.
    fn fid(&self, method: &str, n: usize, values: [f64; 5]) -> Vec<MetricRow> {
        let [fid, se, fid_inf, fid_inf_se, bias] = values;
        let with = |metric: &str, value: f64, se: Option<f64>| {
            let mut row = self.row(method, metric, Some(value));
            row.n = Some(n as u64);
            row.se = se;
            row.ci_low = se.map(|se| value - Z95 * se);
            row.ci_high = se.map(|se| value + Z95 * se);
            row
        };
        let mut first = with("fid", fid, Some(se));
        first.nfe_trajectory = Some(self.facts.nfe_trajectory);
        vec![first, with("fid_inf", fid_inf, Some(fid_inf_se)), with("fid_bias", bias, None)]
    }

    fn full(&self, full: &FrechetEstimate) -> Vec<MetricRow> {
        let mut rows = self.fid("full", full.n, values(full));
        rows[0].seconds = self.facts.trajectory_seconds;
        rows
    }

    /// Error bar and bias of a random subset follow from the whole pool: both fall as `1 / n` does.
    fn random(&self, outcome: &FilteringOutcome) -> Vec<MetricRow> {
        let (full, null) = (&outcome.full, &outcome.null);
        let ratio = full.n as f64 / null.keep as f64;
        let (mean, bias) = (null.mean, full.bias * ratio);
        let errors = [full.se * ratio.sqrt(), full.fid_inf_se * ratio.sqrt()];
        let values = [mean, errors[0], mean - bias, errors[1], bias];
        let mut rows = self.fid("random", null.keep, values);
        rows[0].paper_value = (self.paper)("fid", "random");
        rows[0].reason = Some(format!(
            "mean of {} random subsets; their standard deviation is {:.3}",
            null.fids.len(),
            null.sd
        ));
        let mut sd = self.row("random", "fid_sd", Some(null.sd));
        sd.n = Some(null.keep as u64);
        rows.push(sd);
        rows
    }

    fn method(
        &self,
        method: &MethodOutcome,
        outcome: &FilteringOutcome,
        known: Option<MethodFacts>,
    ) -> Vec<MetricRow> {
        let ends = [("keep_lowest", &method.lowest), ("keep_highest", &method.highest)];
        let mut rows = Vec::new();
        for (direction, kept) in ends {
            let start = rows.len();
            rows.extend(self.kept(&method.method, kept, outcome));
            rows[start..].iter_mut().for_each(|row| row.direction = Some(direction.to_owned()));
            let first = &mut rows[start];
            first.nfe_estimator = known.map(|facts| facts.nfe.estimator);
            first.nfe_gradient = known.map(|facts| facts.nfe.gradient);
            first.seconds = known.map(|facts| facts.seconds);
            if direction == "keep_lowest" {
                first.paper_value = (self.paper)("fid", &method.method);
            }
        }
        rows
    }

    fn kept(&self, method: &str, kept: &Kept, outcome: &FilteringOutcome) -> Vec<MetricRow> {
        let n = kept.estimate.n;
        let mut rows = self.fid(method, n, values(&kept.estimate));
        rows[0].verdict = Some(kept.verdict.to_owned());
        let mut delta = self.row(method, "delta_random", Some(kept.delta));
        delta.se = Some(outcome.null.sd);
        delta.verdict = Some(kept.verdict.to_owned());
        let mut p = self.row(method, "p_value", Some(kept.p));
        p.reason = Some(format!("two-sided, against {} random subsets", outcome.null.fids.len()));
        for mut row in [delta, p] {
            row.n = Some(n as u64);
            rows.push(row);
        }
        rows
    }
}

fn values(estimate: &FrechetEstimate) -> [f64; 5] {
    [estimate.fid, estimate.se, estimate.fid_inf, estimate.fid_inf_se, estimate.bias]
}
