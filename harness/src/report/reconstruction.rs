//! Tables and plots of a reconstruction (Table 2).

use super::plot::audit::Audit;
use super::plot::files;
use super::plot::map_sheet::MapSheet;
use super::plot::sparsification::SparsificationCurves;
use super::reconstruction_input::ReconstructionInput;
use super::{Artefact, ReportError, latex, markdown, reconstruction_table};
use crate::config::published::PublishedTable;

/// All tables and plots. The same input gives the same bytes.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell, [`ReportError::Value`]
/// for data that cannot be drawn.
pub fn render(
    input: &ReconstructionInput,
    published: Option<&PublishedTable>,
) -> Result<Vec<Artefact>, ReportError> {
    let document = reconstruction_table::document(input, published)?;
    let mut out = vec![
        Artefact { name: "table.md".to_owned(), bytes: markdown::write(&document).into_bytes() },
        Artefact { name: "table.tex".to_owned(), bytes: latex::write(&document).into_bytes() },
    ];
    if let Some(figure) = SparsificationCurves::new(&input.curves)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = MapSheet::new(&input.panels)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = Audit::new(&input.rows, published)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}
