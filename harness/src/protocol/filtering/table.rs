//! The page of a filter: measured, rank correlations, what has no column, published.

use std::collections::BTreeSet;

use super::{between, measured};
use crate::config::published::PublishedTable;
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::plot::correlation::Correlations;
use crate::report::{Head, Labels, ReportError, Setting, cells, label, metric, number, page};
use crate::store::records::MetricRow;

/// All tables of a result.
///
/// # Errors
/// [`ReportError::Empty`] without rows, [`ReportError::Duplicate`] for two rows of one cell.
pub(super) fn document(
    head: Head<'_>,
    rows: &[MetricRow],
    remarks: &[String],
    published: Option<&PublishedTable>,
) -> Result<Document, ReportError> {
    let labels = Labels::of(rows);
    // Pools of one sampler are told apart by their arms.
    let several = rows.iter().any(|row| row.arm != rows[0].arm);
    let of = if several { Setting::of_arm } else { Setting::of };
    let settings = Setting::all(rows, of);
    let measured = settings
        .iter()
        .filter_map(|setting| measured::section(setting, (rows, &labels), published));
    let between = settings.iter().filter_map(|setting| between::section(setting, (rows, &labels)));
    let mut sections: Vec<Section> = measured.chain(between).collect();
    sections.extend(correlations(rows).map(|found| correlation_section(&found, rows)));
    sections.extend(rest(rows, &labels));
    page::document(head, rows, (sections, remarks), published)
}

/// The symmetric table of the rank correlations; `None` where there are none.
pub(super) fn correlations(rows: &[MetricRow]) -> Option<Correlations> {
    let pairs: Vec<(&str, &str, Option<f64>)> = rows
        .iter()
        .filter(|row| row.metric == metric::SPEARMAN)
        .filter_map(|row| Some((row.method.as_str(), row.argument.as_deref()?, row.value)))
        .map(|(one, other, value)| (one, other, value.filter(|value| value.is_finite())))
        .collect();
    let named = |name: &str| pairs.iter().any(|(one, other, _)| *one == name || *other == name);
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().map(|row| row.method.as_str()).chain(pairs.iter().map(|pair| pair.1)) {
        if named(name) && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return None;
    }
    let at = |one: &str, other: &str| {
        pairs.iter().find(|pair| (pair.0, pair.1) == (one, other)).and_then(|pair| pair.2)
    };
    let value = |one: &str, other: &str| {
        if one == other { Some(1.0) } else { at(one, other).or_else(|| at(other, one)) }
    };
    let row = |one: &&str| names.iter().map(|other| value(one, other)).collect();
    let labels = Labels::of(rows);
    Some(Correlations {
        methods: names.iter().map(|name| labels.method(name)).collect(),
        value: names.iter().map(row).collect(),
    })
}

/// The interval of a pair, by the labels of its methods.
fn interval_of(rows: &[MetricRow], labels: &Labels, pair: [&str; 2]) -> Option<String> {
    let of_pair = |row: &&MetricRow| {
        let own = [labels.method(&row.method), labels.method(row.argument.as_deref()?)];
        let same = own == pair || own == [pair[1], pair[0]];
        (row.metric == metric::SPEARMAN && same).then_some(())
    };
    let row = rows.iter().find(|row| of_pair(row).is_some())?;
    let end = |end: Option<f64>| end.and_then(|end| number::fixed(end, 2));
    Some(format!(" ({} to {})", end(row.ci_low)?, end(row.ci_high)?))
}

/// The lower triangle carries the intervals.
fn correlation_section(correlations: &Correlations, rows: &[MetricRow]) -> Section {
    let labels = Labels::of(rows);
    let names = &correlations.methods;
    let mut columns = vec![("", Align::Left)];
    columns.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    let mut grid = Grid::with_columns(&columns);
    for (i, name) in names.iter().enumerate() {
        let mut cells = vec![Cell::new(name)];
        for (j, value) in correlations.value[i].iter().enumerate() {
            let cell = match value.and_then(|rho| number::fixed(rho, 2)) {
                Some(_) if i == j => Cell::new("1"),
                Some(text) if j < i => {
                    let interval = interval_of(rows, &labels, [name, &names[j]]);
                    Cell::new(text + &interval.unwrap_or_default())
                }
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
            "In brackets the 95 % interval over new pools, by Fisher's z with the variance of Bonett and Wright (2000)."
                .to_owned(),
        ],
    }
}

/// Rows whose metric no other table shows: nothing that was measured is left out.
fn rest(rows: &[MetricRow], labels: &Labels) -> Option<Section> {
    let left: Vec<&MetricRow> = rows
        .iter()
        .filter(|row| !measured::tells(&row.metric) && row.metric != metric::SPEARMAN)
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
        ("Of", Align::Left),
        ("Value ± SE", Align::Right),
        ("95 % interval", Align::Right),
        ("n", Align::Right),
        ("Verdict", Align::Left),
        ("Paper", Align::Right),
    ]);
    let several = left.iter().map(|row| Setting::of(row)).collect::<BTreeSet<_>>().len() > 1;
    for row in left {
        let setting = if several {
            [&row.model, &row.sampler].map(Cell::new)
        } else {
            [Cell::default(), Cell::default()]
        };
        let measured = measurement(row, labels, &mut grid);
        grid.push(setting.into_iter().chain(measured).collect(), false);
    }
    Some(Section {
        heading: "Other measurements".to_owned(),
        grid: grid.without_empty_columns(),
        remarks: Vec::new(),
    })
}

/// Everything that a row says, but for its model and sampler.
fn measurement(row: &MetricRow, labels: &Labels, grid: &mut Grid) -> [Cell; 9] {
    [
        Cell::new(labels.method(&row.method)),
        Cell::new(label::kept(row.side.as_deref())),
        Cell::new(format!("`{}`", row.metric)),
        Cell::new(row.argument.as_deref().unwrap_or("")),
        cells::estimate(Some(row), grid),
        Cell::new(interval(row).unwrap_or_default()),
        cells::count(Some(row)),
        Cell::new(row.verdict.as_deref().unwrap_or("")),
        cells::paper(Some(row)),
    ]
}

fn interval(row: &MetricRow) -> Option<String> {
    let (low, high) = (row.ci_low?, row.ci_high?);
    Some(format!("{} to {}", number::significant(low, 4)?, number::significant(high, 4)?))
}
