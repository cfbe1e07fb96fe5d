//! `dubench metric mmd`.

use dubench_metrics::{Kernel, MmdEstimator};
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need};
use super::notes::{finite, with_notes};
use crate::cli::answer::Context;
use crate::cli::arguments::MmdOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    mmd_squared: f64,
    se: f64,
    sigma: f64,
    estimator: String,
    n_real: usize,
    n_fake: usize,
    dim: usize,
    notes: Vec<String>,
}

pub(super) fn run(options: &MmdOptions, context: Context) -> Result<(), CliError> {
    let estimator = match options.estimator.as_str() {
        "unbiased" => MmdEstimator::Unbiased,
        "biased" => MmdEstimator::Biased,
        other => return Err(CliError::option("--estimator", other, "unbiased or biased")),
    };
    let mut input = Input::new(&options.pair.features, context)?;
    let real = input.open(&options.pair.real, Need::Rows)?;
    let fake = input.open(&options.pair.fake, Need::Rows)?;
    real.check_comparable(&fake)?;
    let (real_rows, fake_rows) = (real.features()?, fake.features()?);
    let kernel = Kernel::Rbf { sigma: options.sigma };
    let found = dubench_metrics::mmd(fake_rows, real_rows, kernel, estimator)?;
    finite(&[("MMD^2", found.value), ("its standard error", found.se)])?;
    let answer = Answer {
        mmd_squared: found.value,
        se: found.se,
        sigma: options.sigma,
        estimator: options.estimator.clone(),
        n_real: real_rows.n(),
        n_fake: fake_rows.n(),
        dim: real_rows.dim(),
        notes: Copies::of(&real, &fake).notes(&real, &fake),
    };
    let text = format!(
        "MMD^2  {:.6e} ± {:.1e}   ({}, kernel exp(-|x - y|^2 / (2 sigma^2)), sigma = {})\nimages {} against {}, {} features",
        found.value,
        found.se,
        options.estimator,
        options.sigma,
        answer.n_fake,
        answer.n_real,
        answer.dim
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}
