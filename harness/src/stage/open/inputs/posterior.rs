//! The posterior of the last layer that an experiment takes.

use std::path::PathBuf;

use crate::config::ModelConfig;
use crate::experiment::Experiment;
use crate::model::ModelError;
use crate::protocol::PosteriorNeed;
use crate::stage::StageError;
use crate::stage::open::identities;
use crate::store::laplace::{self, LaplaceFile};

/// The posterior that an experiment takes for a bundle, where it takes one: path, content, settings. A model with a closed form
/// brings its own.
///
/// # Errors
/// [`ModelError::NotApplicable`] where nobody has fitted one; [`StageError::Store`] for a file that is damaged or of another
/// model.
pub fn posterior<'a>(
    experiment: &'a Experiment,
    config: &ModelConfig,
) -> Result<Option<(PathBuf, LaplaceFile, PosteriorNeed<'a>)>, StageError> {
    let (Some(need), ModelConfig::Bundle { path, .. }) =
        (experiment.protocol.needs().posterior, config)
    else {
        return Ok(None);
    };
    let folder = experiment.resolve(path);
    let identity = identities::identity(&folder)?;
    let path = folder.join(&need.settings.file);
    if !path.try_exists().unwrap_or(true) {
        let reason = format!(
            "{} is not there: run `dubench fit-laplace {} -o {}`, or name another file by protocol.{}.posterior.file",
            path.display(),
            folder.display(),
            path.display(),
            need.method
        );
        let (method, model) = (need.method, identity.name);
        return Err(ModelError::NotApplicable { method, model, reason }.into());
    }
    let file = laplace::read(&path)?;
    file.check_model(&path, (&identity.name, &identity.files))?;
    Ok(Some((path, file, need)))
}
