//! `dubench` measures whether a diffusion model knows where it is wrong.
//!
//! Data flows one way: [`config`] -> [`plan`] -> generate -> features -> evaluate ([`stage`]) -> [`report`].
//! Each heavy package has one door: `ort` is called in [`model::onnx`], `serde_yaml` in [`config`],
//! `arrow` and `parquet` in [`store`], `polars` and `plotters` in [`report`], `clap` and `indicatif`
//! in [`cli`] (`prost` in the package [`graph`]).

pub mod assets;
pub mod canonical;
#[cfg(not(fuzzing))]
pub mod cli;
pub mod config;
pub mod control;
pub mod exit;
pub mod experiment;
mod extractor_id;
pub mod fault;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guidance;
pub mod installed;
mod kinds;
pub mod model;
pub mod noise;
pub mod plan;
pub mod propagation;
pub mod protocol;
pub mod report;
pub mod sampler;
pub mod schedule;
pub mod stage;
pub mod store;
pub mod uncertainty;
pub mod units;

pub use dubench_graph as graph;
