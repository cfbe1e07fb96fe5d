//! How a command can end other than well.

use std::path::PathBuf;

use crate::assets::AssetError;
use crate::config::ConfigError;
use crate::exit::{Exit, Exits};
use crate::graph::GraphError;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::report::ReportError;
use crate::stage::StageError;
use crate::stage::statistics::StatisticsError;
use crate::store::StoreError;

/// How a command can end other than well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// An option has a value that it cannot have.
    #[error("{option} {got:?}: expected {expected}")]
    Option { option: &'static str, got: String, expected: String },
    /// A scheduler that is not there, or that refuses a job.
    #[error("{program}: {reason}: {remedy}")]
    Scheduler { program: &'static str, reason: String, remedy: String },
    /// A name that no file has.
    #[error("{name}: no such experiment; looked for {}: give its path", list(places))]
    NotFound { name: String, places: Vec<PathBuf> },
    /// Two inputs that cannot be compared.
    #[error("{0}")]
    Mismatch(String),
    /// A metric refuses its input.
    #[error(transparent)]
    Metric(#[from] dubench_metrics::MetricError),
    /// The same, with the options that name what it was given.
    #[error("{error} ({given})")]
    MetricOf { error: dubench_metrics::MetricError, given: String },
    /// A work folder that is not there.
    #[error("{}: there is no such folder, so nothing of {experiment} is in it: run `dubench run` first, or name the folder of its work by --work-dir", work.display())]
    NotBegun { work: PathBuf, experiment: String },
    #[error(transparent)]
    Asset(#[from] AssetError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// The answer could not be printed.
    #[error("stdout cannot be written: {0}")]
    Stdout(std::io::Error),
    /// Signal handlers could not be installed.
    #[error("signal handlers cannot be installed: {0}")]
    Signals(std::io::Error),
    /// Something that cannot happen has happened.
    #[error("a bug in dubench: {0}; please report it with the command that you ran")]
    Bug(String),
}

impl CliError {
    /// An option with a value that it cannot have.
    pub(crate) fn option(option: &'static str, got: &str, expected: &str) -> Self {
        Self::Option { option, got: got.to_owned(), expected: expected.to_owned() }
    }
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Exits for CliError {
    fn exit(&self) -> Exit {
        match self {
            Self::Option { .. } | Self::NotFound { .. } => Exit::Usage,
            Self::Mismatch(_) | Self::Metric(_) | Self::MetricOf { .. } => Exit::Input,
            Self::NotBegun { .. } => Exit::Incomplete,
            Self::Asset(error) => error.exit(),
            Self::Config(error) => error.exit(),
            Self::Plan(error) => error.exit(),
            Self::Stage(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Model(error) => error.exit(),
            Self::Graph(error) => error.exit(),
            Self::Report(error) => error.exit(),
            Self::Statistics(error) => error.exit(),
            Self::Scheduler { .. } | Self::Stdout(_) | Self::Signals(_) => Exit::Resources,
            Self::Bug(_) => Exit::Bug,
        }
    }
}
