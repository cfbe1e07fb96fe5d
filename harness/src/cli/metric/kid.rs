//! `dubench metric kid`.

use serde::Serialize;

use super::input::Input;
use crate::cli::answer::Context;
use crate::cli::arguments::KidOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    kid: f64,
    sd: f64,
}

pub(super) fn run(options: &KidOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.pair.features, context);
    let real = input.open(&options.pair.real)?;
    let fake = input.open(&options.pair.fake)?;
    real.check_comparable(&fake)?;
    let subsets = dubench_metrics::KidOptions {
        subsets: options.subsets,
        subset_size: options.subset_size,
        seed: options.seed,
    };
    let kid = dubench_metrics::kid(fake.features()?, real.features()?, &subsets)?;
    let answer = Answer { kid: kid.kid, sd: kid.sd };
    let text = format!(
        "KID  {:.6} (sd of a subset {:.6}; {} subsets of {})",
        kid.kid, kid.sd, options.subsets, options.subset_size
    );
    context.answer(&answer, &text)
}
