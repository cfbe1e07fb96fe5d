//! Numbers of many results in one table: `dubench collect`.
//!
//! Each `metrics.parquet` is a lazy scan: a file is opened, its hash and version checked, when the query runs, and rows
//! that a condition excludes are dropped file by file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{
    AnonymousScan, AnonymousScanArgs, AnyValue, Column as Values, DataFrame, DataType, Field,
    IntoLazy, LazyFrame, NamedFrom, PolarsError, PolarsResult, ScanArgsAnonymous, SchemaRef,
    Series, SortMultipleOptions, UnionArgs, col, concat, lit,
};

use super::document::{Align, Cell, Document, Grid, Section};
use super::{ReportError, number};
use crate::store::records::MetricRow;
use crate::store::{StoreError, metrics};

/// Columns of words, the folder of the result first: what rows are chosen and sorted by.
pub const WORDS: [&str; 14] = [
    "result",
    "experiment",
    "artefact",
    "scale",
    "model",
    "dataset",
    "arm",
    "sampler",
    "method",
    "kind",
    "metric",
    "argument",
    "side",
    "verdict",
];
/// Columns of numbers.
const NUMBERS: [&str; 5] = ["value", "se", "ci_low", "ci_high", "paper_value"];
/// Columns by which equal questions of different results come to stand below each other.
const ORDER: [&str; 6] = ["metric", "argument", "side", "kind", "method", "result"];

/// Which rows are wanted: each column must hold its text; the empty text stands for none.
pub type Condition = (String, String);

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
    match (query(files, conditions, &refused), refused.take()) {
        (_, Some(error)) => Err(ReportError::Store(error)),
        (Ok(frame), None) => Ok(Collection { frame, n_results: files.len() }),
        (Err(error), None) => Err(ReportError::Query { cause: error.to_string() }),
    }
}

/// The first file that could not be read: polars would keep its words alone.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Option<StoreError>>>);

impl Refused {
    fn take(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: StoreError) -> PolarsError {
        let words = PolarsError::ComputeError(error.to_string().into());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        words
    }
}

fn query(
    files: &[PathBuf],
    conditions: &[Condition],
    refused: &Refused,
) -> PolarsResult<DataFrame> {
    let scans = files.iter().map(|file| scan(file, refused)).collect::<PolarsResult<Vec<_>>>()?;
    let mut all = match scans.as_slice() {
        [] => DataFrame::empty_with_schema(&schema()).lazy(),
        scans => concat(scans, UnionArgs::default())?,
    };
    for (column, text) in conditions {
        let is = match text.as_str() {
            "" => col(column.as_str()).is_null(),
            text => col(column.as_str()).eq(lit(text)),
        };
        all = all.filter(is);
    }
    let order = SortMultipleOptions::default().with_maintain_order(true);
    all.sort(ORDER, order).collect()
}

fn scan(file: &Path, refused: &Refused) -> PolarsResult<LazyFrame> {
    let args = ScanArgsAnonymous { schema: Some(schema()), name: "metrics", ..Default::default() };
    LazyFrame::anonymous_scan(
        Arc::new(Metrics { file: file.to_owned(), refused: refused.clone() }),
        args,
    )
}

fn schema() -> SchemaRef {
    let words = WORDS.map(|name| Field::new(name.into(), DataType::String));
    let numbers = NUMBERS.map(|name| Field::new(name.into(), DataType::Float64));
    let n = Field::new("n".into(), DataType::UInt64);
    Arc::new(words.into_iter().chain(numbers).chain([n]).collect())
}

/// One `metrics.parquet`, read when the query runs.
struct Metrics {
    file: PathBuf,
    refused: Refused,
}

impl AnonymousScan for Metrics {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn scan(&self, _: AnonymousScanArgs) -> PolarsResult<DataFrame> {
        let rows = metrics::read(&self.file).map_err(|error| self.refused.keep(error))?;
        let result = self.file.parent().unwrap_or(&self.file).display().to_string();
        let words = WORDS.map(|name| {
            let of = |row: &MetricRow| word(row, name, &result).map(str::to_owned);
            Values::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()))
        });
        let numbers = NUMBERS.map(|name| {
            let of = |row: &MetricRow| value(row, name);
            Values::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()))
        });
        let n = Series::new("n".into(), rows.iter().map(|row| row.n).collect::<Vec<_>>());
        DataFrame::new(
            rows.len(),
            words.into_iter().chain(numbers).chain([Values::from(n)]).collect(),
        )
    }
}

fn word<'a>(row: &'a MetricRow, column: &str, result: &'a str) -> Option<&'a str> {
    match column {
        "result" => Some(result),
        "experiment" => Some(&row.experiment),
        "artefact" => Some(&row.artefact),
        "scale" => Some(&row.scale),
        "model" => Some(&row.model),
        "dataset" => Some(&row.dataset),
        "arm" => Some(&row.arm),
        "sampler" => Some(&row.sampler),
        "method" => Some(&row.method),
        "kind" => Some(&row.kind),
        "metric" => Some(&row.metric),
        "argument" => row.argument.as_deref(),
        "side" => row.side.as_deref(),
        _ => row.verdict.as_deref(),
    }
}

fn value(row: &MetricRow, column: &str) -> Option<f64> {
    match column {
        "value" => row.value,
        "se" => row.se,
        "ci_low" => row.ci_low,
        "ci_high" => row.ci_high,
        _ => row.paper_value,
    }
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
        match self.frame.column(column).ok()?.get(row).ok()? {
            AnyValue::String(text) => Some(text.to_owned()),
            AnyValue::StringOwned(text) => Some(text.to_string()),
            _ => None,
        }
    }

    fn number(&self, column: &str, row: usize) -> Option<f64> {
        self.frame.column(column).ok()?.get(row).ok()?.extract()
    }

    fn count(&self, row: usize) -> Option<u64> {
        self.frame.column("n").ok()?.get(row).ok()?.extract()
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
