//! Cells that all tables share.

use super::document::{Cell, Grid};
use super::number;
use crate::store::records::MetricRow;

/// A value with its error, or a dash with its reason; empty where there is no row.
pub fn estimate(row: Option<&MetricRow>, grid: &mut Grid) -> Cell {
    let Some(row) = row else { return Cell::default() };
    match row.value.and_then(|value| number::with_error(value, row.se)) {
        Some(text) => with_reason(text, row, grid),
        None => grid.missing(why(row)),
    }
}

/// A difference with its sign and its error, or a dash with its reason; empty where there is no row.
pub fn difference(row: Option<&MetricRow>, grid: &mut Grid) -> Cell {
    let Some(row) = row else { return Cell::default() };
    match row.value.and_then(|value| number::signed_with_error(value, row.se)) {
        Some(text) => with_reason(text, row, grid),
        None => grid.missing(why(row)),
    }
}

/// The row in thousandths of its unit: KID is some thousandths, and a table of zeros is hard to read.
pub fn in_thousandths(row: Option<&MetricRow>) -> Option<MetricRow> {
    let times = |value: Option<f64>| value.map(|value| 1e3 * value);
    row.map(|row| MetricRow { value: times(row.value), se: times(row.se), ..row.clone() })
}

/// The text with the row's remark as its footnote.
pub fn with_reason(text: String, row: &MetricRow, grid: &mut Grid) -> Cell {
    let note = row.reason.as_deref().map(|reason| grid.note(reason));
    Cell { text, note }
}

/// Why a row has no number.
pub fn why(row: &MetricRow) -> &str {
    match (&row.reason, row.value) {
        (Some(reason), _) => reason,
        (None, Some(_)) => "the value is not a finite number",
        (None, None) => "not measured; the result gives no reason",
    }
}

/// A p-value, or a dash with its reason; empty where there is no row. At the floor of a test by random draws, where none
/// of them lies as far, it is an upper bound.
pub fn p_value(row: Option<&MetricRow>, grid: &mut Grid) -> Cell {
    let Some(row) = row else { return Cell::default() };
    let shown = if at_floor(row) { number::p_at_most } else { number::p_value };
    match row.value.and_then(shown) {
        // Its remark is the same in all rows and stands below the table.
        Some(text) => Cell::new(text),
        None => grid.missing(why(row)),
    }
}

/// Whether no random draw lay as far: the interval of the p-value begins at 0 then.
pub fn at_floor(row: &MetricRow) -> bool {
    row.ci_low == Some(0.0)
}

/// A verdict with the stars of its p-value.
pub fn verdict(word: Option<&str>, p: Option<f64>) -> Cell {
    let word = word.unwrap_or("");
    let stars = p.filter(|p| p.is_finite()).map_or("", number::stars);
    let starred = matches!(word, "better" | "worse") && !stars.is_empty();
    Cell::new(if starred { format!("{word} {stars}") } else { word.to_owned() })
}

/// Images behind a row.
pub fn count(row: Option<&MetricRow>) -> Cell {
    Cell::new(row.and_then(|row| row.n).map(number::count).unwrap_or_default())
}

/// Seconds of a row.
pub fn seconds(row: Option<&MetricRow>) -> Cell {
    let seconds = row.and_then(|row| row.seconds);
    Cell::new(seconds.and_then(|seconds| number::significant(seconds, 3)).unwrap_or_default())
}

/// Published number of a row.
pub fn paper(row: Option<&MetricRow>) -> Cell {
    Cell::new(row.and_then(|row| row.paper_value).and_then(number::exact).unwrap_or_default())
}

/// `50 + 20`, and `+ 8 reverse` where there are reverse passes.
pub fn nfe(row: Option<&MetricRow>) -> Cell {
    let Some(row) = row else { return Cell::default() };
    let Some(trajectory) = row.nfe_trajectory else { return Cell::default() };
    let mut text = number::count(trajectory);
    if let Some(estimator) = row.nfe_estimator.filter(|n| *n > 0) {
        text.push_str(" + ");
        text.push_str(&number::count(estimator));
    }
    if let Some(gradient) = row.nfe_gradient.filter(|n| *n > 0) {
        text.push_str(" + ");
        text.push_str(&number::count(gradient));
        text.push_str(" reverse");
    }
    Cell::new(text)
}
