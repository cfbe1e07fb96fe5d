//! `dubench check` (regression gate) and `dubench compare`.

use std::path::Path;

use super::answer::Context;
use super::arguments::{CheckOptions, CompareOptions};
use super::error::CliError;
use crate::exit::Exit;
use crate::report::check::{Band, Bands, check as held};
use crate::report::compare as report_compare;
use crate::report::markdown;
use crate::store::metrics;
use crate::store::records::MetricRow;

pub(super) fn check(options: &CheckOptions, context: Context) -> Result<Exit, CliError> {
    let mut baseline = rows("BASELINE", &options.baseline)?;
    if baseline.is_empty() {
        let shown = options.baseline.display().to_string();
        let expected =
            "a result that holds numbers, and there are none in this one: run its experiment again";
        return Err(CliError::option("BASELINE", &shown, expected));
    }
    let result = rows("RESULT", &options.result)?;
    known(&baseline, &options.bands)?;
    chosen(&mut baseline, &options.metrics)?;
    let otherwise =
        Band { standard_errors: options.sigmas, relative: options.relative, ..Band::default() };
    let own = |width: f64| Band { absolute: width, relative: 0.0, standard_errors: 0.0 };
    let by_metric =
        options.bands.iter().map(|(metric, width)| (metric.clone(), own(*width))).collect();
    let failed = held(&baseline, &result, &Bands { by_metric, otherwise })?;
    let lines: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let text = if lines.is_empty() {
        format!("all {} numbers are inside their bands", baseline.len())
    } else {
        format!("{} of {} numbers moved:\n{}", lines.len(), baseline.len(), lines.join("\n"))
    };
    let answer = serde_json::json!({ "n": baseline.len(), "failed": lines });
    context.answer(&answer, &text)?;
    Ok(if lines.is_empty() { Exit::Complete } else { Exit::Gate })
}

/// Refuses a band of a metric that the baseline has not, and a second one of the same.
fn known(baseline: &[MetricRow], bands: &[(String, f64)]) -> Result<(), CliError> {
    for (at, (metric, _)) in bands.iter().enumerate() {
        if !baseline.iter().any(|row| row.metric == *metric) {
            let expected = format!("a metric that the baseline has: {}", metrics_of(baseline));
            return Err(CliError::option("--band", metric, &expected));
        }
        if bands[..at].iter().any(|(other, _)| other == metric) {
            return Err(CliError::option("--band", metric, "one band a metric"));
        }
    }
    Ok(())
}

fn metrics_of(rows: &[MetricRow]) -> String {
    let names: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row.metric.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Keeps the rows of these metrics; of all, where none is named.
fn chosen(baseline: &mut Vec<MetricRow>, metrics: &[String]) -> Result<(), CliError> {
    let known = metrics_of(baseline);
    if !metrics.is_empty() {
        baseline.retain(|row| metrics.contains(&row.metric));
    }
    if baseline.is_empty() {
        let expected = format!("one that the baseline has: {known}");
        return Err(CliError::option("--metric", &metrics.join(", "), &expected));
    }
    Ok(())
}

pub(super) fn compare(options: &CompareOptions, context: Context) -> Result<Exit, CliError> {
    let (a, b) = (rows("A", &options.a)?, rows("B", &options.b)?);
    let comparison = report_compare::compare(&a, &b)?;
    let name = |path: &Path| path.display().to_string();
    let document = comparison.document(&name(&options.a), &name(&options.b));
    let text = markdown::write(&document);
    let moved: Vec<_> = comparison
        .moved()
        .map(|pair| {
            serde_json::json!({
                "method": pair.a.method, "arm": pair.a.arm, "sampler": pair.a.sampler, "metric": pair.a.metric,
                "argument": pair.a.argument, "side": pair.a.side,
                "a": pair.a.value, "b": pair.b.value, "difference": pair.difference,
            })
        })
        .collect();
    let answer = serde_json::json!({ "n": comparison.pairs.len(), "moved": moved });
    context.answer(&answer, text.trim_end())?;
    Ok(Exit::Complete)
}

/// Rows of a results folder, or of a `metrics.parquet`.
fn rows(argument: &'static str, path: &Path) -> Result<Vec<MetricRow>, CliError> {
    let file = if path.is_dir() { path.join("metrics.parquet") } else { path.to_owned() };
    if !file.is_file() {
        let expected = "a folder with the metrics.parquet of a result in it (results/EXPERIMENT/SCALE), or such a file: run the \
                        experiment first";
        return Err(CliError::option(argument, &path.display().to_string(), expected));
    }
    Ok(metrics::read(&file)?)
}
