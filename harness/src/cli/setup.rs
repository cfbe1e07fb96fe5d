//! `dubench setup`, and what it makes where an installed program needs it.

use std::path::{Path, PathBuf};

use super::answer::Context;
use super::arguments::SetupOptions;
use super::error::CliError;
use super::extractor;
use super::found;
use crate::assets::{Installed, ensure};
use crate::config::FeaturesConfig;
use crate::exit::Exit;
use crate::experiment::Experiment;
use crate::installed;
use crate::model::onnx::environment;

pub(super) fn run(options: &SetupOptions, context: Context) -> Result<Exit, CliError> {
    let made = make(&extractor::description(&options.extractor), context)?;
    let words = if made.found { "is there" } else { "was built" };
    context.answer(&made, &format!("{} {words}: {}", made.name, made.path.display()))?;
    Ok(Exit::Complete)
}

/// The feature network of an experiment, where this program is an installed one: nobody there has another set-up.
pub(super) fn for_experiment(experiment: &Experiment, context: Context) -> Result<(), CliError> {
    if installed::data().is_none() {
        return Ok(());
    }
    if let Some(FeaturesConfig::Extractor { path, .. }) = &experiment.features {
        make(&experiment.resolve(path), context)?;
    }
    Ok(())
}

fn make(description: &Path, context: Context) -> Result<Installed, CliError> {
    let assets = found::shipped(&PathBuf::from("assets.yaml"));
    let tell = |line: &str| {
        if !context.quiet {
            super::answer::tell(line);
        }
    };
    Ok(ensure((description, &assets), &environment::cache_root()?, &tell)?)
}
