//! Rows of a result as polars data frames.

use std::sync::Arc;

use polars::frame::PivotColumnNaming;
use polars::prelude::{DataFrame, IntoLazy, NamedFrom, PolarsResult, Series, by_name, element};

use super::metric;
use crate::store::records::MetricRow;

/// The columns that name a cell. Two rows of one result never share all of them.
pub const KEY: [&str; 8] =
    ["artefact", "scale", "model", "dataset", "sampler", "method", "metric", "direction"];

/// Key of a row in the order of [`KEY`]; a missing direction is the empty text.
pub fn key(row: &MetricRow) -> [&str; 8] {
    [
        &row.artefact,
        &row.scale,
        &row.model,
        &row.dataset,
        &row.sampler,
        &row.method,
        &row.metric,
        row.direction.as_deref().unwrap_or(""),
    ]
}

/// Key columns, `row` (the index in `rows`), `value` and `se` of all rows, in their order.
///
/// Values that are not finite become null, so that no mean or join ever meets a NaN.
///
/// # Errors
/// Only a fault of the table library.
pub fn metric_frame(rows: &[MetricRow]) -> PolarsResult<DataFrame> {
    let finite = |value: Option<f64>| value.filter(|number| number.is_finite());
    let mut columns: Vec<_> = KEY
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let texts: Vec<&str> = rows.iter().map(|row| key(row)[at]).collect();
            Series::new((*name).into(), texts).into()
        })
        .collect();
    let index: Vec<u64> = (0..rows.len() as u64).collect();
    let value: Vec<Option<f64>> = rows.iter().map(|row| finite(row.value)).collect();
    let se: Vec<Option<f64>> = rows.iter().map(|row| finite(row.se)).collect();
    columns.push(Series::new("row".into(), index).into());
    columns.push(Series::new("value".into(), value).into());
    columns.push(Series::new("se".into(), se).into());
    DataFrame::new(rows.len(), columns)
}

/// Symmetric table of rank correlations.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlations {
    /// Methods, in order of first appearance.
    pub methods: Vec<String>,
    /// `value[i][j]` in [-1, 1]: method `i` with method `j`; 1 on the diagonal, `None` where not measured.
    pub value: Vec<Vec<Option<f64>>>,
}

/// Pivots the `spearman(..)` rows; `None` where there are none.
///
/// # Errors
/// Only a fault of the table library.
pub fn correlations(rows: &[MetricRow]) -> PolarsResult<Option<Correlations>> {
    let pairs: Vec<(&str, &str, Option<f64>)> = rows
        .iter()
        .filter_map(|row| Some((row, metric::spearman_partner(&row.metric)?)))
        .map(|(row, other)| (row.method.as_str(), other, row.value.filter(|v| v.is_finite())))
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let named = |name: &str| pairs.iter().any(|(one, other, _)| *one == name || *other == name);
    let mut methods: Vec<String> = Vec::new();
    for name in rows.iter().map(|row| row.method.as_str()).chain(pairs.iter().map(|pair| pair.1)) {
        if named(name) && !methods.iter().any(|known| known == name) {
            methods.push(name.to_owned());
        }
    }
    let wide = pivot(&pairs, &methods)?;
    let value = symmetric(&wide, &methods)?;
    Ok(Some(Correlations { methods, value }))
}

/// One row a method, one column a partner.
fn pivot(pairs: &[(&str, &str, Option<f64>)], methods: &[String]) -> PolarsResult<DataFrame> {
    let text = |name: &str, side: fn(&(&'_ str, &'_ str, Option<f64>)) -> String| {
        Series::new(name.into(), pairs.iter().map(side).collect::<Vec<_>>()).into()
    };
    let rho: Vec<Option<f64>> = pairs.iter().map(|pair| pair.2).collect();
    let long = DataFrame::new(
        pairs.len(),
        vec![
            text("method", |pair| pair.0.to_owned()),
            text("other", |pair| pair.1.to_owned()),
            Series::new("rho".into(), rho).into(),
        ],
    )?;
    let names = DataFrame::new(methods.len(), vec![Series::new("other".into(), methods).into()])?;
    long.lazy()
        .pivot(
            by_name(["other"], true, false),
            Arc::new(names),
            by_name(["method"], true, false),
            by_name(["rho"], true, false),
            element().first(),
            true,
            "_".into(),
            PivotColumnNaming::Auto,
        )
        .collect()
}

fn symmetric(wide: &DataFrame, methods: &[String]) -> PolarsResult<Vec<Vec<Option<f64>>>> {
    let mut value = vec![vec![None; methods.len()]; methods.len()];
    let names = wide.column("method")?.str()?;
    for (j, other) in methods.iter().enumerate() {
        let column = wide.column(other)?.f64()?;
        for (name, rho) in names.iter().zip(column.iter()) {
            let Some(i) = methods.iter().position(|method| Some(method.as_str()) == name) else {
                continue;
            };
            if rho.is_some() {
                value[i][j] = rho;
                value[j][i] = rho;
            }
        }
        value[j][j] = Some(1.0);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn one_triangle_of_rows_fills_both() {
        let found = correlations(&example::rows()).unwrap().unwrap();
        assert_eq!(found.methods[..2], ["sample_var", "centered"]);
        assert_eq!((found.value[0][1], found.value[1][0]), (Some(0.93), Some(0.93)));
        assert_eq!(found.value[4][4], Some(1.0));
    }

    #[test]
    fn a_pair_that_was_not_measured_is_empty_and_not_zero() {
        let mut rows = example::rows();
        rows.retain(|row| row.method != "centered" || row.metric != "spearman(sample_var)");
        let found = correlations(&rows).unwrap().unwrap();
        assert_eq!((found.value[0][1], found.value[1][0]), (None, None));
    }

    #[test]
    fn values_that_are_no_number_become_null() {
        let mut rows = example::rows();
        rows[0].value = Some(f64::NAN);
        let frame = metric_frame(&rows).unwrap();
        assert_eq!(frame.height(), rows.len());
        assert_eq!(frame.column("value").unwrap().null_count(), 2, "row 0 and BayesDiff");
    }
}
