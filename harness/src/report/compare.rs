//! Two results side by side: `dubench compare A B`.
//!
//! Rows are joined on [`key::KEY`]. A difference counts only when it exceeds its error bars and the numbers
//! may be compared at all: same definition of the metric, same numbers of images.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::document::{Align, Cell, Document, Grid, Section};
use super::error::ReportError;
use super::{cells, key, label, metric, number};
use crate::store::records::MetricRow;

/// Chance that a comparison of two equal results calls any row moved.
pub const FAMILY_ERROR: f64 = 0.05;

/// What a pair of rows says.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The same number to the last bit.
    Identical,
    /// A difference inside its error bars.
    NoChange {
        /// Difference in units of its standard error.
        z: f64,
    },
    /// A difference outside its error bars.
    Moved {
        /// Difference in units of its standard error.
        z: f64,
    },
    /// A difference without an error bar.
    NoErrorBar,
    /// The two numbers do not measure the same thing.
    NotComparable {
        /// What differs.
        why: String,
    },
}

/// One joined row.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Row of the first result.
    pub a: MetricRow,
    /// Row of the second result.
    pub b: MetricRow,
    /// `b - a`, where both have a finite value.
    pub difference: Option<f64>,
    /// What it says.
    pub outcome: Outcome,
}

/// Two results, joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Rows of both, in the order of the first.
    pub pairs: Vec<Pair>,
    /// Rows of the first alone.
    pub only_a: Vec<MetricRow>,
    /// Rows of the second alone.
    pub only_b: Vec<MetricRow>,
}

/// Joins two results and judges every row.
///
/// With m rows that have error bars, a row has moved when its two-sided normal p-value is below
/// [`FAMILY_ERROR`] / m (Bonferroni). The standard errors are taken as independent, `z = (b - a) / sqrt(se_a^2 + se_b^2)`:
/// for results that share images this is cautious, never generous.
///
/// # Errors
/// [`ReportError::Duplicate`] where one result has two rows for a cell.
pub fn compare(a: &[MetricRow], b: &[MetricRow]) -> Result<Comparison, ReportError> {
    key::refuse_duplicates(a)?;
    key::refuse_duplicates(b)?;
    let (of_a, of_b) = (by_key(a), by_key(b));
    let mut pairs: Vec<Pair> =
        a.iter().filter_map(|row| Some(judge(row, of_b.get(&key::key(row)).copied()?))).collect();
    bonferroni(&mut pairs);
    Ok(Comparison { pairs, only_a: without(a, &of_b), only_b: without(b, &of_a) })
}

type ByKey<'a> = BTreeMap<[&'a str; 10], &'a MetricRow>;

fn by_key(rows: &[MetricRow]) -> ByKey<'_> {
    rows.iter().map(|row| (key::key(row), row)).collect()
}

/// Rows that `others` lacks.
fn without(rows: &[MetricRow], others: &ByKey<'_>) -> Vec<MetricRow> {
    rows.iter().filter(|row| !others.contains_key(&key::key(row))).cloned().collect()
}

fn judge(a: &MetricRow, b: &MetricRow) -> Pair {
    let finite = |row: &MetricRow| row.value.filter(|value| value.is_finite());
    let difference = finite(a).zip(finite(b)).map(|(x, y)| y - x);
    let outcome = match (why_not_comparable(a, b), difference) {
        (Some(why), _) => Outcome::NotComparable { why },
        (None, None) if finite(a).is_none() && finite(b).is_none() => Outcome::Identical,
        (None, None) => Outcome::NotComparable { why: missing(a, b) },
        (None, Some(0.0)) => Outcome::Identical,
        (None, Some(delta)) => match standard_error(a, b) {
            Some(se) => Outcome::NoChange { z: delta / se },
            None => Outcome::NoErrorBar,
        },
    };
    Pair { a: a.clone(), b: b.clone(), difference, outcome }
}

fn missing(a: &MetricRow, b: &MetricRow) -> String {
    let (side, row) = if a.value.is_none_or(|v| !v.is_finite()) { ("A", a) } else { ("B", b) };
    let reason = row.reason.as_deref().unwrap_or("the result gives no reason");
    format!("no number in {side}: {reason}")
}

/// The bias of a Fréchet distance depends on n, so numbers over different n are not compared silently.
fn why_not_comparable(a: &MetricRow, b: &MetricRow) -> Option<String> {
    if a.metric_version != b.metric_version {
        let (x, y) = (a.metric_version, b.metric_version);
        return Some(format!("metric version {x} against {y}"));
    }
    let differ = |x: Option<u64>, y: Option<u64>| x.zip(y).filter(|(x, y)| x != y);
    if a.metric != metric::FID_INF
        && let Some((x, y)) = differ(a.n, b.n)
    {
        return Some(format!("n {} against {}", number::count(x), number::count(y)));
    }
    differ(a.n_reference, b.n_reference).map(|(x, y)| {
        format!("reference of {} against {} images", number::count(x), number::count(y))
    })
}

