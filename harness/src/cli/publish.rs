//! From an evaluated run to `results/<experiment>/<scale>/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::session::Session;
use crate::config::{ProtocolConfig, PublishedTable, bundled};
use crate::report::run_json::{FORMAT, RunRecord};
use crate::report::{self, Artefact};
use crate::stage::evaluate::{Evaluation, Timings};
use crate::stage::{Run, report as report_stage, report_guidance, report_reconstruction};
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::{Provenance, StoreError, publish as publish_file, results};

/// Version of what a report draws and writes. Raised when the same numbers would look otherwise, so that
/// an old report is not taken for a current one.
const REPORT_VERSION: u32 = 1;

/// Writes tables, plots, `metrics.parquet` and `run.json`, the last of them at the end: a folder whose
/// `run.json` names these numbers is complete and is left alone unless `force`.
pub(super) fn publish(
    session: &Session,
    (run, evaluation): (&Run<'_>, &Evaluation),
    folder: &Path,
    force: bool,
) -> Result<(), CliError> {
    let record = record(session, run, evaluation)?;
    if !force && is_current(folder, &record) {
        return Ok(());
    }
    // While files are replaced, no record may call the folder complete.
    let stale = folder.join("run.json");
    if stale.exists() {
        std::fs::remove_file(&stale).map_err(StoreError::write(&stale))?;
    }
    let published = bundled::published(&session.plan.artefact)
        .map_err(|error| CliError::Bug(error.to_string()))?;
    for Artefact { name, bytes } in artefacts(session, run, published.as_ref())? {
        write(&folder.join(name), &bytes)?;
    }
    let provenance = Provenance::new("none", "cpu");
    results::write_metrics(
        &folder.join("metrics.parquet"),
        &evaluation.rows,
        &session.plan.id(),
        &provenance,
    )?;
    write(&folder.join("run.json"), record.to_json()?.as_bytes())
}

/// Tables and plots of the protocol.
fn artefacts(
    session: &Session,
    run: &Run<'_>,
    published: Option<&PublishedTable>,
) -> Result<Vec<Artefact>, CliError> {
    let experiment = &session.experiment;
    Ok(match &run.plan.protocol {
        ProtocolConfig::Filtering { .. } => {
            report::render(&report_stage::report_input(run, experiment)?, published)?
        }
        ProtocolConfig::Reconstruction(_) => {
            let input = report_reconstruction::report_input(run, experiment)?;
            report::reconstruction::render(&input, published)?
        }
        ProtocolConfig::Guidance(_) => {
            let input = report_guidance::report_input(run, experiment)?;
            report::guidance::render(&input, published)?
        }
    })
}

fn is_current(folder: &Path, record: &RunRecord) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join("run.json")) else { return false };
    let Ok(there) = RunRecord::from_json(&text) else { return false };
    there.plan_id == record.plan_id && there.details == record.details
}

fn record(
    session: &Session,
    run: &Run<'_>,
    evaluation: &Evaluation,
) -> Result<RunRecord, CliError> {
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    let timings = timings(&run.layout.run_file("timings.json"))?;
    let plan = &session.plan;
    let mut inputs: BTreeMap<String, String> = plan
        .model
        .files
        .iter()
        .map(|(name, sha256)| (format!("model/{name}"), sha256.clone()))
        .collect();
    if let Some(extractor) = &plan.extractor {
        inputs.insert(format!("extractor/{}", extractor.name), extractor.sha256.clone());
    }
    inputs.insert(format!("reference/{}", plan.reference.dataset), plan.reference.sha256.clone());
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
        seconds: [
            ("generate".to_owned(), timings.generate_seconds),
            ("generate, inside the network".to_owned(), timings.generate_network_seconds),
            ("features".to_owned(), timings.features_seconds),
            ("evaluate".to_owned(), timings.evaluate_seconds),
        ]
        .into(),
        inputs,
        details: [
            ("metrics_sha256".to_owned(), evaluation.digest.clone().into()),
            ("report_version".to_owned(), REPORT_VERSION.into()),
        ]
        .into_iter()
        .collect(),
    })
}

fn timings(path: &Path) -> Result<Timings, CliError> {
    let text = std::fs::read_to_string(path).map_err(StoreError::read(path))?;
    Ok(serde_json::from_str(&text).map_err(StoreError::decode(path))?)
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

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(StoreError::write(folder))?;
    }
    publish_file(path, bytes).map_err(StoreError::write(path))?;
    Ok(())
}
