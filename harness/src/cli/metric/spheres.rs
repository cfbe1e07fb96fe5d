//! `dubench metric realism`, `dubench metric rarity`: one score a generated image, by the real images around it.

use dubench_metrics::manifold;
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need, Opened};
use super::notes::with_notes;
use crate::cli::answer::Context;
use crate::cli::arguments::SphereOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct RealismAnswer {
    /// One an image; null for a copy of a real image, which is infinitely realistic.
    realism: Vec<Option<f64>>,
    /// The middle one; null where it is that of a copy.
    median: Option<f64>,
    /// Generated images that are copies of a real one.
    n_copies: usize,
    k: usize,
    n_real: usize,
    n_fake: usize,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct RarityAnswer {
    /// One an image; null outside of all real balls.
    rarity: Vec<Option<f64>>,
    /// The middle one of those inside; null where none is.
    median: Option<f64>,
    /// Generated images outside of all real balls.
    n_outside: usize,
    k: usize,
    n_real: usize,
    n_fake: usize,
    notes: Vec<String>,
}

/// Both sides, opened, and what a reader should know of them.
fn open(
    options: &SphereOptions,
    context: Context,
) -> Result<(Opened, Opened, Vec<String>), CliError> {
    let mut input = Input::new(&options.pair.features, context)?;
    let real = input.open(&options.pair.real, Need::Rows)?;
    let fake = input.open(&options.pair.fake, Need::Rows)?;
    real.check_comparable(&fake)?;
    let notes = Copies::of(&real, &fake).notes(&real, &fake);
    Ok((real, fake, notes))
}

pub(super) fn realism(options: &SphereOptions, context: Context) -> Result<(), CliError> {
    let (real, fake, notes) = open(options, context)?;
    let scores = manifold::realism(fake.features()?, real.features()?, options.k)?;
    let n_copies = scores.iter().filter(|score| score.is_infinite()).count();
    let middle = median(scores.clone());
    let answer = RealismAnswer {
        median: middle.filter(|median| median.is_finite()),
        realism: scores
            .iter()
            .map(|score| Some(*score).filter(|score| score.is_finite()))
            .collect(),
        n_copies,
        k: options.k,
        n_real: real.features()?.n(),
        n_fake: scores.len(),
        notes,
    };
    let inside = scores.iter().filter(|score| **score >= 1.0).count();
    let text = format!(
        "realism  median {:.4}; {inside} of {} images at 1 or above, {n_copies} copies of real images\nk = {}; --format json gives one number an image",
        middle.unwrap_or(0.0),
        scores.len(),
        options.k
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}

pub(super) fn rarity(options: &SphereOptions, context: Context) -> Result<(), CliError> {
    let (real, fake, notes) = open(options, context)?;
    let scores = manifold::rarity(fake.features()?, real.features()?, options.k)?;
    let inside: Vec<f64> = scores.iter().copied().flatten().collect();
    let n_outside = scores.len() - inside.len();
    let answer = RarityAnswer {
        median: median(inside),
        n_outside,
        k: options.k,
        n_real: real.features()?.n(),
        n_fake: scores.len(),
        notes,
        rarity: scores,
    };
    let middle = answer.median.map_or("none".to_owned(), |median| format!("{median:.4}"));
    let text = format!(
        "rarity   median {middle}; {n_outside} of {} images outside of all real balls\nk = {}; --format json gives one number an image",
        answer.n_fake, options.k
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}

/// The lower of the two middle values where their number is even.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
