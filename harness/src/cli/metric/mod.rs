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

use super::answer::Context;
use super::arguments::MetricCommand;
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
    }?;
    Ok(Exit::Complete)
}
