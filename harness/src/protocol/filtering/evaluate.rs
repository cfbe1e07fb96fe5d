//! Scores and features of one pool to the rows of a filter.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::study::{FilterStudyInput, FilteringOutcome};
use super::{Filtering, kid, negatives, rows};
use crate::config::PublishedSetting;
use crate::plan::ArmPlan;
use crate::propagation::{METHOD, NEGATIVE};
use crate::protocol::{ArmScores, Evidence, Numbers, ProtocolError, RunFacts};
use crate::store::records::{MetricRow, ScoreTable};
use crate::uncertainty::{CleanEstimate, EstimatorPlan};

/// The rows, curves and scores of a filter, arm by arm.
pub(super) fn evaluate(
    filter: &Filtering,
    evidence: &mut dyn Evidence,
) -> Result<Numbers, ProtocolError> {
    let mut numbers = of_arm(filter, evidence, 0)?;
    // What walks by drawn weights is no pool but a part of a score.
    let pool = |(at, arm): (usize, &ArmPlan)| (at > 0 && arm.weights.is_none()).then_some(at);
    let others: Vec<usize> = evidence.work().arms.iter().enumerate().filter_map(pool).collect();
    for arm in others {
        let Numbers { rows, curves, scores } = of_arm(filter, evidence, arm)?;
        numbers.rows.extend(rows);
        numbers.curves.extend(curves);
        // Arms have the same samples.
        numbers.scores.columns.extend(scores.columns);
    }
    Ok(numbers)
}

/// The same of one arm, which is a pool of its own.
fn of_arm(
    filter: &Filtering,
    evidence: &mut dyn Evidence,
    index: usize,
) -> Result<Numbers, ProtocolError> {
    let (mut scores, features) = (evidence.scores(index)?, evidence.features(index)?);
    if let Some(generative) = filter.generative_uncertainty.as_ref().filter(|_| index == 0) {
        generative.add(evidence, &mut scores)?;
    }
    let columns: Vec<(String, Vec<f64>)> = scores
        .methods
        .iter()
        .filter(|method| method.name != NEGATIVE)
        .map(|method| (method.name.clone(), method.scores.clone()))
        .collect();
    let arm = evidence.work().arms.get(index).ok_or(ProtocolError::Absent { what: "arm" })?.clone();
    let outcome = study(filter, evidence, &arm.name, (&features, &columns))?;
    let facts = RunFacts::of(evidence, index);
    let costs = rows::Costs {
        nfe_trajectory: scores.nfe_trajectory,
        trajectory_seconds: trajectory_seconds(&arm, &scores)?,
        methods: scores.methods.iter().map(|m| (m.name.clone(), (m.nfe, m.seconds))).collect(),
    };
    let signed = evidence.negatives(index)?;
    let published = evidence.published();
    // The published table has one pool; of another one it says what that method got.
    let other_pool = arm.propagate.is_some();
    let paper = |metric: &str, kind: &str| {
        published.filter(|_| !other_pool || kind == METHOD).and_then(|row| row.value(metric, kind))
    };
    let none = BTreeMap::new();
    let absent = if index == 0 { evidence.not_applicable() } else { &none };
    let mut rows = rows::rows(&facts, &outcome, &costs, (absent, &paper))
        .map_err(ProtocolError::metric("the intervals of a filter"))?;
    rows.extend(negatives::of_moments(&facts, &scores));
    rows.extend(signed.iter().map(|(name, shares)| negatives::of_maps(&facts, (name, shares))));
    if !other_pool {
        papers_by_draws(&mut rows, &arm.watch, published);
    }
    rows.extend(kid_rows(filter, evidence, index, (&features, &columns))?);
    let scores = ScoreTable { samples: scores.samples, columns };
    Ok(Numbers { rows, curves: outcome.curves, scores })
}

