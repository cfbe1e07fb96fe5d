//! From an evaluated run to `results/<experiment>/<scale>/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::arguments::{Plots, RunOptions};
use super::error::CliError;
use super::run_record::record;
use super::session::Session;
use crate::canonical::sha256_hex;
use crate::report::Artefact;
use crate::report::run_json::RunRecord;
use crate::stage::evaluate::RunEvidence;
use crate::stage::evaluate::evaluation::{self, Evaluation};
use crate::stage::{Run, StageError};
use crate::store::digest::sha256_of_file;
use crate::store::{StoreError, publish as publish_file, remove, sidecar};

/// Writes the tables of numbers, the page and the plots, and `run.json`, the last of them at the end: a folder whose
/// `run.json` names these numbers and words, and whose files are as they were written, is left alone unless `--force`.
pub(super) fn publish(
    session: &Session,
    (run, evaluation): (&Run<'_>, &Evaluation),
    folder: &Path,
    options: &RunOptions,
) -> Result<(), CliError> {
    let mut evidence = RunEvidence::open(run, &session.experiment)?;
    let mut record = record(session, (run, evaluation), &evidence)?;
    let plots = if options.plots == Plots::Svg { "svg" } else { "both" };
    record.details.insert("plots".to_owned(), plots.into());
    if !options.force && is_current(folder, &record) {
        return Ok(());
    }
    // While files are replaced, no record may call the folder complete.
    let stale = folder.join("run.json");
    remove(&stale).map_err(StoreError::write(&stale))?;
    let protocol = &session.plan.protocol;
    let artefacts =
        protocol.report(&mut evidence, &evaluation.numbers).map_err(StageError::from)?;
    let mut hashes = BTreeMap::new();
    for Artefact { name, bytes } in chosen(artefacts, options.plots) {
        write(&folder.join(&name), &bytes)?;
        hashes.insert(name, sha256_hex(&bytes));
    }
    // Not the hashes that stand beside them: another report of the same plan may be replacing both.
    for (name, hash) in evaluation::tables(folder, &evaluation.numbers, &session.plan.id())? {
        hashes.insert(name.to_owned(), hash);
    }
    write(&stale, record.sealed(&hashes).to_json()?.as_bytes())
}

/// Without the PNG of what is there as SVG too, where only that is asked for.
fn chosen(artefacts: Vec<Artefact>, plots: Plots) -> Vec<Artefact> {
    let names: BTreeSet<String> = artefacts.iter().map(|artefact| artefact.name.clone()).collect();
    let twice = |name: &str| {
        name.strip_suffix(".png").is_some_and(|stem| names.contains(&format!("{stem}.svg")))
    };
    let asked = |artefact: &Artefact| plots == Plots::Both || !twice(&artefact.name);
    artefacts.into_iter().filter(asked).collect()
}

const METRICS: &str = "metrics.parquet";

fn is_current(folder: &Path, record: &RunRecord) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join("run.json")) else { return false };
    let Ok(there) = RunRecord::from_json(&text) else { return false };
    let same = |key: &str| there.details.get(key) == record.details.get(key);
    let told =
        ["metrics_sha256", "report_version", "report_inputs_sha256", "plots"].into_iter().all(same);
    let Some(artefacts) = there.artefacts() else { return false };
    let whole = || artefacts.iter().all(|(name, hash)| check(folder, name, hash).is_ok());
    there.plan_id == record.plan_id
        && told
        && whole()
        && sidecar::require(&folder.join(METRICS)).is_ok()
}

/// Checks every file of a published folder against its record; how many there are. `None` where the folder holds
/// nothing of the plan.
pub(super) fn verify(folder: &Path, plan_id: &str) -> Result<Option<usize>, CliError> {
    let path = folder.join("run.json");
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(StoreError::read(&path))?,
    };
    // Bytes that are no text are damage like any other; what stands for them breaks the seal.
    let text = String::from_utf8_lossy(&bytes);
    let record = RunRecord::from_json(&text).map_err(StoreError::decode(&path))?;
    let Some(artefacts) = record.artefacts() else {
        return Err(StoreError::malformed(&path, "it is not the record that was written").into());
    };
    if record.plan_id != plan_id {
        return Ok(None);
    }
    artefacts.iter().try_for_each(|(name, hash)| check(folder, name, hash))?;
    // Every table of numbers stands with its hash beside it, for readers who know nothing of the record.
    let tables =
        artefacts.keys().filter(|name| Path::new(name).extension().is_some_and(|e| e == "parquet"));
    tables.map(|name| folder.join(name)).try_for_each(|table| sidecar::require(&table))?;
    Ok(Some(artefacts.len()))
}

