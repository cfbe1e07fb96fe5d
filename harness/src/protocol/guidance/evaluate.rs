//! Parts of a guidance experiment to numbers.

use super::rows::rows;
use super::samples::ArmSamples;
use super::{Guidance, UNGUIDED, kid};
use crate::guidance::DISPLACEMENT;
use crate::plan::ArmPlan;
use crate::protocol::{ArmScores, Evidence, Numbers, ProtocolError, RunFacts};
use crate::store::records::ScoreTable;
use crate::units::Nfe;

/// The numbers of all arms.
pub(super) fn evaluate(
    guidance: &Guidance,
    evidence: &mut dyn Evidence,
) -> Result<Numbers, ProtocolError> {
    let places = 0..evidence.work().arms.len();
    let scores = places.clone().map(|arm| evidence.scores(arm)).collect::<Result<Vec<_>, _>>()?;
    let features =
        places.clone().map(|arm| evidence.features(arm)).collect::<Result<Vec<_>, _>>()?;
    let moved: Vec<Vec<f64>> = scores.iter().map(displacement).collect();
    let reference = evidence.reference()?;
    let draws_real = evidence.work().real.is_some();
    let real = draws_real.then(|| evidence.reference_features()).transpose()?;
    let work = evidence.work();
    let samples: Vec<ArmSamples<'_>> = places
        .map(|at| {
            let arm = &work.arms[at];
            let column = scores[at].method(DISPLACEMENT);
            ArmSamples {
                kind: arm.guide.as_ref().map_or(UNGUIDED, |rule| rule.kind()),
                facts: RunFacts::of(evidence, at),
                features: features[at].view(),
                is_unguided: arm.guide.is_none(),
                cell: guidance.cell(at),
                n_draws: arm.guide.as_ref().and_then(|rule| rule.values().n_draws),
                nfe_trajectory: scores[at].nfe_trajectory,
                nfe: column.map_or(Nfe::default(), |column| column.nfe),
                seconds: scores[at].network_seconds,
                displacement: &moved[at],
                paper: paper(guidance, evidence, at),
            }
        })
        .collect();
    let what = format!("{} arms against {}", samples.len(), work.dataset());
    let mut rows = rows(&reference, &samples).map_err(ProtocolError::metric(what))?;
    if let Some(real) = &real {
        let what = format!("KID of {} arms against {} real images", samples.len(), real.nrows());
        let seed = work.seed;
        rows.extend(kid::rows(&samples, (real, seed)).map_err(ProtocolError::metric(what))?);
    }
    let table = displacements(&work.arms, &scores, moved);
    Ok(Numbers { rows, curves: Vec::new(), scores: table })
}

/// How far each arm moved the predictions, a column an arm, for the arms that have all the starts.
fn displacements(arms: &[ArmPlan], scores: &[ArmScores], moved: Vec<Vec<f64>>) -> ScoreTable {
    let longest = moved.iter().map(Vec::len).max().unwrap_or(0);
    let whole = arms.iter().zip(scores).zip(moved).filter(|(_, m)| m.len() == longest);
    let mut table = ScoreTable::default();
    for ((arm, scores), moved) in whole {
        table.samples.clone_from(&scores.samples);
        let name = format!("{DISPLACEMENT}:{}:{}", arm.name, arm.sampler.label());
        table.columns.push((name, moved));
    }
    table
}

/// How far the rule moved the predictions of each image: not at all in an arm without one.
fn displacement(scores: &ArmScores) -> Vec<f64> {
    let column = scores.method(DISPLACEMENT);
    column.map_or_else(|| vec![0.0; scores.samples.len()], |column| column.scores.clone())
}

/// The published FID that an arm answers: that of its rule, at the experiment's own sampler and number of steps.
fn paper(guidance: &Guidance, evidence: &dyn Evidence, at: usize) -> Option<f64> {
    let own = guidance.arms.get(at)?;
    let answers = own.sampler.is_none() && guidance.n_steps.is_none();
    let method = match &own.rule {
        None => Some(UNGUIDED),
        Some(rule) => rule.facts().published,
    };
    evidence.published()?.value("fid", method.filter(|_| answers)?)
}
