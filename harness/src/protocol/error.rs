//! Why a protocol has no numbers or no report.

use std::error::Error;

use crate::exit::{Exit, Exits};
use crate::report::ReportError;

/// An error of those who read the evidence.
pub trait Failure: Error + Exits + Send + Sync + 'static {}

impl<T: Error + Exits + Send + Sync + 'static> Failure for T {}

/// Why a protocol has no numbers or no report.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The evidence cannot be read.
    #[error("{0}")]
    Evidence(Box<dyn Failure>),
    /// A metric.
    #[error("{what}: {source}")]
    Metric {
        /// What was computed, from what.
        what: String,
        /// Why it was refused.
        source: dubench_metrics::MetricError,
    },
    /// Tables and plots.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The experiment does not have what the protocol needs.
    #[error("the experiment has no {what}: its protocol does not ask for it")]
    Absent {
        /// What there is none of.
        what: &'static str,
    },
}

impl ProtocolError {
    /// An error of those who read the evidence.
    pub fn evidence(error: impl Failure) -> Self {
        Self::Evidence(Box::new(error))
    }

    /// An error of a metric over `what`.
    pub fn metric(what: impl Into<String>) -> impl FnOnce(dubench_metrics::MetricError) -> Self {
        let what = what.into();
        move |source| Self::Metric { what, source }
    }
}

impl Exits for ProtocolError {
    fn exit(&self) -> Exit {
        match self {
            Self::Evidence(error) => error.exit(),
            Self::Metric { .. } => Exit::Input,
            Self::Report(error) => error.exit(),
            Self::Absent { .. } => Exit::Usage,
        }
    }
}
