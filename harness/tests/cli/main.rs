//! The command line, end to end: what people type and what they get.

#[cfg(unix)]
mod assets;
mod bundles;
mod cases;
mod collect;
mod data_sets;
#[cfg(unix)]
mod engines;
#[cfg(unix)]
mod faults;
mod files;
#[cfg(unix)]
mod installed;
mod laplace;
mod messages;
mod metrics;
#[cfg(unix)]
mod mount;
mod networks;
mod pipeline;
mod refusals;
mod runs;
mod sample;
mod shapes;
mod sizes;
mod starts;
#[cfg(unix)]
mod submit;
mod summary;
mod support;
mod tables;