fn standard_error(a: &MetricRow, b: &MetricRow) -> Option<f64> {
    let se = a.se?.hypot(b.se?);
    (se.is_finite() && se > 0.0).then_some(se)
}

fn bonferroni(pairs: &mut [Pair]) {
    let n_tests = pairs.iter().filter(|p| matches!(p.outcome, Outcome::NoChange { .. })).count();
    for pair in pairs {
        if let Outcome::NoChange { z } = pair.outcome
            && two_sided_p(z) < FAMILY_ERROR / n_tests as f64
        {
            pair.outcome = Outcome::Moved { z };
        }
    }
}

fn two_sided_p(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

impl Comparison {
    /// Rows whose difference exceeds its error bars.
    pub fn moved(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| matches!(pair.outcome, Outcome::Moved { .. }))
    }

    /// The comparison as a page; `a` and `b` name the two results.
    pub fn document(&self, a: &str, b: &str) -> Document {
        let count = |test: fn(&Outcome) -> bool| {
            self.pairs.iter().filter(|pair| test(&pair.outcome)).count()
        };
        let summary = format!(
            "{} rows in both: {} moved, {} no change, {} identical, {} without error bar, {} not comparable; {} only in A, {} \
             only in B.",
            self.pairs.len(),
            count(|o| matches!(o, Outcome::Moved { .. })),
            count(|o| matches!(o, Outcome::NoChange { .. })),
            count(|o| matches!(o, Outcome::Identical)),
            count(|o| matches!(o, Outcome::NoErrorBar)),
            count(|o| matches!(o, Outcome::NotComparable { .. })),
            self.only_a.len(),
            self.only_b.len(),
        );
        let mut sections = vec![self.section()];
        sections.extend(alone("Only in A", &self.only_a));
        sections.extend(alone("Only in B", &self.only_b));
        Document {
            title: "Comparison of two results".to_owned(),
            lead: vec![format!("A: `{a}`, B: `{b}`."), summary],
            sections,
        }
    }

    fn section(&self) -> Section {
        let mut grid = Grid::with_columns(&[
            ("Arm", Align::Left),
            ("Sampler", Align::Left),
            ("Method", Align::Left),
            ("Side", Align::Left),
            ("Metric", Align::Left),
            ("Of", Align::Left),
            ("A", Align::Right),
            ("B", Align::Right),
            ("B − A", Align::Right),
            ("z", Align::Right),
            ("Outcome", Align::Left),
        ]);
        for pair in self.pairs.iter().filter(|pair| pair.outcome != Outcome::Identical) {
            let cells = pair.cells(&mut grid);
            grid.push(cells, false);
        }
        Section {
            heading: "Rows of both that are not identical".to_owned(),
            grid: grid.without_empty_columns(),
            remarks: vec![format!(
                "A row has moved when p < {FAMILY_ERROR} / (rows with error bars): two equal results show a moved row in \
                 {:.0} % of comparisons.",
                FAMILY_ERROR * 100.0
            )],
        }
    }
}

impl Pair {
    fn cells(&self, grid: &mut Grid) -> Vec<Cell> {
        let value = |row: &MetricRow| row.value.and_then(|value| number::with_error(value, row.se));
        let mut side = |row: &MetricRow| match value(row) {
            Some(text) => Cell::new(text),
            None => grid.missing(cells::why(row)),
        };
        let (a, b) = (side(&self.a), side(&self.b));
        let (z, words) = match &self.outcome {
            Outcome::Identical => (None, String::from("identical")),
            Outcome::NoChange { z } => (Some(*z), "no change".to_owned()),
            Outcome::Moved { z } => {
                (Some(*z), if *z > 0.0 { "moved up" } else { "moved down" }.to_owned())
            }
            Outcome::NoErrorBar => (None, "differs, without error bar".to_owned()),
            Outcome::NotComparable { why } => (None, format!("not comparable: {why}")),
        };
        let difference = self
            .difference
            .filter(|_| !matches!(self.outcome, Outcome::NotComparable { .. }))
            .and_then(|delta| number::signed_with_error(delta, standard_error(&self.a, &self.b)));
        vec![
            Cell::new(format!("`{}`", self.a.arm)),
            Cell::new(format!("`{}`", self.a.sampler)),
            Cell::new(label::named(&self.a.kind, &self.a.method)),
            Cell::new(label::kept(self.a.side.as_deref())),
            Cell::new(format!("`{}`", self.a.metric)),
            Cell::new(self.a.argument.as_ref().map_or(String::new(), |of| format!("`{of}`"))),
            a,
            b,
            Cell::new(difference.unwrap_or_default()),
            Cell::new(z.and_then(|z| number::fixed(z, 1)).unwrap_or_default()),
            Cell::new(words),
        ]
    }
}

fn alone(heading: &str, rows: &[MetricRow]) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut grid = Grid::with_columns(&[("Row", Align::Left), ("Value ± SE", Align::Right)]);
    for row in rows {
        let value = cells::estimate(Some(row), &mut grid);
        grid.push(vec![Cell::new(format!("`{}`", key::shown(row))), value], false);
    }
    Some(Section { heading: heading.to_owned(), grid, remarks: Vec::new() })
}
