//! `dubench metric compare`.

use dubench_metrics::{EstimateOptions, compare_paired, compare_unpaired};
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need, Opened, SampleSet};
use super::notes::{finite, with_notes};
use crate::cli::answer::Context;
use crate::cli::arguments::FidCompareOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    fid_a: f64,
    fid_b: f64,
    delta: f64,
    se: f64,
    z: f64,
    p: f64,
    paired: bool,
    notes: Vec<String>,
}

pub(super) fn run(options: &FidCompareOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.network, context)?;
    let need = if options.paired { Need::Rows } else { Need::Moments };
    let real = input.open(&options.real, Need::Moments)?;
    let (first, second) = (input.open(&options.a, need)?, input.open(&options.b, need)?);
    real.check_comparable(&first)?;
    real.check_comparable(&second)?;
    first.check_comparable(&second)?;
    let reference = real.reference()?;
    let estimate = |side: &Opened| -> Result<_, CliError> {
        Ok(match side.set() {
            SampleSet::Statistics(gaussian) if !options.paired => {
                reference.estimate_from_statistics(gaussian)?
            }
            _ => reference.estimate(side.features()?, &EstimateOptions::default())?,
        })
    };
    let (a, b) = (estimate(&first)?, estimate(&second)?);
    let found = if options.paired { compare_paired(&a, &b)? } else { compare_unpaired(&a, &b)? };
    finite(&[
        ("FID of a", found.fid_a),
        ("FID of b", found.fid_b),
        ("the standard error of their difference", found.se),
    ])?;
    let answer = Answer {
        fid_a: found.fid_a,
        fid_b: found.fid_b,
        delta: found.delta,
        se: found.se,
        z: found.z,
        p: found.p,
        paired: options.paired,
        notes: notes(&real, &first, &second),
    };
    let text = format!(
        "a       {:.4}\nb       {:.4}\na - b   {:.4} ± {:.4}   z = {:.2}, p = {:.4}\nsmallest difference that 80 % of repetitions would find: {:.4}",
        found.fid_a, found.fid_b, found.delta, found.se, found.z, found.p, found.min_detectable
    );
    context.answer(&answer, &with_notes(text, &answer.notes))
}

/// Notes on the files and on copies within and across all three sets.
fn notes(real: &Opened, a: &Opened, b: &Opened) -> Vec<String> {
    let mut notes = Copies::of(real, a).notes(real, a);
    for note in [Copies::of(real, b).notes(real, b), Copies::of(a, b).notes(a, b)].concat() {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}
