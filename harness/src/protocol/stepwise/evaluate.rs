//! Scores of single steps to curves and to the test of the paper's claim.

use super::Stepwise;
use super::spread::{SpreadStudy, Steps};
use crate::protocol::{Evidence, Numbers, ProtocolError, RunFacts, StepScores};
use crate::store::records::{CurveRow, MetricRow, ScoreTable};

/// Curves of every estimator of the first arm, and where its spread is largest.
pub(super) fn evaluate(
    protocol: &Stepwise,
    evidence: &mut dyn Evidence,
) -> Result<Numbers, ProtocolError> {
    let (scores, steps) = (evidence.scores(0)?, evidence.step_scores(0)?);
    let facts = RunFacts::of(evidence, 0);
    let work = evidence.work();
    let arm = work.arms.first().ok_or(ProtocolError::Absent { what: "arm" })?;
    let (seed, n_steps) = (work.seed, arm.sampler.n_steps());
    let part = protocol.peak.steps(n_steps);
    let mut numbers = Numbers::default();
    for plan in &arm.watch {
        if let Some(reason) = evidence.not_applicable().get(&plan.name) {
            numbers.rows.push(facts.not_applicable(&plan.name, "peak_ratio", reason));
            continue;
        }
        let own: Vec<&StepScores> = steps.iter().filter(|step| step.name == plan.name).collect();
        let columns = own.iter().map(|step| step.scores.as_slice()).collect();
        let study = Steps { scores: columns }.study(&part, (protocol.n_bootstrap, seed));
        let n = scores.samples.len();
        numbers.curves.extend(curves(&study, (&arm.name, &plan.name), (n_steps, n)));
        let mut rows = rows(&facts, &study, (&plan.name, n));
        if let (Some(first), Some(method)) = (rows.first_mut(), scores.method(&plan.name)) {
            *first = first.clone().costing(
                scores.nfe_trajectory,
                Some(method.nfe),
                Some(method.seconds),
            );
        }
        numbers.rows.extend(rows);
    }
    let columns = scores.methods.into_iter().map(|method| (method.name, method.scores)).collect();
    numbers.scores = ScoreTable { samples: scores.samples, columns };
    Ok(numbers)
}

fn curves(
    study: &SpreadStudy,
    (arm, method): (&str, &str),
    (n_steps, n): (u32, usize),
) -> Vec<CurveRow> {
    let row = |metric: &str, at: usize, value: f64, se: Option<f64>| CurveRow {
        arm: arm.to_owned(),
        method: method.to_owned(),
        side: "as_is".to_owned(),
        metric: metric.to_owned(),
        x: at as f64 / f64::from(n_steps.max(1)),
        value,
        se,
        n: n as u64,
    };
    let root = (n as f64).sqrt();
    let mut rows = Vec::new();
    for (at, (step, se)) in study.steps.iter().zip(&study.sd_se).enumerate() {
        rows.push(row("step_mean", at, step.mean, Some(step.sd / root)));
        rows.push(row("step_sd", at, step.sd, Some(*se)));
    }
    rows
}

fn rows(facts: &RunFacts, study: &SpreadStudy, (method, n): (&str, usize)) -> Vec<MetricRow> {
    let row = |metric: &str, value: f64| facts.row(method, metric, Some(value)).over(n);
    let (value, se, [low, high]) = study.ratio;
    let mut ratio = row("peak_ratio", value);
    (ratio.se, ratio.ci_low, ratio.ci_high) = (Some(se), Some(low), Some(high));
    ratio.verdict = Some(verdict([low, high]).to_owned());
    let (peak, [low, high]) = study.peak;
    let mut step = row("peak_step", f64::from(peak));
    (step.ci_low, step.ci_high) = (Some(low), Some(high));
    vec![ratio, step, row("peak_inside", study.inside)]
}

/// Whether the largest spread is inside, by the interval of the ratio.
fn verdict([low, high]: [f64; 2]) -> &'static str {
    match () {
        () if low > 1.0 => "holds",
        () if high < 1.0 => "does not",
        () => "within noise",
    }
}
