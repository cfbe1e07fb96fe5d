//! The command line, end to end: what people type and what they get.

#[cfg(unix)]
mod engines;
#[cfg(unix)]
mod faults;
mod metrics;
mod runs;
#[cfg(unix)]
mod submit;
mod support;
