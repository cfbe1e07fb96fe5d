//! The command line, end to end: what people type and what they get.

mod cases;
mod collect;
#[cfg(unix)]
mod engines;
#[cfg(unix)]
mod faults;
mod files;
mod messages;
mod metrics;
mod pipeline;
mod runs;
mod sample;
mod shapes;
mod sizes;
#[cfg(unix)]
mod submit;
mod support;
mod tables;
