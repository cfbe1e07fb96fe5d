//! Tables and plots. The only door to `polars` and `plotters`.
//!
//! [`render`] turns a [`input::ReportInput`] into files in memory; the store publishes them. [`compare`] and
//! [`check`] judge two results against each other.

pub mod check;
pub mod compare;
pub mod document;
mod error;
#[cfg(test)]
mod example;
pub mod filter_table;
pub mod frame;
pub mod guidance;
pub mod guidance_input;
pub mod guidance_table;
pub mod input;
pub mod label;
pub mod latex;
pub mod markdown;
pub mod metric;
pub mod number;
pub mod plot;
pub mod published;
pub mod reconstruction;
pub mod reconstruction_input;
pub mod reconstruction_table;
pub mod run_json;
pub mod table;

#[cfg(test)]
mod tests;

pub use error::ReportError;

use crate::config::published::PublishedTable;
use input::ReportInput;

/// A file of the results folder, not yet on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Path below the results folder: `table.md`, `plots/filter-curve.svg`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// All tables and plots of a result. The same input gives the same bytes.
///
/// A plot whose data the input lacks is left out: a result without exhibits has no sheet.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell, [`ReportError::Value`]
/// for curves, scores or images that do not fit together.
pub fn render(
    input: &ReportInput,
    published: Option<&PublishedTable>,
) -> Result<Vec<Artefact>, ReportError> {
    let document = table::document(input, published)?;
    let mut out = vec![
        Artefact { name: "table.md".to_owned(), bytes: markdown::write(&document).into_bytes() },
        Artefact { name: "table.tex".to_owned(), bytes: latex::write(&document).into_bytes() },
    ];
    out.extend(plot::all(input)?);
    Ok(out)
}
