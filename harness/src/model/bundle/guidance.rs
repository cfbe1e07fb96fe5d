//! Guidance of a bundle, looked at before anything is opened.

use std::path::Path;

use super::conditions::Conditioned;
use super::open::describe;
use crate::config::CfgYaml;
use crate::model::ModelError;

/// Refuses classifier-free guidance by `cfg` that the bundle in `folder` cannot have, by its description alone.
///
/// # Errors
/// [`ModelError::Bundle`], as opening the bundle under this guidance.
pub fn check_guidance(folder: &Path, cfg: &CfgYaml) -> Result<(), ModelError> {
    let mut model = describe(folder)?;
    let cfg = cfg.clone().over(model.cfg.as_ref());
    model.cfg = Some(cfg.clone());
    Conditioned::read(folder, &model)?.scale(folder, &cfg).map(|_| ())
}
