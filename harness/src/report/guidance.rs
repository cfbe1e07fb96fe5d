//! Tables and plots of a guidance experiment (Table 3).

use ndarray::Array3;

use super::plot::files;
use super::plot::guidance_effect::GuidanceEffect;
use super::plot::guidance_sheet::GuidanceSheet;
use super::plot::sweep::SweepMap;
use super::{Artefact, ReportError, guidance_table, latex, markdown};
use crate::config::published::PublishedTable;
use crate::store::records::MetricRow;
use crate::units::SampleId;

/// Everything that tables and plots of a guidance experiment need.
#[derive(Clone, Debug)]
pub struct GuidanceInput {
    /// Experiment name.
    pub experiment: String,
    /// The question of the experiment file.
    pub question: String,
    /// Published artefact, `table3`.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// Numbers of all arms but the cells of the sweep.
    pub rows: Vec<MetricRow>,
    /// The sweep, cell by cell.
    pub cells: Vec<Cell>,
    /// Samplers of the sheet, each with the same starts under its rules.
    pub sheets: Vec<Strip>,
    /// Sentences that must stand under the table.
    pub remarks: Vec<String>,
}

/// One cell of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Strength.
    pub lambda: f64,
    /// Percentile.
    pub percentile: f64,
    /// Sampler.
    pub sampler: String,
    /// FID minus that of the unguided images of the same starts.
    pub delta: f64,
    /// Its standard error.
    pub se: f64,
    /// Its two-sided p-value.
    pub p: f64,
    /// Pairs.
    pub n: u64,
}

/// The same starts under the rules of one sampler.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Sampler.
    pub sampler: String,
    /// Starts.
    pub samples: Vec<SampleId>,
    /// Name of each arm, and its images `[3, H, W]`, one a start.
    pub arms: Vec<(String, Vec<Array3<u8>>)>,
}

/// All tables and plots. The same input gives the same bytes.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell, [`ReportError::Value`]
/// for data that cannot be drawn.
pub fn render(
    input: &GuidanceInput,
    published: Option<&PublishedTable>,
) -> Result<Vec<Artefact>, ReportError> {
    let document = guidance_table::document(input, published)?;
    let mut out = vec![
        Artefact { name: "table.md".to_owned(), bytes: markdown::write(&document).into_bytes() },
        Artefact { name: "table.tex".to_owned(), bytes: latex::write(&document).into_bytes() },
    ];
    if let Some(figure) = GuidanceEffect::new(&input.rows)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = SweepMap::new(&input.cells)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = GuidanceSheet::new(&input.sheets)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}
