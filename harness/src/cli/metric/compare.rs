//! `dubench metric compare`.

use dubench_metrics::{EstimateOptions, compare_paired, compare_unpaired};
use serde::Serialize;

use super::input::Input;
use crate::cli::answer::Context;
use crate::cli::arguments::FidCompareOptions;
use crate::cli::error::CliError;
use crate::store::arrays::read_matrix;

#[derive(Serialize)]
struct Answer {
    fid_a: f64,
    fid_b: f64,
    delta: f64,
    se: f64,
    z: f64,
    p: f64,
    paired: bool,
}

pub(super) fn run(options: &FidCompareOptions, context: Context) -> Result<(), CliError> {
    let reference = Input::of_features(context).open(&options.real)?.reference()?;
    let estimate = |path| -> Result<_, CliError> {
        let rows = read_matrix(path)?;
        Ok(reference.estimate(rows.as_features(), &EstimateOptions::default())?)
    };
    let (a, b) = (estimate(&options.a)?, estimate(&options.b)?);
    let found = if options.paired { compare_paired(&a, &b)? } else { compare_unpaired(&a, &b)? };
    let answer = Answer {
        fid_a: found.fid_a,
        fid_b: found.fid_b,
        delta: found.delta,
        se: found.se,
        z: found.z,
        p: found.p,
        paired: options.paired,
    };
    let text = format!(
        "a       {:.4}\nb       {:.4}\na - b   {:.4} ± {:.4}   z = {:.2}, p = {:.4}\nsmallest difference that 80 % of repetitions would find: {:.4}",
        found.fid_a, found.fid_b, found.delta, found.se, found.z, found.p, found.min_detectable
    );
    context.answer(&answer, &text)
}
