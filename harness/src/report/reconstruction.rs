//! Tables and plots of a reconstruction (Table 2).

use ndarray::{Array2, Array3};

use super::plot::audit::Audit;
use super::plot::files;
use super::plot::map_sheet::MapSheet;
use super::plot::sparsification::SparsificationCurves;
use super::{Artefact, ReportError, latex, markdown, reconstruction_table};
use crate::config::published::PublishedTable;
use crate::store::records::MetricRow;
use crate::store::sparsification::SparsificationRow;
use crate::units::SampleId;

/// Everything that tables and plots of a reconstruction need.
#[derive(Clone, Debug)]
pub struct ReconstructionInput {
    /// Experiment name.
    pub experiment: String,
    /// The question of the experiment file.
    pub question: String,
    /// Published artefact, `table2`.
    pub artefact: String,
    /// Scale.
    pub scale: String,
    /// All numbers, long form.
    pub rows: Vec<MetricRow>,
    /// Curves of the first arm.
    pub curves: Vec<SparsificationRow>,
    /// Images of the first arm with their maps.
    pub panels: Vec<MapPanel>,
    /// Sentences that must stand under the table.
    pub remarks: Vec<String>,
}

/// One image: what it was, what became of it, where it is wrong, and where the methods expect it to be.
#[derive(Clone, Debug)]
pub struct MapPanel {
    /// Place in the data set.
    pub sample: SampleId,
    /// `[3, H, W]` u8.
    pub truth: Array3<u8>,
    /// `[3, H, W]` u8.
    pub reconstruction: Array3<u8>,
    /// Sum over channels of absolute differences, `[H, W]`.
    pub error: Array2<f32>,
    /// Method and map `[H, W]`.
    pub maps: Vec<(String, Array2<f32>)>,
}

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
