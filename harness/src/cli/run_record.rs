//! What `run.json` of a published folder says, but for the files beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::CliError;
use super::session::Session;
use crate::canonical::fingerprint;
use crate::experiment::Plan;
use crate::protocol::Evidence;
use crate::report::run_json::{FORMAT, RunRecord};
use crate::stage::Run;
use crate::stage::evaluate::RunEvidence;
use crate::stage::evaluate::evaluation::{self, Evaluation, Timings};
use crate::store::Provenance;
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;

/// Version of what a report draws and writes. Raised when the same numbers would look otherwise, so that
/// an old report is not taken for a current one.
const REPORT_VERSION: u32 = 4;

pub(super) fn record(
    session: &Session,
    (run, evaluation): (&Run<'_>, &Evaluation),
    evidence: &RunEvidence<'_>,
) -> Result<RunRecord, CliError> {
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    let timings = evaluation::read_timings(run)?;
    let report_inputs = report_inputs(session, evaluation, evidence);
    let plan = &session.plan;
    let own = Provenance::new("", "");
    let mut versions: BTreeMap<String, String> = [("dubench".to_owned(), own.version)].into();
    let fixed = |key: &str| manifest.fixed.get(key).cloned().unwrap_or_default();
    versions.insert("runtime".to_owned(), fixed("runtime"));
    Ok(RunRecord {
        format: FORMAT,
        experiment: plan.experiment.clone(),
        artefact: plan.artefact.clone(),
        scale: plan.scale.clone(),
        plan_id: plan.id(),
        git_revision: own.revision.unwrap_or_else(|| "unknown".to_owned()),
        versions,
        device: fixed("device"),
        machine: machine(),
        seconds: seconds(&timings),
        inputs: inputs(plan),
        details: [
            ("metrics_sha256".to_owned(), evaluation.digest.clone().into()),
            ("report_inputs_sha256".to_owned(), report_inputs.into()),
            ("report_version".to_owned(), REPORT_VERSION.into()),
        ]
        .into_iter()
        .collect(),
    })
}

/// Digest of the words and numbers that a report is made of, beyond the rows.
fn report_inputs(session: &Session, evaluation: &Evaluation, evidence: &RunEvidence<'_>) -> String {
    fingerprint(&(
        &session.experiment.question,
        session.plan.protocol.remarks(evidence),
        evaluation.digests(),
        evidence.published_table(),
    ))
}

/// Hashes of everything that a run reads, by what it is.
fn inputs(plan: &Plan) -> BTreeMap<String, String> {
    let mut inputs: BTreeMap<String, String> = plan
        .model
        .files
        .iter()
        .map(|(name, sha256)| (format!("model/{name}"), sha256.clone()))
        .collect();
    if let Some(extractor) = &plan.extractor {
        inputs.insert(format!("extractor/{}", extractor.name), extractor.sha256.clone());
    }
    if let Some(reference) = &plan.reference {
        inputs.insert(format!("reference/{}", reference.dataset), reference.sha256.clone());
    }
    if let Some(images) = &plan.images {
        inputs.insert(format!("images/{}", images.dataset), images.sha256.clone());
    }
    inputs
}

fn seconds(timings: &Timings) -> BTreeMap<String, f64> {
    [
        ("generate, summed over networks", timings.generate_seconds),
        ("generate, inside the network, summed over networks", timings.generate_network_seconds),
        ("features, summed over blocks", timings.features_seconds),
        ("evaluate, wall", timings.evaluate_seconds),
    ]
    .map(|(what, seconds)| (what.to_owned(), seconds))
    .into()
}

/// What a reader of the times must know. Nothing that names the machine.
fn machine() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut machine: BTreeMap<String, String> = [
        ("cores".to_owned(), cores.to_string()),
        ("os".to_owned(), std::env::consts::OS.to_owned()),
        ("architecture".to_owned(), std::env::consts::ARCH.to_owned()),
    ]
    .into();
    if let Some(model) = processor() {
        machine.insert("processor".to_owned(), model);
    }
    machine
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string(PathBuf::from("/proc/cpuinfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
