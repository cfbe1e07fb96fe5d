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
    let baseline = rows(&options.baseline)?;
    let result = rows(&options.result)?;
    let otherwise =
        Band { standard_errors: options.sigmas, relative: options.relative, ..Band::default() };
    let failed = held(&baseline, &result, &Bands { by_metric: Vec::new(), otherwise })?;
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

pub(super) fn compare(options: &CompareOptions, context: Context) -> Result<Exit, CliError> {
    let (a, b) = (rows(&options.a)?, rows(&options.b)?);
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
fn rows(path: &Path) -> Result<Vec<MetricRow>, CliError> {
    let file = if path.is_dir() { path.join("metrics.parquet") } else { path.to_owned() };
    Ok(metrics::read(&file)?)
}
