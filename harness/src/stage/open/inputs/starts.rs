//! Starts that an experiment takes from a file.

use std::path::PathBuf;

use crate::config::Common;
use crate::experiment::plan::ModelFacts;
use crate::plan::StartsIdentity;
use crate::stage::StageError;
use crate::store::StoreError;
use crate::store::digest::sha256_of_file;
use crate::store::starts::StartsFile;

/// The starts of an experiment that takes them from a file.
///
/// # Errors
/// [`StoreError`] for a file that is none.
pub fn starts(common: &Common) -> Result<Option<(PathBuf, StartsFile)>, StageError> {
    let Some(config) = &common.starts else { return Ok(None) };
    let path = common.resolve(&config.path);
    let file = StartsFile::open(&path)?;
    Ok(Some((path, file)))
}

/// Identity of the starts, held against what the model takes.
pub(super) fn starts_identity(
    common: &Common,
    (model, facts): (&str, ModelFacts),
) -> Result<Option<StartsIdentity>, StageError> {
    let Some((path, file)) = starts(common)? else { return Ok(None) };
    let refuse = |message: String| StageError::from(StoreError::input(&path, message));
    if file.shape() != facts.shape {
        let (got, expected) = (file.shape(), facts.shape);
        return Err(refuse(format!("its states are {got:?}, those of {model} {expected:?}")));
    }
    match (facts.n_classes, file.classes()) {
        (None, _) => {}
        (Some(n), None) => {
            let message = format!("{model} takes one of {n} classes: add y [n] beside x_T");
            return Err(refuse(message));
        }
        (Some(n), Some(classes)) => {
            if let Some(at) = classes.iter().position(|class| class.0 >= n) {
                let (class, last) = (classes[at].0, n.saturating_sub(1));
                let message =
                    format!("y of sample {at} is {class}, the classes of {model} are 0 to {last}");
                return Err(refuse(message));
            }
        }
    }
    Ok(Some(StartsIdentity { sha256: sha256_of_file(&path)?, n: file.n() }))
}
