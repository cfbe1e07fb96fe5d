//! How a stage can end other than well.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::exit::{Exit, Exits};
use crate::guidance::GuidanceError;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::protocol::ProtocolError;
use crate::sampler::SamplerError;
use crate::schedule::ScheduleError;
use crate::store::StoreError;
use crate::uncertainty::EstimatorError;

use super::statistics::StatisticsError;

/// How a stage can end other than well.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The experiment file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The noise schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The sampler.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// A guidance rule.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// An estimator.
    #[error(transparent)]
    Estimator(#[from] EstimatorError),
    /// Real images that cannot be read or do not fit.
    #[error(transparent)]
    Images(#[from] StatisticsError),
    /// The experiment does not have what a stage needs.
    #[error("the experiment has no {what}: its protocol does not ask for this stage")]
    Absent {
        /// What there is none of.
        what: &'static str,
    },
    /// Numbers, tables or plots.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A report of numbers that nobody has computed yet.
    #[error("{}: is not there, the run is not evaluated yet: run `dubench evaluate`, or `dubench run` for all of it", path.display())]
    NotEvaluated {
        /// The table of numbers.
        path: PathBuf,
    },
    /// Parts of the stage before are missing.
    #[error(
        "{n_missing} of {n_blocks} blocks of {stage} are missing: {}; run the other shards or the same command again, then ask again",
        listed(missing)
    )]
    Missing {
        /// The stage that is not complete.
        stage: &'static str,
        /// Blocks of the plan.
        n_blocks: u64,
        /// Blocks that are missing.
        n_missing: u64,
        /// Their numbers, the first of them.
        missing: Vec<u64>,
    },
    /// A guided block needs thresholds that nobody has made yet.
    #[error(
        "{}: the thresholds of a mask are not made yet: run `dubench thresholds` on the experiment, or `dubench run`, which begins with them",
        path.display()
    )]
    NoThresholds {
        /// Where they should be.
        path: std::path::PathBuf,
    },
    /// Blocks whose network answers were not finite; the others are done.
    #[error("{} blocks failed: {}; first: {first}; no metric is computed over the rest, see {folder}", failed.len(), listed(failed))]
    NotFinite {
        /// Their numbers.
        failed: Vec<u64>,
        /// The first error.
        first: ModelError,
        /// Folder with one file a failed block.
        folder: String,
    },
    /// Numbers fell outside their bands. The results are written.
    #[error("{} gates failed: {}", faults.len(), faults.join("; "))]
    Gate {
        /// One sentence a gate.
        faults: Vec<String>,
    },
    /// A stop was asked for. Everything published is kept.
    #[error(
        "stopped after {done} of {total} blocks of {stage}; nothing finished is lost: run the same command again to go on"
    )]
    Interrupted {
        /// The stage.
        stage: &'static str,
        /// Blocks done by this call.
        done: usize,
        /// Blocks that this call had to do.
        total: usize,
    },
    /// Others were at work while wall times were taken.
    #[error(
        "{cores:.2} cores were busy with other processes {when}, and wall times are evidence here: run the same command again on a quiet machine (blocks that are done stay), or say --beside-others, and the table tells the load"
    )]
    Busy {
        /// Cores that they kept busy.
        cores: f64,
        /// When.
        when: String,
    },
    /// What would make wall times worthless.
    #[error("wall times are evidence here, and {what}: {remedy}")]
    Untimeable {
        /// What it is.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A stop was asked for in work that is one piece: there is nothing to keep.
    #[error(
        "stopped after {done} of {total} images of {stage}, and nothing was written: run the same command again"
    )]
    Abandoned {
        /// The work.
        stage: &'static str,
        /// Images done.
        done: u64,
        /// Images asked for.
        total: u64,
    },
    /// A published table has no row of the experiment's key.
    #[error("{path}: no row {key}; there are {}", known.join(", "))]
    Published {
        /// The table.
        path: String,
        /// The key.
        key: String,
        /// Keys that there are.
        known: Vec<String>,
    },
}

impl Exits for StageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Plan(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Model(error) => error.exit(),
            Self::Sampler(error) => error.exit(),
            Self::Schedule(error) => error.exit(),
            Self::Guidance(error) => error.exit(),
            Self::Estimator(error) => error.exit(),
            Self::Images(error) => error.exit(),
            Self::Protocol(error) => error.exit(),
            Self::Missing { .. } | Self::NoThresholds { .. } | Self::NotEvaluated { .. } => {
                Exit::Incomplete
            }
            Self::NotFinite { .. } | Self::Gate { .. } => Exit::Gate,
            Self::Interrupted { .. } | Self::Abandoned { .. } => Exit::Interrupted,
            Self::Busy { .. } => Exit::Resources,
            Self::Absent { .. } | Self::Published { .. } | Self::Untimeable { .. } => Exit::Usage,
        }
    }
}

/// Block numbers, runs of them joined: `0-3, 7, 9-11, ...`.
fn listed(blocks: &[u64]) -> String {
    const MOST: usize = 20;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for block in blocks {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *block => *last = *block,
            _ => runs.push((*block, *block)),
        }
    }
    let shown = runs.iter().take(MOST).map(|(first, last)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if runs.len() > MOST {
        text.push_str(", ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_numbers_are_joined_to_runs() {
        assert_eq!(listed(&[0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
        assert_eq!(listed(&[]), "");
        let many: Vec<u64> = (0..60).map(|i| 2 * i).collect();
        assert!(listed(&many).ends_with("38, ..."));
    }
}
