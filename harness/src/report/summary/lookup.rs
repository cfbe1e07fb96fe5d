//! The row of the results that answers a claim.

use std::collections::BTreeMap;
use std::path::PathBuf;

use polars::prelude::{DataFrame, IntoLazy};

use super::judge::{Measured, P};
use crate::config::published::claims::{Answer, Column};
use crate::report::scan::{self, Condition, Refused, WORDS};
use crate::report::{ReportError, metric};

/// Rows of all results of a scale.
pub(super) struct Rows {
    frame: DataFrame,
}

/// What the results say of an answer.
pub(super) enum Found {
    /// The number.
    Number {
        /// The number.
        measured: Measured,
        /// The model that it was measured on.
        model: String,
        /// Remark of its row.
        reason: Option<String>,
    },
    /// The result has no such row, or a row without a number: why.
    Nothing(String),
    /// The experiment has no result.
    NotRun,
}

impl Rows {
    /// One lazy scan over all files.
    pub(super) fn read(files: &[PathBuf], scale: &str) -> Result<Self, ReportError> {
        let refused = Refused::default();
        let wanted = [("scale".to_owned(), scale.to_owned())];
        let found =
            scan::all(files, &refused).and_then(|rows| scan::filtered(rows, &wanted).collect());
        Ok(Self { frame: refused.or(found)? })
    }

    /// The number that answers the claim `id`.
    pub(super) fn find(&self, id: &str, answer: &Answer) -> Result<Found, ReportError> {
        if self.select(&[("experiment".to_owned(), answer.experiment.clone())])?.height() == 0 {
            return Ok(Found::NotRun);
        }
        match self.one(id, answer, &answer.row)? {
            Ok(row) => Ok(number(self.measured(answer, &row)?, &row)),
            Err(why) => Ok(Found::Nothing(why)),
        }
    }

    fn select(&self, conditions: &[Condition]) -> Result<DataFrame, ReportError> {
        let found = scan::filtered(self.frame.clone().lazy(), conditions).collect();
        Refused::default().or(found)
    }

    /// The one row of a result that has these words; why there is none.
    fn one(
        &self,
        id: &str,
        answer: &Answer,
        words: &BTreeMap<String, String>,
    ) -> Result<Result<DataFrame, String>, ReportError> {
        if let Some(column) = words.keys().find(|name| !WORDS.contains(&name.as_str())) {
            let known = WORDS.join(", ");
            return Err(ReportError::Column { column: column.clone(), known });
        }
        let mut conditions: Vec<Condition> =
            words.iter().map(|(column, text)| (column.clone(), text.clone())).collect();
        conditions.push(("experiment".to_owned(), answer.experiment.clone()));
        let found = self.select(&conditions)?;
        match found.height() {
            1 => Ok(Ok(found)),
            0 => Ok(Err(format!("`{}` has no row of {}", answer.experiment, shown(words)))),
            n => Err(ReportError::Value {
                place: format!("claim {id}"),
                got: format!("{n} rows of {} for {}", answer.experiment, shown(words)),
                expected: format!("one; they differ in {}", differing(&found)),
                remedy: "name more columns under `where`".to_owned(),
            }),
        }
    }

    /// Value, error, interval and the p that stands beside them.
    fn measured(&self, answer: &Answer, row: &DataFrame) -> Result<Option<Measured>, ReportError> {
        let Some(value) = value(answer.column, row) else { return Ok(None) };
        let exact = answer.column != Column::Value;
        let p = if exact { None } else { self.p_beside(answer, row)? };
        let ends = (scan::number(row, "ci_low", 0), scan::number(row, "ci_high", 0));
        let interval = match ends {
            (Some(low), Some(high)) if !exact && low.is_finite() && high.is_finite() => {
                Some((low, high))
            }
            _ => None,
        };
        let se = if exact { None } else { scan::number(row, "se", 0) };
        Ok(Some(Measured { value, se, interval, n: scan::count(row, "n", 0), p, exact }))
    }

    /// Holm-adjusted p of a difference: the row that the answer names, or the one beside a `delta`, where there is one.
    fn p_beside(&self, answer: &Answer, row: &DataFrame) -> Result<Option<P>, ReportError> {
        let is_delta = scan::text(row, "metric", 0).as_deref() == Some(metric::DELTA);
        let own = answer.p.clone().unwrap_or_default();
        if !is_delta && own.is_empty() {
            return Ok(None);
        }
        let mut words: BTreeMap<String, String> = WORDS
            .iter()
            .filter(|name| **name != "verdict")
            .map(|name| ((*name).to_owned(), scan::text(row, name, 0).unwrap_or_default()))
            .collect();
        words.insert("metric".to_owned(), metric::P_HOLM.to_owned());
        words.extend(own);
        let found = self.select(&words.into_iter().collect::<Vec<_>>())?;
        let at_floor = scan::number(&found, "ci_low", 0) == Some(0.0);
        Ok(scan::number(&found, "value", 0).map(|value| P { value, at_floor }))
    }
}

fn number(measured: Option<Measured>, row: &DataFrame) -> Found {
    let reason = scan::text(row, "reason", 0);
    match measured {
        Some(measured) => {
            let model = scan::text(row, "model", 0).unwrap_or_default();
            Found::Number { measured, model, reason }
        }
        None => Found::Nothing(
            reason.unwrap_or_else(|| "the result has no number and gives no reason".to_owned()),
        ),
    }
}

/// A finite number of a row.
fn value(column: Column, row: &DataFrame) -> Option<f64> {
    scan::number(row, column.name(), 0).filter(|value| value.is_finite())
}

/// Columns of words in which rows differ.
fn differing(rows: &DataFrame) -> String {
    let differs = |name: &&&str| {
        (1..rows.height()).any(|row| scan::text(rows, name, row) != scan::text(rows, name, 0))
    };
    WORDS.iter().filter(differs).copied().collect::<Vec<_>>().join(", ")
}

/// `metric delta, side lowest`.
fn shown(words: &BTreeMap<String, String>) -> String {
    let parts = words.iter().map(|(column, text)| match text.as_str() {
        "" => format!("no {column}"),
        text => format!("{column} `{text}`"),
    });
    parts.collect::<Vec<_>>().join(", ")
}
