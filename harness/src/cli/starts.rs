//! `dubench starts`: what the seed of an experiment gives, as a file for other programs.

use super::answer::Context;
use super::arguments::StartsOptions;
use super::error::CliError;
use super::output;
use crate::exit::Exit;
use crate::stage::generate::starts::{initial_labels, initial_states};
use crate::stage::open::inputs;
use crate::store::starts::write;
use crate::units::SampleId;

/// Writes the starts of the samples `0 .. n`.
pub(super) fn run(options: &StartsOptions, context: Context) -> Result<Exit, CliError> {
    output::check(&options.output, [options.target.file()?.as_path()])?;
    let (experiment, plan) = options.target.resolve()?;
    let facts = inputs::facts(&experiment, &plan.scale)?;
    let largest = plan.arms.iter().map(|arm| arm.n).max().unwrap_or(0);
    let n = options.n.unwrap_or(largest);
    if n == 0 {
        return Err(CliError::option("-n", "0", "at least 1"));
    }
    let row =
        |sample| initial_states(plan.seed, &[sample], facts.shape).into_raw_vec_and_offset().0;
    let samples: Vec<SampleId> = (0..n).map(SampleId).collect();
    let classes = facts.n_classes.map(|k| initial_labels(plan.seed, &samples, k));
    write(&options.output, (n, facts.shape), row, classes.as_deref())?;
    let [c, h, w] = facts.shape;
    let with = if classes.is_some() { ", y with their classes" } else { "" };
    let text = format!(
        "{}: x_T [{n}, {c}, {h}, {w}]{with}, by seed {}",
        options.output.display(),
        plan.seed
    );
    let answer = serde_json::json!({
        "output": options.output, "n": n, "shape": facts.shape, "classes": facts.n_classes,
        "seed": plan.seed,
    });
    context.answer(&answer, &text)?;
    Ok(Exit::Complete)
}
