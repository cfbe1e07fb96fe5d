//! `dubench metric fid`.

use dubench_metrics::{EstimateOptions, FrechetEstimate, Reference, SampleRegime};
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need, Opened, SampleSet, describe};
use super::notes::{finite, with_notes};
use crate::cli::answer::Context;
use crate::cli::arguments::PairOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    fid: f64,
    se: Option<f64>,
    bias: Option<f64>,
    fid_inf: Option<f64>,
    fid_inf_se: Option<f64>,
    n_real: Option<usize>,
    n_fake: Option<usize>,
    dim: usize,
    extractor: Option<String>,
    notes: Vec<String>,
}

/// A distance and what is known of it.
struct Found {
    fid: f64,
    estimate: Option<FrechetEstimate>,
    se: Option<f64>,
    notes: Vec<String>,
}

pub(super) fn run(options: &PairOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.features, context)?;
    let real = input.open(&options.real, Need::Moments)?;
    let fake = input.open(&options.fake, Need::Moments)?;
    real.check_comparable(&fake)?;
    let reference = real.reference()?;
    let copies = Copies::of(&real, &fake);
    let mut notes = copies.notes(&real, &fake);
    let found = distance(&reference, &fake, &copies)?;
    notes.extend(found.notes);
    finite(&[("FID", found.fid), ("its standard error", found.se.unwrap_or(0.0))])?;
    let known = found.se.and(found.estimate.as_ref());
    let answer = Answer {
        fid: found.fid,
        se: found.se,
        bias: known.map(|estimate| estimate.bias),
        fid_inf: known.map(|estimate| estimate.fid_inf),
        fid_inf_se: found.se,
        n_real: reference.gaussian().n(),
        n_fake: fake.n(),
        dim: reference.dim(),
        extractor: real.extractor().or(fake.extractor()).map(describe),
        notes,
    };
    context.answer(&answer, &with_notes(text(&answer), &answer.notes))
}

fn distance(reference: &Reference, fake: &Opened, copies: &Copies) -> Result<Found, CliError> {
    if copies.same {
        // By definition: what rounding leaves is no distance, and its ± none either.
        return Ok(Found { fid: 0.0, estimate: None, se: None, notes: Vec::new() });
    }
    let mut notes = Vec::new();
    let estimate = match fake.set() {
        SampleSet::Features(rows) => {
            reference.estimate(rows.as_features(), &EstimateOptions::default())?
        }
        SampleSet::Statistics(gaussian) if gaussian.n().is_none() => {
            let path = fake.path().display();
            notes.push(format!("{path} does not say of how many images it is (n): no error bar"));
            return Ok(Found {
                fid: reference.distance(gaussian)?,
                estimate: None,
                se: None,
                notes,
            });
        }
        SampleSet::Statistics(gaussian) => reference.estimate_from_statistics(gaussian)?,
    };
    let (n, distinct) = (copies.fake_groups.len(), copies.n_distinct());
    let se = if distinct < n {
        let se = estimate.se_by_group(&copies.fake_groups)?;
        notes.push(match se {
            Some(_) => format!("± counts equal images once: it is that of {distinct} images; the bias takes them as {n}"),
            None => "one image says nothing of others: no error bar".to_owned(),
        });
        se
    } else {
        Some(estimate.se)
    };
    if se.is_some() && estimate.regime == SampleRegime::Small {
        notes.push(
            "fewer than 4 images a feature: read ± as an upper bound, and FID_inf as a rough guide"
                .to_owned(),
        );
    }
    Ok(Found { fid: estimate.fid, se, estimate: Some(estimate), notes })
}

fn text(answer: &Answer) -> String {
    let count = |n: Option<usize>| n.map_or("unknown".to_owned(), |n| n.to_string());
    let fid = match answer.se {
        Some(se) => format!("FID      {:.4} ± {se:.4}", answer.fid),
        None => format!("FID      {:.4}", answer.fid),
    };
    let corrected = match (answer.fid_inf, answer.fid_inf_se, answer.bias) {
        (Some(fid), Some(se), Some(bias)) => {
            format!("\nFID_inf  {fid:.4} ± {se:.4}   (bias {bias:.4})")
        }
        _ => String::new(),
    };
    format!(
        "{fid}{corrected}\nimages   {} against {}, {} features",
        count(answer.n_fake),
        count(answer.n_real),
        answer.dim
    )
}
