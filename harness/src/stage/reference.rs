//! What results are held against: reference statistics, and published numbers.

use dubench_metrics::{Gaussian, MetricError, Reference};

use crate::config::{Experiment, PublishedSetting, PublishedTable, read_yaml};
use crate::plan::Plan;
use crate::store::statistics::Statistics;

use super::{StageError, inputs};

/// The reference statistics of a plan.
///
/// # Errors
/// [`StageError::Store`] for a file that is missing or damaged, [`StageError::Metric`] for statistics that no images have.
pub(super) fn reference(plan: &Plan, experiment: &Experiment) -> Result<Reference, StageError> {
    let sizes = inputs::scale_of(experiment, &plan.scale)?;
    let path = experiment.resolve(&inputs::reference_config(experiment, sizes)?.path);
    let statistics = Statistics::read(&path)?;
    let n = statistics.n.and_then(|n| usize::try_from(n).ok());
    let build = || -> Result<Reference, MetricError> {
        Reference::new(Gaussian::new(statistics.mu, statistics.sigma, n)?)
    };
    let what = path.display().to_string();
    build().map_err(|source| StageError::Metric { what, source })
}

/// Dimension of the features of a plan.
pub(super) fn dim(plan: &Plan) -> Result<usize, StageError> {
    let extractor =
        plan.extractor.as_ref().ok_or(StageError::Absent { what: "feature network" })?;
    Ok(extractor.dim)
}

/// The published row of an experiment.
///
/// # Errors
/// [`StageError::Config`] for the file, [`StageError::Published`] when it has no such row.
pub fn published(experiment: &Experiment) -> Result<Option<PublishedSetting>, StageError> {
    let Some(key) = &experiment.published else { return Ok(None) };
    let path = experiment.resolve(&key.file);
    let table: PublishedTable = read_yaml(&path)?;
    match table.setting(key) {
        Some(setting) => Ok(Some(setting.clone())),
        None => Err(StageError::Published {
            path: path.display().to_string(),
            key: format!(
                "{} / {} / {}",
                key.network,
                key.dataset,
                key.sampler.as_deref().unwrap_or("no sampler")
            ),
            known: table.keys(),
        }),
    }
}
