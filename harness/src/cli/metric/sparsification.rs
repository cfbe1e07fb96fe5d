//! `dubench metric sparsification`.

use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification, SparsificationOptions, sparsification,
};
use serde::Serialize;

use crate::cli::answer::Context;
use crate::cli::arguments;
use crate::cli::error::CliError;
use crate::store::arrays::read_matrix;

#[derive(Serialize)]
struct Answer {
    ause: f64,
    aurg: f64,
    rmse: f64,
    ause_se: Option<f64>,
    aurg_se: Option<f64>,
    n_images: usize,
    curve: Curve,
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
    let error = read_matrix(&options.error)?;
    let uncertainty = read_matrix(&options.uncertainty)?;
    let rules = rules(options, error.n())?;
    let found = sparsification(error.as_features(), uncertainty.as_features(), &rules)?;
    let text = text(&found, options);
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
        curve,
    };
    context.answer(&answer, &text)
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

fn text(found: &Sparsification, options: &arguments::SparsificationOptions) -> String {
    let with_se = |value: f64, se: Option<f64>| match se {
        Some(se) => format!("{value:.6} ± {se:.6}"),
        None => format!("{value:.6}"),
    };
    format!(
        "AUSE  {}\nAURG  {}\nRMSE  {:.6}\n{} images, pooled by {}, {}",
        with_se(found.ause, found.ause_se),
        with_se(found.aurg, found.aurg_se),
        found.rmse,
        found.n_images,
        options.pool,
        options.preset.as_deref().unwrap_or("exact curve"),
    )
}
