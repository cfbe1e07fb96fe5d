//! Scores and features to numbers.

pub mod evaluation;
mod evidence;
mod reference;

use std::collections::BTreeMap;
use std::time::Instant;

pub use evidence::RunEvidence;

use crate::canonical::fingerprint;
use crate::config::Common;
use crate::experiment::{Experiment, Plan};
use crate::protocol::Numbers;
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::records::MetricRow;
use crate::store::{features, metrics, part};

use super::{Run, StageError, features as features_stage, generate, real};
use evaluation::{Evaluation, Timings, find, write};

/// Computes the numbers of a plan whose parts are all there, or finds them computed.
///
/// # Errors
/// [`StageError::Missing`] with the missing blocks, [`StageError::Gate`] after writing when a number is outside
/// its band, and the errors of files and metrics.
pub fn evaluate(run: &Run<'_>, experiment: &Experiment) -> Result<Evaluation, StageError> {
    let start = Instant::now();
    let whole = complete(run)?;
    let inputs = inputs_digest(run, experiment, &whole.parts)?;
    let plan_id = run.plan.id();
    if let Some(found) = find(run, &plan_id, &inputs)? {
        check_gates(experiment, run.plan, &found.numbers.rows)?;
        return Ok(found);
    }
    run.progress.begin("evaluate", run.plan.n_images(), 0);
    let computed = compute(run, experiment);
    run.progress.end();
    let evaluation = computed?;
    let timings = Timings { evaluate_seconds: start.elapsed().as_secs_f64(), ..whole.timings };
    write(run, &plan_id, inputs, (&evaluation, &timings))?;
    check_gates(experiment, run.plan, &evaluation.numbers.rows)?;
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
    Ok(fingerprint(&(parts, manifest.not_applicable, reference::published(experiment)?)))
}

/// What complete parts say of themselves.
pub(super) struct Whole {
    /// Digest of their claims.
    parts: String,
    timings: Timings,
}

/// Checks that every part stands whole.
pub(super) fn complete(run: &Run<'_>) -> Result<Whole, StageError> {
    let mut missing: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let (mut claimed, mut timings) = (Vec::new(), Timings::default());
    let [generate_id, features_id] =
        [StageName::Generate, StageName::Features].map(|stage| run.layout.stage_id(stage));
    for block in run.plan.blocks() {
        if !generate::is_done(run, &block)? {
            missing.entry(StageName::Generate.as_str()).or_default().push(block.id.0);
            continue;
        }
        let images = part::claims(&run.layout.part(StageName::Generate, block.id), generate_id)?;
        timings.generate_seconds += images.seconds;
        timings.generate_network_seconds += images.network_seconds;
        let mut claims = (images.content_sha256, String::new());
        if run.plan.protocol.needs().times_are_evidence() {
            // Made again, a block has the same content and another time.
            claims.1 = images.seconds.to_string();
        }
        if run.plan.extractor.is_some() {
            if !features_stage::is_done(run, &block)? {
                missing.entry(StageName::Features.as_str()).or_default().push(block.id.0);
                continue;
            }
            let path = run.layout.part(StageName::Features, block.id);
            let feature = features::claims(&path, features_id)?;
            timings.features_seconds += feature.seconds;
            claims.1 = feature.content_sha256;
        }
        claimed.push(claims);
    }
    let real = real::claims(run, &mut missing)?;
    refuse_missing(run, missing)?;
    timings.features_seconds += real.iter().map(|claims| claims.seconds).sum::<f64>();
    let real: Vec<String> = real.into_iter().map(|claims| claims.content_sha256).collect();
    let parts =
        if real.is_empty() { fingerprint(&claimed) } else { fingerprint(&(&claimed, &real)) };
    Ok(Whole { parts, timings })
}

/// Names the missing blocks of the first stage that has some, in the order in which stages run.
fn refuse_missing(
    run: &Run<'_>,
    mut missing: BTreeMap<&'static str, Vec<u64>>,
) -> Result<(), StageError> {
    for stage in [StageName::Generate, StageName::Features, StageName::Real] {
        if let Some(blocks) = missing.remove(stage.as_str()) {
            return Err(StageError::Missing {
                stage: stage.as_str(),
                n_blocks: match stage {
                    StageName::Real => run.plan.real_blocks().count() as u64,
                    _ => run.plan.n_blocks(),
                },
                n_missing: blocks.len() as u64,
                missing: blocks,
            });
        }
    }
    Ok(())
}

/// Refuses an experiment whose published numbers are not there: its table could not be made.
///
/// # Errors
/// [`StageError::Config`] for the file, [`StageError::Published`] when it has no such row.
pub fn check_published(common: &Common) -> Result<(), StageError> {
    reference::published(common).map(|_| ())
}

/// The numbers of the protocol.
pub(super) fn compute(run: &Run<'_>, experiment: &Experiment) -> Result<Evaluation, StageError> {
    let mut evidence = RunEvidence::open(run, experiment)?;
    let numbers: Numbers = run.plan.protocol.evaluate(&mut evidence)?;
    let digest = metrics::digest(&numbers.rows);
    Ok(Evaluation { numbers, digest, found: false })
}

fn check_gates(experiment: &Experiment, plan: &Plan, rows: &[MetricRow]) -> Result<(), StageError> {
    let faults: Vec<String> = experiment
        .gates
        .iter()
        .filter(|gate| gate.scale == plan.scale)
        .filter_map(|gate| {
            let given = |asked: &Option<String>, of: Option<&str>| {
                asked.as_deref().is_none_or(|asked| of == Some(asked))
            };
            let row = rows.iter().find(|row| {
                row.method == gate.method
                    && row.metric == gate.metric
                    && given(&gate.arm, Some(&row.arm))
                    && given(&gate.side, row.side.as_deref())
                    && given(&gate.argument, row.argument.as_deref())
            });
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
