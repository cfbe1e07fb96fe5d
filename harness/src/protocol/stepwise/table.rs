//! Where the spread of each estimator is largest.

use std::ops::RangeInclusive;

use crate::report::document::{Align, Cell, Grid, Section};
use crate::report::{Labels, cells, number};
use crate::store::records::MetricRow;

/// The table.
pub(super) fn section(
    rows: &[MetricRow],
    labels: &Labels,
    (part, n_bootstrap): (&RangeInclusive<u32>, u32),
) -> Section {
    let mut grid = Grid::with_columns(&[
        ("Estimator", Align::Left),
        ("Largest spread at step", Align::Right),
        ("Inside over outside ± SE", Align::Right),
        ("95 % interval", Align::Right),
        ("Resamples inside", Align::Right),
        ("Verdict", Align::Left),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Seconds", Align::Right),
    ]);
    for row in rows.iter().filter(|row| row.metric == "peak_ratio") {
        let found = |metric: &str| {
            rows.iter().find(|other| other.method == row.method && other.metric == metric)
        };
        let cells = line(row, (found("peak_step"), found("peak_inside")), labels, &mut grid);
        grid.push(cells, false);
    }
    let (first, last) = (part.start(), part.end());
    Section {
        heading: format!("Is the spread over images largest at steps {first} to {last}?"),
        grid: grid.without_empty_columns(),
        remarks: vec![format!(
            "Spread: the standard deviation over images of the sum of a step's map. Inside over outside: the largest of steps \
             {first} to {last} over the largest of all others. Intervals by {} resamples of the images, the same at all \
             steps. Holds: the interval of the ratio begins above 1; does not: it ends below; else within noise. Largest \
             at step: with the 95 % interval over resamples.",
            number::count(u64::from(n_bootstrap))
        )],
    }
}

/// The line of an estimator, by its `peak_ratio`, `peak_step` and `peak_inside`.
fn line(
    ratio: &MetricRow,
    (step, inside): (Option<&MetricRow>, Option<&MetricRow>),
    labels: &Labels,
    grid: &mut Grid,
) -> Vec<Cell> {
    let ends = |row: &MetricRow, decimals: usize| {
        let (low, high) = (row.ci_low?, row.ci_high?);
        Some((number::fixed(low, decimals)?, number::fixed(high, decimals)?))
    };
    let step = step.and_then(|step| {
        let (low, high) = ends(step, 0)?;
        Some(format!("{} ({low} to {high})", number::fixed(step.value?, 0)?))
    });
    let share = inside.and_then(|row| number::fixed(100.0 * row.value?, 1));
    let interval = ends(ratio, 3).map(|(low, high)| format!("{low} to {high}"));
    vec![
        Cell::new(labels.method(&ratio.method)),
        Cell::new(step.unwrap_or_default()),
        cells::estimate(Some(ratio), grid),
        Cell::new(interval.unwrap_or_default()),
        Cell::new(share.map_or(String::new(), |share| format!("{share} %"))),
        Cell::new(ratio.verdict.as_deref().unwrap_or_default()),
        cells::count(Some(ratio)),
        cells::nfe(Some(ratio)),
        cells::seconds(Some(ratio)),
    ]
}
