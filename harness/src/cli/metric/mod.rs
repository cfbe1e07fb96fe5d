//! `dubench metric`: metrics of people's own arrays, folders and statistics. The JSON keys are a
//! public contract: f64 without rounding, a key is never renamed.

mod compare;
mod copies;
mod fid;
mod filter;
mod input;
mod is;
mod kid;
mod mmd;
mod notes;
mod pr;
mod shapes;
mod sparsification;
mod spheres;

use std::path::PathBuf;

use super::answer::Context;
use super::arguments::{MetricCommand, PairOptions};
use super::error::CliError;
use crate::exit::Exit;

pub(crate) fn run(command: &MetricCommand, context: Context) -> Result<Exit, CliError> {
    match command {
        MetricCommand::Fid(options) => fid::run(options, context),
        MetricCommand::Kid(options) => kid::run(options, context),
        MetricCommand::Mmd(options) => mmd::run(options, context),
        MetricCommand::Is(options) => is::run(options, context),
        MetricCommand::Pr(options) => pr::run(options, context),
        MetricCommand::Realism(options) => spheres::realism(options, context),
        MetricCommand::Rarity(options) => spheres::rarity(options, context),
        MetricCommand::Sparsification(options) => sparsification::run(options, context),
        MetricCommand::Filter(options) => filter::run(options, context),
        MetricCommand::Compare(options) => compare::run(options, context),
    }
    .map_err(|error| match error {
        CliError::Metric(error) => CliError::MetricOf { error, given: given(command) },
        error => error,
    })?;
    Ok(Exit::Complete)
}

/// What a metric was given: `--real a.npy, --fake b.npy`. A metric names its arguments, and no files.
fn given(command: &MetricCommand) -> String {
    let named = match command {
        MetricCommand::Fid(options) => pair(options),
        MetricCommand::Kid(options) => pair(&options.pair),
        MetricCommand::Mmd(options) => pair(&options.pair),
        MetricCommand::Pr(options) => pair(&options.pair),
        MetricCommand::Realism(options) | MetricCommand::Rarity(options) => pair(&options.pair),
        MetricCommand::Is(options) => vec![("--logits", &options.logits)],
        MetricCommand::Sparsification(options) => {
            vec![("--error", &options.error), ("--uncertainty", &options.uncertainty)]
        }
        MetricCommand::Filter(options) => vec![
            ("--real", &options.real),
            ("--features", &options.features),
            ("--scores", &options.scores),
        ],
        MetricCommand::Compare(options) => {
            vec![("--real", &options.real), ("--a", &options.a), ("--b", &options.b)]
        }
    };
    let words: Vec<String> =
        named.into_iter().map(|(option, path)| format!("{option} {}", path.display())).collect();
    words.join(", ")
}

fn pair(options: &PairOptions) -> Vec<(&'static str, &PathBuf)> {
    vec![("--real", &options.real), ("--fake", &options.fake)]
}
