//! Parts of a guidance experiment to numbers.

use ndarray::{Array2, s};

use crate::config::Experiment;
use crate::plan::{ArmPlan, ArmTask, PlacedArm};
use crate::protocol::RunFacts;
use crate::protocol::guidance::{ArmSamples, DISPLACEMENT, rows};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::ScoreTable;
use crate::store::{StoreError, features, results};
use crate::units::{Nfe, SampleId};

use super::evaluation::{Evaluation, Timings};
use super::reference::{dim, published, reference};
use super::{Run, StageError};

/// What the parts of one arm hold, in the order of its starts.
struct ArmPool {
    features: Array2<f32>,
    displacement: Vec<f64>,
    nfe: Nfe,
    nfe_trajectory: u64,
    network_seconds: f64,
}

/// Computes the numbers of a complete guidance experiment.
pub(super) fn compute(
    run: &Run<'_>,
    experiment: &Experiment,
    plan_id: &str,
) -> Result<(Evaluation, Timings), StageError> {
    let plan = run.plan;
    let mut timings = Timings::default();
    let pools = plan
        .placed_arms()
        .map(|placed| read_arm(run, placed, &mut timings))
        .collect::<Result<Vec<_>, _>>()?;
    let setting = published(experiment)?;
    let samples: Vec<ArmSamples<'_>> = plan
        .arms
        .iter()
        .zip(&pools)
        .map(|(arm, pool)| ArmSamples {
            name: &arm.name,
            facts: facts(run, arm, plan_id, pool),
            features: pool.features.view(),
            is_unguided: is_unguided(arm),
            nfe: pool.nfe,
            seconds: pool.network_seconds,
            displacement: &pool.displacement,
            paper: paper_method(run, arm)
                .and_then(|method| setting.as_ref().and_then(|s| s.value("fid", method))),
        })
        .collect();
    let what = format!("{} arms against {}", samples.len(), plan.reference.dataset);
    let reference = reference(plan, experiment)?;
    let rows = rows(&reference, &samples).map_err(|source| StageError::Metric { what, source })?;
    let longest = pools.iter().map(|pool| pool.displacement.len()).max().unwrap_or(0);
    let whole = plan.arms.iter().zip(&pools).filter(|(_, p)| p.displacement.len() == longest);
    let columns = whole
        .map(|(arm, pool)| {
            (
                format!("{DISPLACEMENT}:{}:{}", arm.name, arm.sampler.label()),
                pool.displacement.clone(),
            )
        })
        .collect();
    let scores = ScoreTable { samples: (0..longest as u64).map(SampleId).collect(), columns };
    let digest = results::metrics_digest(&rows);
    Ok((Evaluation { rows, scores, digest, ..Evaluation::default() }, timings))
}

fn is_unguided(arm: &ArmPlan) -> bool {
    matches!(&arm.task, ArmTask::Sample { rule, .. } if rule.is_unguided())
}

/// The paper's column that an arm answers: its rule at the experiment's own number of steps.
fn paper_method(run: &Run<'_>, arm: &ArmPlan) -> Option<&'static str> {
    use crate::config::{DirectionConfig, RuleConfig};
    let ArmTask::Sample { rule, cell: None } = &arm.task else { return None };
    if arm.sampler != run.plan.sampler {
        return None;
    }
    match rule {
        RuleConfig::Unguided {} => Some("unguided"),
        RuleConfig::Gradient { direction: DirectionConfig::Ascent, mask, .. }
            if mask.is_per_image() =>
        {
            Some("uncertainty_guided")
        }
        _ => None,
    }
}

fn facts(run: &Run<'_>, arm: &ArmPlan, plan_id: &str, pool: &ArmPool) -> RunFacts {
    let plan = run.plan;
    RunFacts {
        experiment: [plan.experiment.clone(), plan.artefact.clone(), plan.scale.clone()],
        setting: [plan.model.name.clone(), plan.reference.dataset.clone(), arm.sampler.label()],
        plan_id: plan_id.to_owned(),
        n_reference: plan.reference.n,
        nfe_trajectory: pool.nfe_trajectory,
        trajectory_seconds: None,
    }
}

fn read_arm(
    run: &Run<'_>,
    placed: PlacedArm<'_>,
    timings: &mut Timings,
) -> Result<ArmPool, StageError> {
    let n = usize::try_from(placed.arm.n).unwrap_or(usize::MAX);
    let dim = dim(run.plan)?;
    let mut pool = ArmPool {
        features: Array2::zeros((n, dim)),
        displacement: Vec::with_capacity(n),
        nfe: Nfe::default(),
        nfe_trajectory: 0,
        network_seconds: 0.0,
    };
    let ids = [StageName::Generate, StageName::Features].map(|stage| run.layout.stage_id(stage));
    for block in run.plan.blocks().filter(|block| placed.has(block)) {
        let path = run.layout.part(StageName::Generate, block.id);
        let images = part::read(&path, ids[0], Parts::Scores)?;
        let feature_path = run.layout.part(StageName::Features, block.id);
        let feature = features::read(&feature_path, ids[1])?;
        let expected = block.sample_ids();
        let fits = images.samples == expected
            && feature.samples == expected
            && feature.features.dim() == (expected.len(), dim);
        let scores = images.scores.iter().find(|scores| scores.method == DISPLACEMENT);
        let Some(scores) = scores.filter(|scores| fits && scores.score.len() == expected.len())
        else {
            let message =
                format!("it does not hold samples {}..{}", block.samples.start, block.samples.end);
            return Err(StoreError::malformed(&path, message).into());
        };
        let first = pool.displacement.len();
        pool.features.slice_mut(s![first..first + expected.len(), ..]).assign(&feature.features);
        pool.displacement.extend(&scores.score);
        pool.nfe = scores.nfe;
        pool.nfe_trajectory = images.nfe_trajectory;
        pool.network_seconds += images.network_seconds;
        timings.generate_seconds += images.seconds;
        timings.generate_network_seconds += images.network_seconds;
        timings.features_seconds += feature.seconds;
        run.progress.advance(block.len());
    }
    Ok(pool)
}
