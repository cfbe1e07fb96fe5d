//! What results are held against: reference statistics, and published numbers.

use dubench_metrics::{Gaussian, MetricError, Reference};

use crate::config::{Common, PublishedSetting, PublishedTable};
use crate::plan::Work;
use crate::protocol::ProtocolError;
use crate::stage::StageError;
use crate::stage::open::inputs;
use crate::store::statistics::Statistics;

/// The reference statistics of the work.
pub(super) fn reference(work: &Work, common: &Common) -> Result<Reference, StageError> {
    let sizes = inputs::scale_of(common, &work.scale)?;
    let path = inputs::statistics_path(common, inputs::reference_config(common, sizes)?)?;
    let statistics = Statistics::read(&path)?;
    let n = statistics.n.and_then(|n| usize::try_from(n).ok());
    let build = || -> Result<Reference, MetricError> {
        Reference::new(Gaussian::new(statistics.mu, statistics.sigma, n)?)
    };
    Ok(build().map_err(ProtocolError::metric(path.display().to_string()))?)
}

/// The published table of an experiment, and its row: the only source of published numbers.
///
/// # Errors
/// [`StageError::Config`] for the file, [`StageError::Published`] when it has no such row.
pub(super) fn published(
    common: &Common,
) -> Result<Option<(PublishedTable, PublishedSetting)>, StageError> {
    let Some(key) = &common.published else { return Ok(None) };
    let path = common.resolve(&key.file);
    let table = PublishedTable::read(&path)?;
    match table.setting(key).cloned() {
        Some(setting) => Ok(Some((table, setting))),
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
