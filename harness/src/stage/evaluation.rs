//! What an evaluation leaves in the run folder, and how it is found again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ProtocolConfig;
use crate::store::records::{CurveRow, MetricRow, ScoreTable};
use crate::store::sparsification::{self, SparsificationRow};
use crate::store::{Kind, Provenance, StoreError, publish, results, sidecar};

use super::{Run, StageError};

/// File of the sparsification curves.
const SPARSIFICATION: &str = "sparsification.parquet";
/// File of the times.
const TIMINGS: &str = "timings.json";

/// Everything that the run folder holds after an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Rows of `metrics.parquet`.
    pub rows: Vec<MetricRow>,
    /// Rows of `curves.parquet`.
    pub curves: Vec<CurveRow>,
    /// Scores of all images.
    pub scores: ScoreTable,
    /// Rows of `sparsification.parquet`, which a reconstruction has in the place of filter curves.
    pub sparsification: Vec<SparsificationRow>,
    /// [`results::metrics_digest`] of the rows.
    pub digest: String,
    /// Whether an earlier evaluation of the same parts was found instead of computed.
    pub found: bool,
}

/// Where times go, so that `metrics.parquet` can be compared without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Wall time of all blocks of `generate`.
    pub generate_seconds: f64,
    /// Of which inside the denoiser.
    pub generate_network_seconds: f64,
    /// Wall time of all blocks of `features`.
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
    let mut files = vec!["metrics.parquet", "curves.parquet", "scores.parquet", TIMINGS];
    if let ProtocolConfig::Reconstruction(_) = &run.plan.protocol {
        files.push(SPARSIFICATION);
    }
    if known.plan_id != plan_id || known.inputs != inputs {
        return Ok(None);
    }
    for name in files {
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
        results::require_plan(&path, kind, &plan_id)?;
        Ok(path)
    };
    let rows = results::read_metrics(&file("metrics.parquet", Kind::Metrics)?)?;
    let curves = results::read_curves(&file("curves.parquet", Kind::Curves)?)?;
    let scores = results::read_scores(&file("scores.parquet", Kind::Scores)?)?;
    let digest = results::metrics_digest(&rows);
    let sparsification = match &run.plan.protocol {
        ProtocolConfig::Reconstruction(_) => {
            sparsification::read(&file(SPARSIFICATION, Kind::Sparsification)?)?
        }
        ProtocolConfig::Filtering { .. } | ProtocolConfig::Guidance(_) => Vec::new(),
    };
    Ok(Evaluation { rows, curves, scores, sparsification, digest, found: true })
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
    let provenance = Provenance::new("none", "cpu");
    let file = |name: &str| run.layout.run_file(name);
    results::write_metrics(&file("metrics.parquet"), &evaluation.rows, plan_id, &provenance)?;
    results::write_curves(&file("curves.parquet"), &evaluation.curves, plan_id, &provenance)?;
    results::write_scores(&file("scores.parquet"), &evaluation.scores, plan_id, &provenance)?;
    if let ProtocolConfig::Reconstruction(_) = &run.plan.protocol {
        let rows = &evaluation.sparsification;
        sparsification::write(&file(SPARSIFICATION), rows, plan_id, &provenance)?;
    }
    let path = file(TIMINGS);
    sidecar::publish_sealed(&path, json(&path, timings)?.as_bytes())?;
    // Last: without it the evaluation did not take place.
    let metrics = evaluation.digest.clone();
    let path = file("evaluated.json");
    let text = json(&path, &Evaluated { plan_id: plan_id.to_owned(), inputs, metrics })?;
    publish(&path, text.as_bytes()).map_err(StoreError::write(&path))?;
    Ok(())
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
