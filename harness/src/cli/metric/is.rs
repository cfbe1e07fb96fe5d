//! `dubench metric is`.

use dubench_metrics::{Splits, inception_score};
use serde::Serialize;

use crate::cli::answer::Context;
use crate::cli::arguments::InceptionScoreOptions;
use crate::cli::error::CliError;
use crate::store::arrays::read_matrix;

#[derive(Serialize)]
struct Answer {
    is: f64,
    sd: f64,
    se: Option<f64>,
    n: usize,
    classes: usize,
    splits: usize,
}

pub(super) fn run(options: &InceptionScoreOptions, context: Context) -> Result<(), CliError> {
    let logits = read_matrix(&options.logits)?;
    let splits = match options.block_size {
        Some(size) => Splits::Blocks { size },
        None => Splits::Shuffled { splits: options.splits, seed: options.seed },
    };
    let found = inception_score(logits.as_features(), splits)?;
    let answer = Answer {
        is: found.mean,
        sd: found.sd,
        se: found.se,
        n: logits.n(),
        classes: logits.dim(),
        splits: found.values.len(),
    };
    let se = found.se.map_or(String::new(), |se| format!(" ± {se:.4}"));
    let text = format!(
        "IS  {:.4}{se} (sd of a split {:.4}; {} splits of {} images, {} classes)",
        found.mean, found.sd, answer.splits, answer.n, answer.classes
    );
    context.answer(&answer, &text)
}
