//! The reference of a scale and its statistics.

use std::path::PathBuf;

use crate::config::{Common, ReferenceConfig, ScaleConfig};
use crate::experiment::Experiment;
use crate::plan::ReferenceIdentity;
use crate::stage::StageError;
use crate::store::StoreError;
use crate::store::digest::sha256_of_file;
use crate::store::statistics::Statistics;

/// The reference of a scale.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn reference_config<'a>(
    common: &'a Common,
    sizes: &'a ScaleConfig,
) -> Result<&'a ReferenceConfig, StageError> {
    common.reference_of(sizes).ok_or(StageError::Absent { what: "reference statistics" })
}

/// Identity of the statistics, where the protocol reads some. One that looks at real images has none where none are named.
pub(super) fn reference_of(
    experiment: &Experiment,
    sizes: &ScaleConfig,
) -> Result<Option<ReferenceIdentity>, StageError> {
    let needs = experiment.protocol.needs();
    if !needs.statistics {
        return Ok(None);
    }
    let config = reference_config(experiment, sizes)?;
    if config.path.is_none() && needs.reference_features {
        return Ok(None);
    }
    reference_identity(experiment, config).map(Some)
}

/// The file of statistics that a reference names.
///
/// # Errors
/// [`StageError::Absent`] for one that names none.
pub fn statistics_path(common: &Common, config: &ReferenceConfig) -> Result<PathBuf, StageError> {
    let path = config.path.as_ref();
    let absent = StageError::Absent { what: "statistics of the reference (reference.path)" };
    path.map(|path| common.resolve(path)).ok_or(absent)
}

fn reference_identity(
    common: &Common,
    config: &ReferenceConfig,
) -> Result<ReferenceIdentity, StageError> {
    let path = statistics_path(common, config)?;
    if !path.exists() {
        let message = format!(
            "there is no such file: make the statistics of {} by `dubench stats IMAGES -o FILE`, or take published ones by `dubench import-stats` (docs/imagenet.md)",
            config.dataset
        );
        return Err(StoreError::input(&path, message).into());
    }
    let sha256 = sha256_of_file(&path)?;
    let statistics = Statistics::read(&path)?;
    Ok(ReferenceIdentity {
        dataset: config.dataset.clone(),
        sha256,
        n: statistics.n,
        dim: statistics.mu.len(),
        extractor: statistics.extractor,
        image_size: statistics.image_size,
    })
}
