//! Numbers of many results in one table: `dubench collect`.
//!
//! Each `metrics.parquet` is a lazy scan: a file is opened, its hash and version checked, when the query runs, and rows
//! that a condition excludes are dropped file by file.

use std::path::PathBuf;

use polars::prelude::{DataFrame, PolarsResult, SortMultipleOptions};

use super::document::{Align, Cell, Document, Grid, Section};
use super::scan::{self, NUMBERS, Refused};
pub use super::scan::{Condition, WORDS};
use super::{ReportError, number};

/// Columns by which equal questions of different results come to stand below each other.
const ORDER: [&str; 6] = ["metric", "argument", "side", "kind", "method", "result"];

/// The chosen rows of all files, in one table.
#[derive(Clone, Debug)]
pub struct Collection {
    frame: DataFrame,
    n_results: usize,
}

/// Reads the rows of `files` that meet every condition. Sorted by metric, argument, side, kind, method, result.
///
/// # Errors
/// [`ReportError::Column`] for a column that is not one of [`WORDS`]; [`ReportError::Store`] for a file of another version,
/// with a wrong hash or without metrics; [`ReportError::Query`] when polars fails.
pub fn collect(files: &[PathBuf], conditions: &[Condition]) -> Result<Collection, ReportError> {
    if let Some((column, _)) = conditions.iter().find(|(name, _)| !WORDS.contains(&name.as_str())) {
        return Err(ReportError::Column { column: column.clone(), known: WORDS.join(", ") });
    }
    let refused = Refused::default();
    let frame = refused.or(query(files, conditions, &refused))?;
    Ok(Collection { frame, n_results: files.len() })
}

fn query(
    files: &[PathBuf],
    conditions: &[Condition],
    refused: &Refused,
) -> PolarsResult<DataFrame> {
    let order = SortMultipleOptions::default().with_maintain_order(true);
    scan::filtered(scan::all(files, refused)?, conditions).sort(ORDER, order).collect()
}

impl Collection {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether no row meets the conditions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn text(&self, column: &str, row: usize) -> Option<String> {
        scan::text(&self.frame, column, row)
    }

    fn number(&self, column: &str, row: usize) -> Option<f64> {
        scan::number(&self.frame, column, row)
    }

    fn count(&self, row: usize) -> Option<u64> {
        scan::count(&self.frame, "n", row)
    }

    /// One JSON object a row, with every column.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let object = |row| {
            let words = WORDS.iter().map(|name| (*name, self.text(name, row).into()));
            let numbers = NUMBERS.iter().map(|name| (*name, self.number(name, row).into()));
            let all = words.chain(numbers).chain([("n", self.count(row).into())]);
            all.map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value)).collect()
        };
        (0..self.len()).map(|row| serde_json::Value::Object(object(row))).collect()
    }

    /// The table as a page. A column that is the same in all rows is said once.
    pub fn document(&self) -> Document {
        let (same, differ): (Vec<&str>, Vec<&str>) =
            WORDS.iter().partition(|name| self.is_constant(name));
        let said = same.iter().filter_map(|name| Some(format!("{name} `{}`", self.text(name, 0)?)));
        let said: Vec<String> = said.collect();
        let mut heads: Vec<(&str, Align)> =
            differ.iter().map(|name| (*name, Align::Left)).collect();
        heads.extend(["value", "published", "n"].map(|name| (name, Align::Right)));
        let mut grid = Grid::with_columns(&heads);
        for row in 0..self.len() {
            let mut cells: Vec<Cell> = differ
                .iter()
                .map(|name| Cell::new(self.text(name, row).unwrap_or_default()))
                .collect();
            cells.extend(self.numbers(row).map(Cell::new));
            grid.push(cells, false);
        }
        let mut lead = vec![format!("{} rows of {} results.", self.len(), self.n_results)];
        if !said.is_empty() {
            lead.push(format!("In all of them: {}.", said.join(", ")));
        }
        let heading = "Numbers".to_owned();
        let section = Section { heading, grid: grid.without_empty_columns(), remarks: Vec::new() };
        Document { title: "Numbers of many results".to_owned(), lead, sections: vec![section] }
    }

    /// Value with its error, published value, number of images.
    fn numbers(&self, row: usize) -> [String; 3] {
        let value =
            self.number("value", row).and_then(|v| number::with_error(v, self.number("se", row)));
        let published = self.number("paper_value", row).map(|value| value.to_string());
        let n = self.count(row).map(number::count);
        [value, published, n].map(Option::unwrap_or_default)
    }

    fn is_constant(&self, column: &str) -> bool {
        (1..self.len()).all(|row| self.text(column, row) == self.text(column, 0))
    }
}

#[cfg(test)]
mod tests;
