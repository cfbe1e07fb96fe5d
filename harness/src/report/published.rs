//! The whole published table, beside what this result measures of it.

use super::document::{Align, Cell, Grid, Section};
use super::number;
use crate::config::published::{PublishedSetting, PublishedTable};
use crate::store::records::MetricRow;

/// Every row of the published table, with the reason why it is not measured here.
pub fn section(table: &PublishedTable, rows: &[MetricRow]) -> Section {
    let columns = columns(table);
    let mut headings =
        vec![("Network", Align::Left), ("Data set", Align::Left), ("Sampler", Align::Left)];
    headings.extend(columns.iter().map(|column| (column.heading.as_str(), Align::Right)));
    headings.push(("Measured here?", Align::Wrapped));
    let mut grid = Grid::with_columns(&headings);
    for setting in &table.settings {
        let mut cells = vec![
            Cell::new(&setting.network),
            Cell::new(&setting.dataset),
            Cell::new(setting.sampler.as_deref().unwrap_or("")),
        ];
        for column in &columns {
            cells.push(cell(setting, column, &mut grid));
        }
        cells.push(Cell::new(measured(table, setting, rows)));
        grid.push(cells, false);
    }
    Section {
        heading: format!("Published: {} ({})", table.title, table.source),
        grid: grid.without_empty_columns(),
        remarks: table.caveats.clone(),
    }
}

/// First row of a data set. Names are compared without case, spaces and punctuation: `cifar10` is `CIFAR-10`.
pub fn for_dataset<'a>(table: &'a PublishedTable, dataset: &str) -> Option<&'a PublishedSetting> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(dataset);
    table.settings.iter().find(|setting| plain(&setting.dataset) == wanted)
}

struct PaperColumn<'a> {
    metric: &'a str,
    method: &'a str,
    heading: String,
}

/// One column a metric and method; the metric is named where there is more than one.
fn columns(table: &PublishedTable) -> Vec<PaperColumn<'_>> {
    let several = table.better.len() > 1;
    let mut out = Vec::new();
    for (metric, better) in &table.better {
        for method in &table.methods {
            let heading = if several {
                format!("{}: {metric} ({better} is better)", method.label)
            } else {
                method.label.clone()
            };
            out.push(PaperColumn { metric, method: &method.name, heading });
        }
    }
    out
}

fn cell(setting: &PublishedSetting, column: &PaperColumn<'_>, grid: &mut Grid) -> Cell {
    let by_method = setting.values.get(column.metric);
    let shown = by_method.into_iter().flatten().filter_map(|(_, value)| number::exact((*value)?));
    // YAML drops the last zero of 8.50; its neighbours tell how many digits the paper prints.
    let decimals = shown.map(|text| text.split_once('.').map_or(0, |(_, part)| part.len())).max();
    let value = setting.value(column.metric, column.method);
    match value.and_then(|value| number::fixed(value, decimals.unwrap_or(0))) {
        Some(text) => Cell::new(text),
        None => grid.missing("a dash in the paper, without a reason"),
    }
}

/// `Yes, with our network` or the obstacle.
fn measured(table: &PublishedTable, setting: &PublishedSetting, rows: &[MetricRow]) -> String {
    let obstacle = setting.obstacle.as_deref().unwrap_or("is not set up here");
    let own = rows.iter().find(|row| {
        row.value.is_some()
            && setting.values.contains_key(&row.metric)
            && for_dataset(table, &row.dataset).is_some_and(|known| std::ptr::eq(known, setting))
    });
    match own {
        Some(row) if row.model == setting.network => "yes, with this network".to_owned(),
        Some(row) => format!(
            "above, with `{}` on another pool. Not with the published network: it {}",
            row.model, obstacle
        ),
        None => format!("no: it {obstacle}"),
    }
}
