//! The command line, end to end: what people type and what they get.

mod metrics;
mod runs;
mod support;
