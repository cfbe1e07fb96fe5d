//! What names a cell of a result.

use super::ReportError;
use crate::store::records::MetricRow;

/// The columns that name a cell. Two rows of one result never share all of them.
pub const KEY: [&str; 10] = [
    "artefact", "scale", "model", "dataset", "arm", "sampler", "method", "metric", "argument",
    "side",
];

/// Key of a row in the order of [`KEY`]; what is missing is the empty text.
pub fn key(row: &MetricRow) -> [&str; 10] {
    [
        &row.artefact,
        &row.scale,
        &row.model,
        &row.dataset,
        &row.arm,
        &row.sampler,
        &row.method,
        &row.metric,
        row.argument.as_deref().unwrap_or(""),
        row.side.as_deref().unwrap_or(""),
    ]
}

/// A key as text, without its empty parts.
pub fn shown(row: &MetricRow) -> String {
    let parts: Vec<&str> = key(row).into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" / ")
}

/// Refuses two rows with the same key: one of them would be shown and the other lost.
///
/// # Errors
/// [`ReportError::Duplicate`].
pub fn refuse_duplicates(rows: &[MetricRow]) -> Result<(), ReportError> {
    let mut seen: Vec<(&MetricRow, [&str; 10])> = rows.iter().map(|row| (row, key(row))).collect();
    seen.sort_by_key(|(_, key)| *key);
    for pair in seen.windows(2) {
        if pair[0].1 == pair[1].1 {
            let value = |row: &MetricRow| row.value.map_or("none".to_owned(), |v| v.to_string());
            return Err(ReportError::Duplicate {
                key: shown(pair[0].0),
                first: value(pair[0].0),
                second: value(pair[1].0),
            });
        }
    }
    Ok(())
}
