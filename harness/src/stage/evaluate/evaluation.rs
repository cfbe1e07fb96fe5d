//! What an evaluation leaves in the run folder, and how it is found again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::protocol::Numbers;
use crate::store::{Kind, Provenance, StoreError, curves, metrics, publish, results, sidecar};

use crate::stage::{Run, StageError};

/// The tables, beside what says that they belong together.
const METRICS: &str = "metrics.parquet";
const CURVES: &str = "curves.parquet";
const SCORES: &str = "scores.parquet";
/// File of the times.
const TIMINGS: &str = "timings.json";

/// Everything that the run folder holds after an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The numbers of the protocol.
    pub numbers: Numbers,
    /// [`metrics::digest`] of the rows.
    pub digest: String,
    /// Whether an earlier evaluation of the same parts was found instead of computed.
    pub found: bool,
}

impl Evaluation {
    /// Digest of each table, by its file.
    pub fn digests(&self) -> [(&'static str, String); 3] {
        [
            (METRICS, self.digest.clone()),
            (CURVES, curves::digest(&self.numbers.curves)),
            (SCORES, results::scores_digest(&self.numbers.scores)),
        ]
    }
}

/// Where times go, so that `metrics.parquet` can be compared without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Sum of the wall times of all blocks of `generate`; networks side by side work on several at once.
    pub generate_seconds: f64,
    /// Of which inside the denoiser.
    pub generate_network_seconds: f64,
    /// Sum of the wall times of all blocks of `features`.
    pub features_seconds: f64,
    /// Wall time of `evaluate`.
    pub evaluate_seconds: f64,
}

/// What `evaluated.json` says: which parts gave which numbers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluated {
    plan_id: String,
    inputs: String,
    metrics: String,
}

/// An earlier evaluation of the same parts.
///
/// # Errors
/// [`StageError::Store`] for files that are damaged.
pub(super) fn find(
    run: &Run<'_>,
    plan_id: &str,
    inputs: &str,
) -> Result<Option<Evaluation>, StageError> {
    let Ok(text) = std::fs::read_to_string(run.layout.run_file("evaluated.json")) else {
        return Ok(None);
    };
    let Ok(known) = serde_json::from_str::<Evaluated>(&text) else { return Ok(None) };
    if known.plan_id != plan_id || known.inputs != inputs {
        return Ok(None);
    }
    for name in [METRICS, CURVES, SCORES, TIMINGS] {
        if sidecar::standing(&run.layout.run_file(name))? != sidecar::Standing::Sealed {
            return Ok(None);
        }
    }
    let evaluation = read(run)?;
    Ok((evaluation.digest == known.metrics).then_some(evaluation))
}

/// Reads the results of a run.
///
/// # Errors
/// [`StageError::Store`] for files that are missing, damaged, or of another plan.
pub fn read(run: &Run<'_>) -> Result<Evaluation, StageError> {
    let plan_id = run.plan.id();
    let file = |name: &str, kind: Kind| -> Result<PathBuf, StageError> {
        let path = run.layout.run_file(name);
        if !path.is_file() {
            return Err(StageError::NotEvaluated { path });
        }
        results::require_plan(&path, kind, &plan_id)?;
        Ok(path)
    };
    let rows = metrics::read(&file(METRICS, Kind::Metrics)?)?;
    let curves = curves::read(&file(CURVES, Kind::Curves)?)?;
    let scores = results::read_scores(&file(SCORES, Kind::Scores)?)?;
    let digest = metrics::digest(&rows);
    Ok(Evaluation { numbers: Numbers { rows, curves, scores }, digest, found: true })
}

/// Writes the files of an evaluation, what says that it took place last.
///
/// # Errors
/// [`StageError::Store`].
pub(super) fn write(
    run: &Run<'_>,
    plan_id: &str,
    inputs: String,
    (evaluation, timings): (&Evaluation, &Timings),
) -> Result<(), StageError> {
    let file = |name: &str| run.layout.run_file(name);
    tables(&run.layout.run_folder(), &evaluation.numbers, plan_id)?;
    let path = file(TIMINGS);
    sidecar::publish_sealed(&path, json(&path, timings)?.as_bytes())?;
    // Last: without it the evaluation did not take place.
    let metrics = evaluation.digest.clone();
    let path = file("evaluated.json");
    let text = json(&path, &Evaluated { plan_id: plan_id.to_owned(), inputs, metrics })?;
    publish(&path, text.as_bytes()).map_err(StoreError::write(&path))?;
    Ok(())
}

/// Writes the tables of numbers into a folder; name and SHA-256 of each.
///
/// # Errors
/// [`StoreError::Write`].
pub fn tables(
    folder: &Path,
    numbers: &Numbers,
    plan_id: &str,
) -> Result<[(&'static str, String); 3], StoreError> {
    let provenance = Provenance::new("none", "cpu");
    let Numbers { rows, curves, scores } = numbers;
    let file = |name: &str| folder.join(name);
    Ok([
        (METRICS, metrics::write(&file(METRICS), rows, plan_id, &provenance)?),
        (CURVES, curves::write(&file(CURVES), curves, plan_id, &provenance)?),
        (SCORES, results::write_scores(&file(SCORES), scores, plan_id, &provenance)?),
    ])
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<String, StoreError> {
    let text = serde_json::to_string_pretty(value).map_err(StoreError::decode(path))?;
    Ok(text + "\n")
}

/// Reads the times of an evaluated run.
///
/// # Errors
/// [`StageError::Store`] for a file that is missing or damaged.
pub fn read_timings(run: &Run<'_>) -> Result<Timings, StageError> {
    let path = run.layout.run_file(TIMINGS);
    sidecar::require(&path)?;
    let text = std::fs::read(&path).map_err(StoreError::read(&path))?;
    Ok(serde_json::from_slice(&text).map_err(StoreError::decode(&path))?)
}
