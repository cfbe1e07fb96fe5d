//! Tables and plots of a guidance experiment (Table 3).

use super::guidance_input::GuidanceInput;
use super::plot::files;
use super::plot::guidance_effect::GuidanceEffect;
use super::plot::guidance_sheet::GuidanceSheet;
use super::plot::sweep::SweepMap;
use super::{Artefact, ReportError, guidance_table, latex, markdown};
use crate::config::published::PublishedTable;

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
