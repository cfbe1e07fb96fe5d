//! `dubench metric filter`.

use dubench_metrics::FilterStudy;
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need};
use super::notes::with_notes;
use crate::cli::answer::Context;
use crate::cli::arguments::FilterOptions;
use crate::cli::error::CliError;
use crate::store::arrays::read_vector;

#[derive(Serialize)]
struct Answer {
    fid_keep_lowest: f64,
    fid_keep_highest: f64,
    fid_random_mean: f64,
    fid_random_sd: f64,
    p_lowest: f64,
    p_highest: f64,
    n: usize,
    keep: usize,
    notes: Vec<String>,
}

pub(super) fn run(options: &FilterOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.network, context);
    let real = input.open(&options.real, Need::Moments)?;
    let pool = input.open(&options.features, Need::Rows)?;
    real.check_comparable(&pool)?;
    let scores = read_vector(&options.scores)?;
    let reference = real.reference()?;
    let study = FilterStudy::new(&reference, pool.features()?)?;
    let null = study.random_null(options.keep, options.permutations, options.seed)?;
    let found = study.evaluate(&scores.to_vec(), &null)?;
    let answer = Answer {
        fid_keep_lowest: found.fid_keep_lowest,
        fid_keep_highest: found.fid_keep_highest,
        fid_random_mean: found.fid_random_mean,
        fid_random_sd: found.fid_random_sd,
        p_lowest: found.p_lowest,
        p_highest: found.p_highest,
        n: found.n,
        keep: found.keep,
        notes: Copies::of(&real, &pool).notes(&real, &pool),
    };
    let text = format!(
        "keep lowest   {:.4}   p = {:.4}\nkeep highest  {:.4}   p = {:.4}\nrandom        {:.4} ± {:.4} (sd of {} subsets)\n{} of {} images kept; p: chance that a random subset does as well",
        found.fid_keep_lowest,
        found.p_lowest,
        found.fid_keep_highest,
        found.p_highest,
        found.fid_random_mean,
        found.fid_random_sd,
        options.permutations,
        found.keep,
        found.n
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}