fn check(folder: &Path, name: &str, expected: &str) -> Result<(), StoreError> {
    let path = folder.join(name);
    let got = sha256_of_file(&path)?;
    if got == expected {
        return Ok(());
    }
    let (sidecar, expected) = (folder.join("run.json"), expected.to_owned());
    Err(StoreError::Damaged { path, sidecar, got, expected })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(StoreError::write(folder))?;
    }
    publish_file(path, bytes).map_err(StoreError::write(path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{METRICS, Path, RunRecord, publish_file, verify};
    use crate::exit::{Exit, Exits};
    use crate::stage::fault_tests::damaged;
    use crate::store::metrics;

    /// Copies a published folder; the names of its files.
    fn copied(from: &Path, to: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                std::fs::create_dir(to.join(&name)).unwrap();
                let inner = copied(&path, &to.join(&name));
                names.extend(inner.into_iter().map(|file| format!("{name}/{file}")));
            } else {
                std::fs::copy(&path, to.join(&name)).unwrap();
                names.push(name);
            }
        }
        names
    }

    #[test]
    fn every_committed_result_is_what_its_record_names() {
        let mut n = 0;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        for entry in std::fs::read_dir(shipped).unwrap() {
            let folder = entry.unwrap().path().join("mini");
            let Ok(text) = std::fs::read_to_string(folder.join("run.json")) else { continue };
            let plan_id = RunRecord::from_json(&text).unwrap().plan_id;
            let found = verify(&folder, &plan_id);
            assert!(matches!(found, Ok(Some(3..))), "{}: {found:?}", folder.display());
            n += 1;
        }
        assert!(n >= 17, "{n}");
    }

    #[test]
    fn of_damaged_published_files_every_one_is_found() {
        let (mut n, mut harmless, mut sidecars) = (0, 0, 0);
        for table in ["table1-cifar10", "table2-cifar10"] {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results").join(table);
            let folder = tempfile::tempdir().unwrap();
            let names = copied(&shipped.join("mini"), folder.path());
            let text = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
            let plan_id = RunRecord::from_json(&text).unwrap().plan_id;
            let found = verify(folder.path(), &plan_id).unwrap();
            // All but the record itself and the hashes beside files, which are held against the files.
            let beside = names.iter().filter(|name| name.ends_with(".sha256")).count();
            assert_eq!(found, Some(names.len() - 1 - beside), "{names:?}");
            sidecars += beside;
            for name in names {
                let path = folder.path().join(&name);
                let pristine = std::fs::read(&path).unwrap();
                for index in 0..30 {
                    let damage = damaged(&pristine, index);
                    publish_file(&path, &damage).unwrap();
                    n += 1;
                    if let Err(error) = verify(folder.path(), &plan_id) {
                        assert_eq!(error.exit(), Exit::Integrity, "{name}: {error}");
                    } else {
                        // Behind the hash stands a name that nobody reads.
                        assert!(name.ends_with(".sha256"), "{name}, damage {index}");
                        assert_eq!(damage[..64], pristine[..64], "{name}, damage {index}");
                        harmless += 1;
                    }
                    if name == METRICS {
                        metrics::read(&path).unwrap_err();
                    }
                }
                publish_file(&path, &pristine).unwrap();
            }
            assert_eq!(verify(folder.path(), &plan_id).unwrap(), found);
        }
        println!("{n} damages of published files: {harmless} without harm, the others found");
        assert!(n >= 500 && harmless < 10 * sidecars, "{harmless} of {n} went unnoticed");
    }
}
