//! Parts of pairs to numbers.

use dubench_metrics::signed_rank;
use ndarray::Array2;

use super::prompts::Prompts;
use super::{CLIP_SCORE, UNGUIDED};
use crate::guidance::DISPLACEMENT;
use crate::protocol::rows::holm_rows;
use crate::protocol::{ArmScores, Evidence, MethodColumn, Numbers, ProtocolError, RunFacts};
use crate::report::metric;
use crate::store::records::{MetricRow, ScoreTable};
use crate::units::Nfe;

/// Mean of a score over the images of an arm.
pub(super) const SCORE: &str = "score";

/// The numbers of all arms: the mean of every score, for guided arms the difference to the unguided images of the same
/// starts, and how far the rule moved the predictions.
pub(super) fn evaluate(evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
    let n_arms = evidence.work().arms.len();
    let n_prompts = evidence.texts()?.map(|texts| texts.prompts.len());
    let scores = (0..n_arms).map(|arm| scores_of(evidence, arm)).collect::<Result<Vec<_>, _>>()?;
    let mut numbers = Numbers::default();
    for (at, arm) in scores.iter().enumerate() {
        let facts = RunFacts::of(evidence, at);
        let prompts = Prompts::of(&arm.samples, n_prompts);
        numbers.rows.extend(rows(&facts, (arm, scores.first()), &prompts)?);
        let label = &evidence.work().arms[at].name;
        numbers.scores.samples.clone_from(&arm.samples);
        add_columns(&mut numbers.scores, label, arm);
    }
    let family: Vec<&MetricRow> =
        numbers.rows.iter().filter(|row| row.metric == metric::P_VALUE).collect();
    let adjusted = holm_rows(&family).map_err(ProtocolError::metric("p of pairs"))?;
    numbers.rows.extend(adjusted);
    let absent = evidence.not_applicable().iter();
    let facts = RunFacts::of(evidence, 0);
    numbers.rows.extend(absent.map(|(method, why)| facts.not_applicable(method, SCORE, why)));
    Ok(numbers)
}

/// Scores of an arm, with those of its images by CLIP where the experiment names a network for it.
fn scores_of(evidence: &mut dyn Evidence, arm: usize) -> Result<ArmScores, ProtocolError> {
    let mut scores = evidence.scores(arm)?;
    if evidence.work().extractor.is_some() {
        scores.methods.push(agreement(&evidence.features(arm)?));
    }
    Ok(scores)
}

/// `CLIPScore = 100 max(cos(E_I, E_T), 0)`, an image each (arXiv:2104.08718, whose factor is 2.5).
pub(super) fn agreement(cosines: &Array2<f32>) -> MethodColumn {
    let score = |cosine: &f32| 100.0 * f64::from(*cosine).max(0.0);
    MethodColumn {
        name: CLIP_SCORE.to_owned(),
        scores: cosines.iter().map(score).collect(),
        nfe: Nfe::default(),
        seconds: 0.0,
    }
}

fn add_columns(table: &mut ScoreTable, arm: &str, scores: &ArmScores) {
    for method in &scores.methods {
        table.columns.push((format!("{}:{arm}", method.name), method.scores.clone()));
    }
}

/// Rows of an arm. A difference is paired over starts: its error is that of the mean of differences, its p that of the
/// signed-rank test, both over prompts.
pub(super) fn rows(
    facts: &RunFacts,
    (arm, unguided): (&ArmScores, Option<&ArmScores>),
    prompts: &Prompts,
) -> Result<Vec<MetricRow>, ProtocolError> {
    let mut rows = Vec::new();
    for method in &arm.methods {
        let (mean, se) = prompts.mean_and_se(&method.scores);
        let metric = if method.name == DISPLACEMENT { DISPLACEMENT } else { SCORE };
        let row = facts.row(&method.name, metric, Some(mean)).with_se(se).over(method.scores.len());
        rows.push(row.costing(arm.nfe_trajectory, Some(method.nfe), Some(arm.network_seconds)));
        let base = unguided.filter(|_| facts.arm[0] != UNGUIDED);
        let Some(base) = base.and_then(|base| base.method(&method.name)) else { continue };
        let differences: Vec<f64> =
            method.scores.iter().zip(&base.scores).map(|(own, base)| own - base).collect();
        let (mean, se) = prompts.mean_and_se(&differences);
        let row = facts.row(&method.name, metric::DELTA, Some(mean)).with_se(se).of(UNGUIDED);
        rows.push(row.over(differences.len()));
        rows.push(tested((facts, &method.name), &differences, prompts)?);
    }
    if rows.is_empty() {
        // An arm that nothing looked at has a cost all the same.
        let row = facts.row(&facts.arm[0], SCORE, None).over(arm.samples.len());
        let reason = Some("no control looks at the images: name one under controls".to_owned());
        let cost = (arm.nfe_trajectory, Some(Nfe::default()), Some(arm.network_seconds));
        rows.push(MetricRow { reason, ..row.costing(cost.0, cost.1, cost.2) });
    }
    Ok(rows)
}

/// Two-sided p of the signed-rank test over pairs, or over the mean differences of prompts that have several: all that is
/// flipped is the sign of a prompt.
fn tested(
    (facts, method): (&RunFacts, &str),
    differences: &[f64],
    prompts: &Prompts,
) -> Result<MetricRow, ProtocolError> {
    let found = signed_rank(&prompts.means(differences));
    let found = found.map_err(ProtocolError::metric("differences of pairs"))?;
    let row = facts.row(method, metric::P_VALUE, found.map(|found| found.p)).of(UNGUIDED);
    let of = if prompts.repeat() { "mean differences of prompts" } else { "differences" };
    let reason = match found {
        Some(found) => format!("two-sided, Wilcoxon's signed ranks of {} {of}", found.n),
        None => "no pair differs".to_owned(),
    };
    Ok(MetricRow { reason: Some(reason), ..row.over(differences.len()) })
}
