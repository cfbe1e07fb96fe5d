//! The page of Table 4: a table each of precision, recall, density and coverage, then what scores have in common with realism.

use super::rows::METRICS;
use crate::config::published::PublishedTable;
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::{Head, Labels, ReportError, Setting, cells, label, metric, number, page};
use crate::store::records::MetricRow;

const NOTES: [&str; 4] = [
    "Precision: share of kept images inside a ball of a real image. Recall: share of real images inside a ball of a kept image. \
     Density: mean number of real balls around a kept image, over k. Coverage: share of real images whose ball holds a kept \
     image. A ball reaches to the k-th nearest other image of its own set. All four depend on the number of images of both \
     sides: compare at equal n and equal number of real images only. ± is over the images that are asked, the balls held fixed.",
    "Δ is the number minus its mean over random subsets of the same size and pool, ± the standard deviation of the subsets. p: how \
     often a random subset lies as far from that mean, to either side, within this pool; ≤ marks its floor. p (Holm) is adjusted \
     over the rows of one table; verdicts and stars go by it, higher is better. * p < 0.05, ** p < 0.01, *** p < 0.001.",
    "Realism (max over real images of reach over distance, balls above the median reach left out) and Rarity (least reach of a \
     real ball that holds the image; outside of all counts as rarest) have seen the real images, so they say how far a ranking \
     can get: \"most certain\" are the most realistic and the least rare. Precision by realism is high by its making.",
    "Not a number: the ranking of the released code, whose scores are roots of negative numbers; sorting leaves the first images. \
     It is a random subset by another name.",
];
const NOTE_REALISM: &str = "Spearman's ρ over the pool, 95 % interval over new pools by Fisher's z with the variance of Bonett and Wright \
     (2000). Below zero: uncertain images are the less realistic ones.";

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
    let mut sections: Vec<Section> = Vec::new();
    for setting in Setting::all(rows, Setting::of) {
        let here: Vec<&MetricRow> = rows.iter().filter(|row| setting.holds(row)).collect();
        sections.extend(METRICS.iter().map(|name| section((&setting, *name), &here, &labels)));
        sections.extend(realism(&here, &labels));
    }
    if let Some(first) = sections.first_mut() {
        first.remarks.extend(NOTES.map(str::to_owned));
    }
    page::document(head, rows, (sections, remarks), published)
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The table of one number.
fn section((setting, name): (&Setting, &str), rows: &[&MetricRow], labels: &Labels) -> Section {
    let value = format!("{} ± SE", title(name));
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("Kept", Align::Left),
        (&value, Align::Right),
        ("Δ random ± sd", Align::Right),
        ("p", Align::Right),
        ("p (Holm)", Align::Right),
        ("Verdict", Align::Left),
        ("n", Align::Right),
        ("NFE", Align::Right),
        ("Paper", Align::Right),
    ]);
    let mut own: Vec<&MetricRow> = rows.iter().copied().filter(|row| row.metric == name).collect();
    // The sort is stable: within a group the methods keep the order of the plan.
    own.sort_by_key(|row| labels.group(&row.method));
    let mut group = label::Group::Baseline;
    for row in own {
        let next = labels.group(&row.method);
        let cells = line(row, (name, rows), labels, &mut grid);
        grid.push(cells, next != group);
        group = next;
    }
    Section {
        heading: format!(
            "{}: `{}` on {}, sampler `{}`",
            title(name),
            setting.model,
            setting.dataset,
            setting.sampler
        ),
        grid: grid.without_empty_columns(),
        remarks: Vec::new(),
    }
}

fn line(
    row: &MetricRow,
    (name, rows): (&str, &[&MetricRow]),
    labels: &Labels,
    grid: &mut Grid,
) -> Vec<Cell> {
    let find = |metric: String| {
        let same = |other: &&MetricRow| {
            other.metric == metric && other.method == row.method && other.side == row.side
        };
        rows.iter().copied().find(same)
    };
    let delta = find(format!("delta_{name}"));
    let adjusted = find(format!("p_{name}_holm"));
    let word = delta.and_then(|row| row.verdict.as_deref());
    vec![
        Cell::new(labels.method(&row.method)),
        Cell::new(label::kept(row.side.as_deref())),
        cells::estimate(Some(row), grid),
        cells::difference(delta, grid),
        cells::p_value(find(format!("p_{name}")), grid),
        cells::p_value(adjusted, grid),
        cells::verdict(word, adjusted.and_then(|row| row.value)),
        cells::count(Some(row)),
        cells::nfe(Some(row)),
        cells::paper(Some(row)),
    ]
}

/// What scores have in common with realism; `None` where there are no scores.
fn realism(rows: &[&MetricRow], labels: &Labels) -> Option<Section> {
    let mut grid = Grid::with_columns(&[
        ("Method", Align::Left),
        ("ρ with realism", Align::Right),
        ("95 % interval", Align::Right),
        ("n", Align::Right),
    ]);
    for row in rows.iter().copied().filter(|row| row.metric == metric::SPEARMAN) {
        let end = |end: Option<f64>| end.and_then(|end| number::fixed(end, 2));
        let interval = end(row.ci_low).zip(end(row.ci_high));
        let rho = match end(row.value) {
            Some(text) => Cell::new(text),
            None => grid.missing(cells::why(row)),
        };
        let interval = interval.map(|(low, high)| format!("{low} to {high}"));
        let cells = vec![
            Cell::new(labels.method(&row.method)),
            rho,
            Cell::new(interval.unwrap_or_default()),
            cells::count(Some(row)),
        ];
        grid.push(cells, false);
    }
    (!grid.rows.is_empty()).then(|| Section {
        heading: "Rank correlation of the scores with realism".to_owned(),
        grid: grid.without_empty_columns(),
        remarks: vec![NOTE_REALISM.to_owned()],
    })
}
