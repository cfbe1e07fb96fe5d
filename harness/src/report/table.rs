//! `table.md` and `table.tex` of one result.

use std::collections::BTreeSet;

use super::document::{Align, Cell, Document, Grid, Section};
use super::error::ReportError;
use super::filter_table::{self, Setting};
use super::frame::{self, Correlations};
use super::input::ReportInput;
use super::{label, metric, number, published};
use crate::config::published::PublishedTable;
use crate::store::records::MetricRow;

/// All tables of a result: measured, rank correlations, what has no column, published.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub fn document(
    input: &ReportInput,
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    if input.rows.is_empty() {
        return Err(ReportError::Empty {
            experiment: input.experiment.clone(),
            artefact: input.artefact.clone(),
        });
    }
    refuse_duplicates(&input.rows)?;
    let mut sections: Vec<Section> = Setting::all(&input.rows)
        .iter()
        .filter_map(|setting| filter_table::section(setting, &input.rows, published))
        .collect();
    if let Some(correlations) = frame::correlations(&input.rows)? {
        sections.push(correlation_section(&correlations));
    }
    sections.extend(rest(&input.rows));
    if let Some(first) = sections.first_mut() {
        first.remarks.extend(input.remarks.iter().cloned());
    }
    if let Some(table) = published {
        sections.push(published::section(table, &input.rows));
    }
    Ok(Document {
        title: format!("{}, scale {}", input.experiment, input.scale),
        lead: vec![input.question.clone()],
        sections,
    })
}

/// Refuses two rows with the same key: one of them would be shown and the other lost.
///
/// # Errors
/// [`ReportError::Duplicate`].
pub fn refuse_duplicates(rows: &[MetricRow]) -> Result<(), ReportError> {
    let mut seen: Vec<(&MetricRow, [&str; 8])> =
        rows.iter().map(|row| (row, frame::key(row))).collect();
    seen.sort_by_key(|(_, key)| *key);
    for pair in seen.windows(2) {
        if pair[0].1 == pair[1].1 {
            let shown = |row: &MetricRow| row.value.map_or("none".to_owned(), |v| v.to_string());
            return Err(ReportError::Duplicate {
                key: pair[0].1.join(" / "),
                first: shown(pair[0].0),
                second: shown(pair[1].0),
            });
        }
    }
    Ok(())
}

fn correlation_section(correlations: &Correlations) -> Section {
    let names: Vec<&str> = correlations.methods.iter().map(|name| label::method(name)).collect();
    let mut columns = vec![("", Align::Left)];
    columns.extend(names.iter().map(|name| (*name, Align::Right)));
    let mut grid = Grid::with_columns(&columns);
    for (i, name) in names.iter().enumerate() {
        let mut cells = vec![Cell::new(*name)];
        for (j, value) in correlations.value[i].iter().enumerate() {
            let cell = match value.and_then(|rho| number::fixed(rho, 2)) {
                Some(_) if i == j => Cell::new("1"),
                Some(text) => Cell::new(text),
                None => grid.missing("not measured for this pair"),
            };
            cells.push(cell);
        }
        grid.push(cells, false);
    }
    Section {
        heading: "Rank correlations of the scores (Spearman's ρ over the pool)".to_owned(),
        grid,
        remarks: vec![
            "An estimator that ranks images as a control does (ρ near 1 or −1) adds nothing to that control."
                .to_owned(),
        ],
    }
}

/// Rows whose metric no other table shows: nothing that was measured is left out.
fn rest(rows: &[MetricRow]) -> Option<Section> {
    let left: Vec<&MetricRow> = rows
        .iter()
        .filter(|row| {
            !filter_table::tells(&row.metric) && metric::spearman_partner(&row.metric).is_none()
        })
        .collect();
    if left.is_empty() {
        return None;
    }
    let mut grid = Grid::with_columns(&[
        ("Model", Align::Left),
        ("Sampler", Align::Left),
        ("Method", Align::Left),
        ("Kept", Align::Left),
        ("Metric", Align::Left),
        ("Value ± SE", Align::Right),
        ("95 % interval", Align::Right),
        ("n", Align::Right),
        ("Verdict", Align::Left),
        ("Paper", Align::Right),
    ]);
    let several = left.iter().map(|row| Setting::of(row)).collect::<BTreeSet<_>>().len() > 1;
    for row in left {
        let setting = |text: &String| if several { Cell::new(text) } else { Cell::default() };
        let cells = vec![
            setting(&row.model),
            setting(&row.sampler),
            Cell::new(label::method(&row.method)),
            Cell::new(label::kept(row.direction.as_deref())),
            Cell::new(format!("`{}`", row.metric)),
            filter_table::estimate(Some(row), &mut grid),
            Cell::new(interval(row).unwrap_or_default()),
            Cell::new(row.n.map(number::count).unwrap_or_default()),
            Cell::new(row.verdict.as_deref().unwrap_or("")),
            Cell::new(row.paper_value.and_then(number::exact).unwrap_or_default()),
        ];
        grid.push(cells, false);
    }
    Some(Section {
        heading: "Other measurements".to_owned(),
        grid: grid.without_empty_columns(),
        remarks: Vec::new(),
    })
}

fn interval(row: &MetricRow) -> Option<String> {
    let (low, high) = (row.ci_low?, row.ci_high?);
    Some(format!("{} to {}", number::significant(low, 4)?, number::significant(high, 4)?))
}
