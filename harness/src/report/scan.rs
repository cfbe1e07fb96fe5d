//! Every number of many results as one lazy table: what `collect` and `summary` ask.
//!
//! Each `metrics.parquet` is a scan of its own: a file is opened, its hash and version checked, when the query runs, and rows
//! that a condition excludes are dropped file by file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::{
    AnonymousScan, AnonymousScanArgs, AnyValue, Column as Values, DataFrame, DataType, Field,
    IntoLazy, LazyFrame, NamedFrom, PolarsError, PolarsResult, ScanArgsAnonymous, SchemaRef,
    Series, UnionArgs, col, concat, lit,
};

use super::ReportError;
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
pub(super) const NUMBERS: [&str; 5] = ["value", "se", "ci_low", "ci_high", "paper_value"];
/// Columns of counts.
pub(super) const COUNTS: [&str; 4] = ["n", "nfe_trajectory", "nfe_estimator", "nfe_gradient"];

/// Which rows are wanted: each column must hold its text; the empty text stands for none.
pub type Condition = (String, String);

/// The first file that could not be read: polars would keep its words alone.
#[derive(Clone, Default)]
pub(super) struct Refused(Arc<Mutex<Option<StoreError>>>);

impl Refused {
    /// What a query found, or why a file could not be read.
    pub(super) fn or<T>(&self, found: PolarsResult<T>) -> Result<T, ReportError> {
        match (found, self.take()) {
            (_, Some(error)) => Err(ReportError::Store(error)),
            (Ok(found), None) => Ok(found),
            (Err(error), None) => Err(ReportError::Query { cause: error.to_string() }),
        }
    }

    fn take(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: StoreError) -> PolarsError {
        let words = PolarsError::ComputeError(error.to_string().into());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        words
    }
}

/// All rows of all files.
pub(super) fn all(files: &[PathBuf], refused: &Refused) -> PolarsResult<LazyFrame> {
    let scans = files.iter().map(|file| scan(file, refused)).collect::<PolarsResult<Vec<_>>>()?;
    match scans.as_slice() {
        [] => Ok(DataFrame::empty_with_schema(&schema()).lazy()),
        scans => concat(scans, UnionArgs::default()),
    }
}

/// The rows that meet every condition.
pub(super) fn filtered(rows: LazyFrame, conditions: &[Condition]) -> LazyFrame {
    conditions.iter().fold(rows, |rows, (column, text)| {
        rows.filter(match text.as_str() {
            "" => col(column.as_str()).is_null(),
            text => col(column.as_str()).eq(lit(text)),
        })
    })
}

/// A word of a row.
pub(super) fn text(frame: &DataFrame, column: &str, row: usize) -> Option<String> {
    match frame.column(column).ok()?.get(row).ok()? {
        AnyValue::String(text) => Some(text.to_owned()),
        AnyValue::StringOwned(text) => Some(text.to_string()),
        _ => None,
    }
}

/// A number of a row.
pub(super) fn number(frame: &DataFrame, column: &str, row: usize) -> Option<f64> {
    frame.column(column).ok()?.get(row).ok()?.extract()
}

/// A count of a row.
pub(super) fn count(frame: &DataFrame, column: &str, row: usize) -> Option<u64> {
    frame.column(column).ok()?.get(row).ok()?.extract()
}

fn scan(file: &Path, refused: &Refused) -> PolarsResult<LazyFrame> {
    let args = ScanArgsAnonymous { schema: Some(schema()), name: "metrics", ..Default::default() };
    LazyFrame::anonymous_scan(
        Arc::new(Metrics { file: file.to_owned(), refused: refused.clone() }),
        args,
    )
}

fn schema() -> SchemaRef {
    let words = words().map(|name| Field::new(name.into(), DataType::String));
    let numbers = NUMBERS.map(|name| Field::new(name.into(), DataType::Float64));
    let counts = COUNTS.map(|name| Field::new(name.into(), DataType::UInt64));
    Arc::new(words.chain(numbers).chain(counts).collect())
}

/// Columns of words: those that rows are chosen by, and the remark.
fn words() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().chain(["reason"])
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
        let words = words().map(|name| {
            let of = |row: &MetricRow| word(row, name, &result).map(str::to_owned);
            Values::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()))
        });
        let numbers = NUMBERS.map(|name| {
            let of = |row: &MetricRow| value(row, name);
            Values::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()))
        });
        let counts = COUNTS.map(|name| {
            let of = |row: &MetricRow| count_of(row, name);
            Values::from(Series::new(name.into(), rows.iter().map(of).collect::<Vec<_>>()))
        });
        DataFrame::new(rows.len(), words.chain(numbers).chain(counts).collect())
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
        "verdict" => row.verdict.as_deref(),
        _ => row.reason.as_deref(),
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

fn count_of(row: &MetricRow, column: &str) -> Option<u64> {
    match column {
        "n" => row.n,
        "nfe_trajectory" => row.nfe_trajectory,
        "nfe_estimator" => row.nfe_estimator,
        _ => row.nfe_gradient,
    }
}
