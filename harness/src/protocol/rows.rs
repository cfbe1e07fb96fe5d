//! Rows of `metrics.parquet`, as all protocols make them.

use std::collections::BTreeMap;

use dubench_metrics::{
    EstimateOptions, Features, FrechetEstimate, MetricError, Reference, holm, jackknife_se,
    leave_out_inf, share_interval,
};

use super::Evidence;
use crate::plan::{RealIdentity, Work};
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// Version of the definitions of the metrics.
pub const METRIC_VERSION: u32 = 1;

/// Half width of a 95 % interval in standard errors.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Level of the intervals that are no standard errors.
pub(super) const LEVEL: f64 = 0.95;

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

    /// The row of a two-sided p, counted over `n_draws` random draws of which `as_far` lay as far: with the interval of what
    /// infinitely many would give, and with the words for the draws.
    pub(super) fn counted(
        self,
        (as_far, n_draws): (usize, usize),
        draws: &str,
    ) -> Result<Self, MetricError> {
        let (low, high) = share_interval(as_far, n_draws, LEVEL)?;
        let reason = Some(format!("two-sided, {draws}"));
        Ok(Self { ci_low: Some(low), ci_high: Some(high), reason, ..self })
    }

    /// The same of random subsets of a pool.
    pub(super) fn counted_over_subsets(
        self,
        as_far: usize,
        n_random: usize,
    ) -> Result<Self, MetricError> {
        self.counted((as_far, n_random), &format!("against {n_random} random subsets"))
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

/// A row beside each p-value of a family, with the p-value adjusted by Holm's method. What bounds a p-value bounds the
/// adjusted one too.
///
/// # Errors
/// [`MetricError::OutOfRange`] for a p-value that is none.
pub fn holm_rows(family: &[&MetricRow]) -> Result<Vec<MetricRow>, MetricError> {
    holm_rows_as("p_holm", family)
}

/// As [`holm_rows`], under another name than `p_holm`.
///
/// # Errors
/// As [`holm_rows`].
pub fn holm_rows_as(metric: &str, family: &[&MetricRow]) -> Result<Vec<MetricRow>, MetricError> {
    let tested: Vec<&MetricRow> =
        family.iter().copied().filter(|row| row.value.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|row| row.value).collect();
    let adjusted = holm(&p_values)?;
    let row = |(raw, p): (&&MetricRow, f64)| MetricRow {
        metric: metric.to_owned(),
        value: Some(p),
        ci_low: raw.ci_low.filter(|low| *low == 0.0),
        ci_high: None,
        reason: Some(format!("by Holm's method, over a family of {}", tested.len())),
        ..(*raw).clone()
    };
    Ok(tested.iter().zip(adjusted).map(row).collect())
}

/// Which real images measures that need features are held against.
pub fn real_remark(work: &Work) -> Option<String> {
    let RealIdentity { dataset, n, of, .. } = work.real.as_ref()?;
    Some(format!(
        "Features of real images: {n} of the {of} of {dataset}, drawn by seed {}, by the same network and preprocessing.",
        work.seed
    ))
}

/// Groups of images that are left out in turn for the error bar of a difference of FIDs for infinitely many images.
pub const N_GROUPS: usize = 10;

/// FID for infinitely many images of a set without each group; `None` where there are too few images. An image's group is
/// its place among the samples modulo [`N_GROUPS`], so that sets of the same samples leave out the same ones.
///
/// # Errors
/// As [`leave_out_inf`].
pub fn inf_without_groups<'a>(
    reference: &'a Reference,
    features: impl Into<Features<'a>>,
    places: impl Iterator<Item = usize>,
) -> Result<Option<Vec<f64>>, MetricError> {
    let groups: Vec<usize> = places.map(|place| place % N_GROUPS).collect();
    leave_out_inf(reference, features.into(), &groups, &EstimateOptions::default())
}

/// Standard error of a difference, from what both numbers are without each group.
pub fn paired_se(one: Option<&[f64]>, other: Option<&[f64]>) -> Option<f64> {
    let (one, other) = one.zip(other).filter(|(one, other)| one.len() == other.len())?;
    let differences: Vec<f64> = one.iter().zip(other).map(|(a, b)| a - b).collect();
    jackknife_se(&differences)
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
    fn adjusted_p_values_stand_beside_the_raw_ones() {
        let p = |method: &str, value| RunFacts::default().row(method, "p_value", value);
        let mut rows = [p("a", Some(0.01)), p("b", Some(0.03)), p("c", None)];
        rows[0].ci_low = Some(0.0);
        rows[1].ci_low = Some(0.01);
        let found = holm_rows(&rows.iter().collect::<Vec<_>>()).unwrap();
        let values: Vec<_> = found.iter().map(|row| (row.method.as_str(), row.value)).collect();
        assert_eq!(values, [("a", Some(0.02)), ("b", Some(0.03))]);
        assert!(found.iter().all(|row| row.metric == "p_holm"));
        assert_eq!((found[0].ci_low, found[1].ci_low), (Some(0.0), None));
    }

    #[test]
    fn noise_is_no_verdict() {
        assert_eq!(verdict(-1.0, 0.2), "n.s.");
        assert_eq!((verdict(-1.0, 0.01), verdict(1.0, 0.01)), ("better", "worse"));
    }
}
