//! Rows of `metrics.parquet`, as all protocols make them.

use std::collections::BTreeMap;

use dubench_metrics::FrechetEstimate;

use super::Evidence;
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// Version of the definitions of the metrics.
pub const METRIC_VERSION: u32 = 1;

/// Half width of a 95 % interval in standard errors.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Level of the two-sided test behind `better` and `worse`.
pub const SIGNIFICANCE: f64 = 0.05;

/// What rows say of their run and arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// Experiment, artefact, scale.
    pub experiment: [String; 3],
    /// Model, data set.
    pub setting: [String; 2],
    /// Arm, and its sampler.
    pub arm: [String; 2],
    /// Kind of every method that has another name.
    pub kinds: BTreeMap<String, String>,
    /// Plan id.
    pub plan_id: String,
    /// Images behind the reference.
    pub n_reference: Option<u64>,
}

impl RunFacts {
    /// Facts of an arm, by its place.
    pub fn of(evidence: &dyn Evidence, arm: usize) -> Self {
        let work = evidence.work();
        let mut facts = Self {
            experiment: [work.experiment.clone(), work.artefact.clone(), work.scale.clone()],
            setting: [work.model.name.clone(), work.dataset().to_owned()],
            plan_id: evidence.plan_id().to_owned(),
            n_reference: work.n_reference(),
            ..Self::default()
        };
        if let Some(arm) = work.arms.get(arm) {
            facts.arm = [arm.name.clone(), arm.sampler.label()];
            let kind = |name: &str| Some((name.to_owned(), arm.kind_of(name)?.to_owned()));
            facts.kinds = arm.methods().filter_map(kind).collect();
        }
        facts
    }

    /// A row that says nothing but a value.
    pub fn row(&self, method: &str, metric: &str, value: Option<f64>) -> MetricRow {
        let [experiment, artefact, scale] = self.experiment.clone();
        let [model, dataset] = self.setting.clone();
        let [arm, sampler] = self.arm.clone();
        MetricRow {
            experiment,
            artefact,
            scale,
            model,
            dataset,
            arm,
            sampler,
            method: method.to_owned(),
            kind: self.kinds.get(method).map_or(method, String::as_str).to_owned(),
            metric: metric.to_owned(),
            argument: None,
            side: None,
            value,
            se: None,
            ci_low: None,
            ci_high: None,
            n: None,
            n_reference: self.n_reference,
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

    /// A row of a method that the model cannot serve, with its reason.
    pub fn not_applicable(&self, method: &str, metric: &str, reason: &str) -> MetricRow {
        let mut row = self.row(method, metric, None);
        row.reason = Some(format!("not applicable: {reason}"));
        row
    }
}

impl MetricRow {
    /// The row with a standard error and the normal 95 % interval that it makes.
    #[must_use]
    pub fn with_se(self, se: Option<f64>) -> Self {
        let end = |sign: f64| Some(self.value? + sign * Z95 * se?);
        Self { ci_low: end(-1.0), ci_high: end(1.0), se, ..self }
    }

    /// The row over `n` images.
    #[must_use]
    pub fn over(self, n: usize) -> Self {
        Self { n: Some(n as u64), ..self }
    }

    /// The row of a metric *of* something: the other method of a correlation, what a difference is taken from.
    #[must_use]
    pub fn of(self, argument: &str) -> Self {
        Self { argument: Some(argument.to_owned()), ..self }
    }

    /// The row of one side: which part is kept, which way a map is read.
    #[must_use]
    pub fn on(self, side: &str) -> Self {
        Self { side: Some(side.to_owned()), ..self }
    }

    /// The row with what it cost.
    #[must_use]
    pub fn costing(self, nfe_trajectory: u64, own: Option<Nfe>, seconds: Option<f64>) -> Self {
        Self {
            nfe_trajectory: Some(nfe_trajectory),
            nfe_estimator: own.map(|nfe| nfe.estimator),
            nfe_gradient: own.map(|nfe| nfe.gradient),
            seconds,
            ..self
        }
    }
}

/// `fid`, `fid_inf` and `fid_bias` of a set.
pub fn fid_rows(facts: &RunFacts, method: &str, set: &FrechetEstimate) -> [MetricRow; 3] {
    let row = |metric: &str, value: f64| facts.row(method, metric, Some(value)).over(set.n);
    [
        row("fid", set.fid).with_se(Some(set.se)),
        row("fid_inf", set.fid_inf).with_se(Some(set.fid_inf_se)),
        row("fid_bias", set.bias),
    ]
}

/// `better` for a difference below zero where lower is better, `worse` above, `n.s.` where p is no evidence.
pub fn verdict(delta: f64, p: f64) -> &'static str {
    match () {
        () if p >= SIGNIFICANCE => "n.s.",
        () if delta < 0.0 => "better",
        () => "worse",
    }
}

/// Mean and standard error of the mean; no error of one value.
pub fn mean_and_se(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_error_needs_two_images() {
        assert_eq!(mean_and_se(&[3.0]), (3.0, None));
        let (mean, se) = mean_and_se(&[1.0, 3.0]);
        assert_eq!(mean, 2.0);
        assert!((se.unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_interval_is_that_of_the_normal_law() {
        let row = RunFacts::default().row("m", "fid", Some(10.0)).with_se(Some(2.0)).over(7);
        let width = row.ci_high.unwrap() - row.ci_low.unwrap();
        assert!((width - 2.0 * 1.959_964 * 2.0).abs() < 1e-5);
        assert_eq!((row.n, row.kind.as_str()), (Some(7), "m"));
        let none = RunFacts::default().row("m", "fid", None).with_se(None);
        assert_eq!((none.se, none.ci_low, none.ci_high), (None, None, None));
    }

    #[test]
    fn noise_is_no_verdict() {
        assert_eq!(verdict(-1.0, 0.2), "n.s.");
        assert_eq!((verdict(-1.0, 0.01), verdict(1.0, 0.01)), ("better", "worse"));
    }
}