/// FID of what each score keeps of an arm, and of random subsets.
fn study(
    filter: &Filtering,
    evidence: &mut dyn Evidence,
    arm: &str,
    (features, scores): (&Array2<f32>, &[(String, Vec<f64>)]),
) -> Result<FilteringOutcome, ProtocolError> {
    let reference = evidence.reference()?;
    let input = FilterStudyInput {
        arm,
        features: features.view(),
        reference: &reference,
        scores,
        n_keep: usize::try_from(filter.n_keep).unwrap_or(usize::MAX),
        n_random: filter.n_random as usize,
        curve: (filter.curve.n_parts, filter.curve.n_points),
        n_curve_random: filter.curve.n_random as usize,
        seed: evidence.work().seed,
    };
    let what = format!("filtering {} images by {} scores", features.nrows(), scores.len());
    input.run().map_err(ProtocolError::metric(what))
}

/// Rows of KID, where the work draws real images.
fn kid_rows(
    filter: &Filtering,
    evidence: &mut dyn Evidence,
    arm: usize,
    (features, scores): (&Array2<f32>, &[(String, Vec<f64>)]),
) -> Result<Vec<MetricRow>, ProtocolError> {
    let Some(n_real) = evidence.work().real.as_ref().map(|real| real.n) else {
        return Ok(Vec::new());
    };
    let real = evidence.reference_features()?;
    let input = kid::KidInput {
        features: features.view(),
        real: real.view(),
        scores,
        n_keep: usize::try_from(filter.n_keep).unwrap_or(usize::MAX),
        n_random: filter.n_random as usize,
        seed: evidence.work().seed,
    };
    let facts = RunFacts { n_reference: Some(n_real), ..RunFacts::of(evidence, arm) };
    let what = format!("KID of {} images against {n_real} real ones", features.nrows());
    input.rows(&facts).map_err(ProtocolError::metric(what))
}

/// Published numbers of one kind by its draws stand under `KIND_mM`; they are of the window of the first estimator.
fn papers_by_draws(
    rows: &mut [MetricRow],
    watch: &[EstimatorPlan],
    published: Option<&PublishedSetting>,
) {
    let (Some(first), Some(published)) = (watch.first(), published) else { return };
    for plan in watch.iter().filter(|plan| plan.window == first.window) {
        let key = format!("{}_m{}", plan.rule.kind(), plan.n_draws);
        let own = |row: &&mut MetricRow| {
            row.method == plan.name && row.metric == "fid" && row.side.as_deref() == Some("lowest")
        };
        if let Some(row) = rows.iter_mut().find(own) {
            row.paper_value = row.paper_value.or_else(|| published.value("fid", &key));
        }
    }
}

/// Time inside the network that moved the trajectories: all of it less that of the estimators.
///
/// Estimators over one clean estimate share their calls, and each tells what it would have taken alone; over one window
/// the longest of them is what was spent. Over several windows the shares cannot be told apart: `None`.
fn trajectory_seconds(arm: &ArmPlan, scores: &ArmScores) -> Result<Option<f64>, ProtocolError> {
    // States that moments are taken over are none of the trajectory.
    let carried = arm.propagate.and_then(|_| scores.method(&arm.name));
    let mut alone = carried.map_or(0.0, |method| method.seconds);
    let mut shared: BTreeMap<CleanEstimate, (f64, Vec<_>)> = BTreeMap::new();
    for plan in &arm.watch {
        let Some(method) = scores.method(&plan.name) else { continue };
        let estimator = plan.build().map_err(ProtocolError::evidence)?;
        match estimator.as_perturbed().map(|statistic| statistic.renoising().perturbation.clean) {
            None => alone += method.seconds,
            Some(clean) => {
                let (longest, windows) = shared.entry(clean).or_default();
                *longest = longest.max(method.seconds);
                windows.push(plan.window);
            }
        }
    }
    let apart = shared.values().all(|(_, windows)| windows.windows(2).all(|two| two[0] == two[1]));
    let spent: f64 = shared.values().map(|(longest, _)| longest).sum();
    Ok(apart.then_some(scores.network_seconds - alone - spent))
}
