//! The drawing kit: tables and plots of a result. The only door to `polars` and `plotters`.
//!
//! Protocols lay out their pages and figures with it and hand back files in memory; the store publishes them. [`compare`]
//! and [`check`] judge two results against each other.

pub mod cells;
pub mod check;
#[cfg(not(fuzzing))]
pub mod collect;
pub mod compare;
pub mod document;
mod error;
pub mod key;
pub mod label;
pub mod latex;
pub mod markdown;
pub mod metric;
pub mod number;
pub mod page;
pub mod plot;
pub mod published;
pub mod run_json;
#[cfg(not(fuzzing))]
mod scan;
pub mod setting;
#[cfg(not(fuzzing))]
pub mod summary;

pub use error::ReportError;
pub use label::Labels;
pub use page::Head;
pub use setting::Setting;

/// A file of the results folder, not yet on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Path below the results folder: `table.md`, `plots/filter-curve.svg`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}
