//! `dubench metric sparsification`.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{
    MaskedSparsification, Pool, Preset, Sparsification, SparsificationOptions, sparsification,
    sparsification_ignoring_nan,
};
use serde::Serialize;

use super::notes::{finite, with_notes};
use super::shapes::{self, Maps};
use crate::cli::answer::Context;
use crate::cli::arguments;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    ause: f64,
    aurg: f64,
    rmse: f64,
    ause_se: Option<f64>,
    aurg_se: Option<f64>,
    n_images: usize,
    n_pixels: usize,
    n_ignored: usize,
    curve: Curve,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Curve {
    x: Vec<f64>,
    method: Vec<f64>,
    oracle: Vec<f64>,
    random: Vec<f64>,
}

pub(super) fn run(
    options: &arguments::SparsificationOptions,
    context: Context,
) -> Result<(), CliError> {
    let maps = shapes::read(options)?;
    let rules = rules(options, maps.error.n())?;
    let MaskedSparsification { found, n_ignored, n_empty } = measured(&maps, &rules, options)?;
    finite(&[("AUSE", found.ause), ("AURG", found.aurg), ("RMSE", found.rmse)])?;
    let n_pixels = maps.error.n() * maps.error.dim();
    let used = (found.n_images * maps.error.dim()).saturating_sub(n_ignored);
    let text = text(&found, options, used);
    let mut notes = Vec::new();
    if n_ignored > 0 {
        notes.push(format!("{n_ignored} pixels that are NaN left out"));
    }
    if n_empty > 0 {
        notes.push(format!("{n_empty} images left out: all of their pixels are NaN"));
    }
    let curve = Curve {
        x: found.curve.x,
        method: found.curve.method,
        oracle: found.curve.oracle,
        random: found.curve.random,
    };
    let answer = Answer {
        ause: found.ause,
        aurg: found.aurg,
        rmse: found.rmse,
        ause_se: found.ause_se,
        aurg_se: found.aurg_se,
        n_images: found.n_images,
        n_pixels,
        n_ignored,
        curve,
        notes,
    };
    context.answer(&answer, &with_notes(text, &answer.notes))
}

fn measured(
    maps: &Maps,
    rules: &SparsificationOptions,
    options: &arguments::SparsificationOptions,
) -> Result<MaskedSparsification, CliError> {
    let (error, uncertainty) = (maps.error.as_features(), maps.uncertainty.as_features());
    match options.ignore.as_deref() {
        Some("nan") => Ok(sparsification_ignoring_nan(error, uncertainty, rules)?),
        Some(other) => Err(CliError::option("--ignore", other, "nan")),
        None => match sparsification(error, uncertainty, rules) {
            Ok(found) => Ok(MaskedSparsification { found, n_ignored: 0, n_empty: 0 }),
            Err(MetricError::NonFinite { what, row, column, value }) if value == "NaN" => {
                Err(CliError::Mismatch(format!(
                    "{what} holds NaN at image {row}, pixel {column}: leave such pixels out by --ignore nan"
                )))
            }
            Err(error) => Err(error.into()),
        },
    }
}

fn rules(
    options: &arguments::SparsificationOptions,
    n_images: usize,
) -> Result<SparsificationOptions, CliError> {
    let pool = match options.pool.as_str() {
        "image" => Pool::Image,
        "all" => Pool::All,
        other => return Err(CliError::option("--pool", other, "image or all")),
    };
    let preset = match options.preset.as_deref() {
        None => Preset::Exact,
        Some("mono-uncertainty") => Preset::MonoUncertainty,
        Some("torch-uncertainty") => Preset::TorchUncertainty,
        Some("authors-code") => Preset::AuthorsCode { n_rows: n_images },
        Some(other) => {
            let accepted = "mono-uncertainty, torch-uncertainty or authors-code";
            return Err(CliError::option("--preset", other, accepted));
        }
    };
    Ok(SparsificationOptions { pool, preset, intervals: options.intervals })
}

fn text(
    found: &Sparsification,
    options: &arguments::SparsificationOptions,
    n_pixels: usize,
) -> String {
    let with_se = |value: f64, se: Option<f64>| match se {
        Some(se) => format!("{value:.6} ± {se:.6}"),
        None => format!("{value:.6}"),
    };
    let pool = match found.n_images {
        1 => format!("one pool of {n_pixels} values"),
        n => format!("{n} images, pooled by {}", options.pool),
    };
    format!(
        "AUSE  {}\nAURG  {}\nRMSE  {:.6}\n{pool}, {}",
        with_se(found.ause, found.ause_se),
        with_se(found.aurg, found.aurg_se),
        found.rmse,
        options.preset.as_deref().unwrap_or("exact curve"),
    )
}
