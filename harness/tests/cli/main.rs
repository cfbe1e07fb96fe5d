//! The command line, end to end: what people type and what they get.

mod metrics;
mod runs;
#[cfg(unix)]
mod submit;
mod support;
