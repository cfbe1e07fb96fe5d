//! One page of tables, and its files.

use super::document::{Document, Section};
use super::{Artefact, ReportError, key, latex, markdown, published};
use crate::config::published::PublishedTable;
use crate::store::records::MetricRow;

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Experiment name, `table1-cifar10`.
    pub experiment: &'a str,
    /// Published artefact, `table1`.
    pub artefact: &'a str,
    /// Scale, `mini`.
    pub scale: &'a str,
    /// The question of the experiment file.
    pub question: &'a str,
}

/// The page of a result: `sections` of its rows, and the published table beside what is measured of it. The first section
/// carries the `remarks`.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub fn document(
    head: Head<'_>,
    rows: &[MetricRow],
    (mut sections, remarks): (Vec<Section>, &[String]),
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    check(head, rows)?;
    if let Some(first) = sections.first_mut() {
        first.remarks.extend(remarks.iter().cloned());
    }
    if let Some(table) = published {
        sections.push(published::section(table, rows));
    }
    Ok(Document {
        title: format!("{}, scale {}", head.experiment, head.scale),
        lead: vec![head.question.to_owned()],
        sections,
    })
}

/// Refuses rows that make no table.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub fn check(head: Head<'_>, rows: &[MetricRow]) -> Result<(), ReportError> {
    if rows.is_empty() {
        return Err(ReportError::Empty {
            experiment: head.experiment.to_owned(),
            artefact: head.artefact.to_owned(),
        });
    }
    key::refuse_duplicates(rows)
}

/// The files of a page.
pub fn files(document: &Document) -> Vec<Artefact> {
    vec![
        Artefact { name: "table.md".to_owned(), bytes: markdown::write(document).into_bytes() },
        Artefact { name: "table.tex".to_owned(), bytes: latex::write(document).into_bytes() },
    ]
}
