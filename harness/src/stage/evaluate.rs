//! Scores and features to numbers.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::{Experiment, ProtocolConfig};
use crate::plan::Plan;
use crate::plan::canonical::fingerprint;
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::records::MetricRow;
use crate::store::{features, part};

use super::evaluation::{Evaluation, Timings, find, write};
use super::reference::published;
use super::{
    Run, StageError, evaluate_filtering, evaluate_guidance, evaluate_reconstruction,
    features as features_stage, generate,
};

/// Computes the numbers of a plan whose parts are all there, or finds them computed.
///
/// # Errors
/// [`StageError::Missing`] with the missing blocks, [`StageError::Gate`] after writing when a number is outside
/// its band, and the errors of files and metrics.
pub fn evaluate(run: &Run<'_>, experiment: &Experiment) -> Result<Evaluation, StageError> {
    let start = Instant::now();
    let inputs = inputs_digest(run, experiment, &complete(run)?)?;
    let plan_id = run.plan.id();
    if let Some(found) = find(run, &plan_id, &inputs)? {
        check_gates(experiment, run.plan, &found.rows)?;
        return Ok(found);
    }
    run.progress.begin("evaluate", run.plan.n_pool, 0);
    let computed = compute(run, experiment, &plan_id);
    run.progress.end();
    let (evaluation, mut timings) = computed?;
    timings.evaluate_seconds = start.elapsed().as_secs_f64();
    write(run, &plan_id, inputs, (&evaluation, &timings))?;
    check_gates(experiment, run.plan, &evaluation.rows)?;
    Ok(evaluation)
}

/// Digest of everything but the plan that the rows are made of: what the parts claim, which methods the model
/// could not serve and why, and the published numbers beside which the rows stand.
fn inputs_digest(
    run: &Run<'_>,
    experiment: &Experiment,
    parts: &str,
) -> Result<String, StageError> {
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    // Nothing of it stands in the rows, but a damaged one is no better than a damaged part.
    if run.plan.extractor.is_some() {
        Manifest::read(&run.layout.manifest(StageName::Features))?;
    }
    Ok(fingerprint(&(parts, manifest.not_applicable, published(experiment)?)))
}

/// Checks that every part stands whole; the digest of what they claim.
pub(super) fn complete(run: &Run<'_>) -> Result<String, StageError> {
    let mut missing: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let mut claims = Vec::new();
    for block in run.plan.blocks() {
        if !generate::is_done(run, &block)? {
            missing.entry(StageName::Generate.as_str()).or_default().push(block.id.0);
            continue;
        }
        let (generate_id, features_id) = ids(run);
        let images = run.layout.part(StageName::Generate, block.id);
        let images = part::claims(&images, generate_id)?.content_sha256;
        if run.plan.extractor.is_none() {
            claims.push((images, String::new()));
            continue;
        }
        if !features_stage::is_done(run, &block)? {
            missing.entry(StageName::Features.as_str()).or_default().push(block.id.0);
            continue;
        }
        let feature = run.layout.part(StageName::Features, block.id);
        claims.push((images, features::claims(&feature, features_id)?.content_sha256));
    }
    for stage in [StageName::Generate, StageName::Features] {
        if let Some(blocks) = missing.remove(stage.as_str()) {
            return Err(StageError::Missing {
                stage: stage.as_str(),
                n_blocks: run.plan.n_blocks(),
                n_missing: blocks.len() as u64,
                missing: blocks,
            });
        }
    }
    Ok(fingerprint(&claims))
}

fn ids<'a>(run: &'a Run<'_>) -> (&'a str, &'a str) {
    (run.layout.stage_id(StageName::Generate), run.layout.stage_id(StageName::Features))
}

pub(super) fn compute(
    run: &Run<'_>,
    experiment: &Experiment,
    plan_id: &str,
) -> Result<(Evaluation, Timings), StageError> {
    match &run.plan.protocol {
        ProtocolConfig::Filtering { .. } => evaluate_filtering::compute(run, experiment, plan_id),
        ProtocolConfig::Reconstruction(_) => {
            evaluate_reconstruction::compute(run, experiment, plan_id)
        }
        ProtocolConfig::Guidance(_) => evaluate_guidance::compute(run, experiment, plan_id),
    }
}

fn check_gates(experiment: &Experiment, plan: &Plan, rows: &[MetricRow]) -> Result<(), StageError> {
    let faults: Vec<String> = experiment
        .gates
        .iter()
        .filter(|gate| gate.scale == plan.scale)
        .filter_map(|gate| {
            let row =
                rows.iter().find(|row| row.method == gate.method && row.metric == gate.metric);
            let value = row.and_then(|row| row.value);
            let inside = value.is_some_and(|value| (gate.min..=gate.max).contains(&value));
            let got = value.map_or("missing".to_owned(), |value| value.to_string());
            (!inside).then(|| {
                format!(
                    "{} of {} is {got}, accepted {}..={}",
                    gate.metric, gate.method, gate.min, gate.max
                )
            })
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(StageError::Gate { faults }) }
}
