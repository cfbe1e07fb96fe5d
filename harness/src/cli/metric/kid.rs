//! `dubench metric kid`.

use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need};
use super::notes::{finite, with_notes};
use crate::cli::answer::Context;
use crate::cli::arguments::KidOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    kid: f64,
    sd: f64,
    n_real: usize,
    n_fake: usize,
    subsets: usize,
    subset_size: usize,
    notes: Vec<String>,
}

pub(super) fn run(options: &KidOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.pair.features, context)?;
    let real = input.open(&options.pair.real, Need::Rows)?;
    let fake = input.open(&options.pair.fake, Need::Rows)?;
    real.check_comparable(&fake)?;
    let (real_rows, fake_rows) = (real.features()?, fake.features()?);
    let (smaller, n) =
        if real_rows.n() < fake_rows.n() { (&real, real_rows.n()) } else { (&fake, fake_rows.n()) };
    if n < options.subset_size {
        return Err(CliError::Mismatch(format!(
            "{} has {n} images, a subset of KID has {}: give --subset-size {n} or less (the mean stays unbiased, the spread of a subset grows)",
            smaller.path().display(),
            options.subset_size
        )));
    }
    let subsets = dubench_metrics::KidOptions {
        subsets: options.subsets,
        subset_size: options.subset_size,
        seed: options.seed,
    };
    let kid = dubench_metrics::kid(fake_rows, real_rows, &subsets)?;
    finite(&[("KID", kid.kid)])?;
    let answer = Answer {
        kid: kid.kid,
        sd: kid.sd,
        n_real: real_rows.n(),
        n_fake: fake_rows.n(),
        subsets: options.subsets,
        subset_size: options.subset_size,
        notes: Copies::of(&real, &fake).notes(&real, &fake),
    };
    let text = format!(
        "KID  {:.6} (sd of a subset {:.6}; {} subsets of {})",
        kid.kid, kid.sd, options.subsets, options.subset_size
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}
