//! `dubench metric fid`.

use dubench_metrics::{EstimateOptions, FrechetEstimate};
use serde::Serialize;

use super::input::{Input, SampleSet, describe};
use crate::cli::answer::Context;
use crate::cli::arguments::PairOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    fid: f64,
    se: f64,
    bias: f64,
    fid_inf: f64,
    fid_inf_se: f64,
    n_real: Option<usize>,
    n_fake: usize,
    dim: usize,
    extractor: Option<String>,
}

pub(super) fn run(options: &PairOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.features, context);
    let real = input.open(&options.real)?;
    let fake = input.open(&options.fake)?;
    real.check_comparable(&fake)?;
    let reference = real.reference()?;
    let estimate = match fake.set() {
        SampleSet::Features(rows) => {
            reference.estimate(rows.as_features(), &EstimateOptions::default())?
        }
        SampleSet::Statistics(gaussian) => reference.estimate_from_statistics(gaussian)?,
    };
    let answer = Answer {
        fid: estimate.fid,
        se: estimate.se,
        bias: estimate.bias,
        fid_inf: estimate.fid_inf,
        fid_inf_se: estimate.fid_inf_se,
        n_real: reference.gaussian().n(),
        n_fake: estimate.n,
        dim: estimate.dim,
        extractor: real.extractor().or(fake.extractor()).map(describe),
    };
    context.answer(&answer, &text(&answer, &estimate))
}

fn text(answer: &Answer, estimate: &FrechetEstimate) -> String {
    let n_real = answer.n_real.map_or("unknown".to_owned(), |n| n.to_string());
    let mut text = format!(
        "FID      {:.4} ± {:.4}\nFID_inf  {:.4} ± {:.4}   (bias {:.4})\nimages   {} against {n_real}, {} features",
        answer.fid,
        answer.se,
        answer.fid_inf,
        answer.fid_inf_se,
        answer.bias,
        answer.n_fake,
        answer.dim
    );
    if estimate.regime == dubench_metrics::SampleRegime::Small {
        text.push_str("\nfewer than 4 images a feature: read ± as an upper bound, and FID_inf as a rough guide");
    }
    text
}
