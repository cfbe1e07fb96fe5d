//! What can be wrong with a guidance experiment.

use std::collections::BTreeSet;

use super::{Guidance, SweepConfig};
use crate::config::values::{
    MAX_POOL, arm_sizes, n_draws, name, one_preprocessing, required, sampler_steps, window,
};
use crate::config::{ArmImages, Common, ScaleConfig};
use crate::fault::Fault;
use crate::guidance::{MaskConfig, RuleConfig};
use crate::sampler::SamplerConfig;

/// Cells of a sweep, at most.
const MOST_CELLS: usize = 400;

pub(super) fn faults(protocol: &Guidance, common: &Common) -> Vec<Fault> {
    let mut all = Vec::new();
    let faults = &mut all;
    let sections = ["features", "reference", "reference.path"];
    required(common, sections, "guidance is judged by FID", faults);
    one_preprocessing(common, faults);
    if !common.estimators.is_empty() || !common.controls.is_empty() {
        let message =
            "a guidance experiment compares rules, not scores: leave estimators and controls out";
        faults.push(Fault::new("estimators", message));
    }
    if protocol.n_steps.is_some() {
        let message = "a number of steps belongs to a sampler or to a scale: leave it out";
        faults.push(Fault::new("protocol.n_steps", message));
    }
    if protocol.arms.is_empty() {
        let message = "no arm is given: add {name: unguided}";
        faults.push(Fault::new("protocol.arms", message));
    }
    arm_faults(protocol, common, faults);
    if let Some(sweep) = &protocol.sweep {
        sweep_faults((common, protocol), sweep, faults);
    }
    let arms = protocol.arms.iter().map(|arm| arm.images);
    let subset = arms.chain(protocol.sweep.as_ref().map(|sweep| sweep.images));
    let subset = subset.into_iter().any(|images| images == ArmImages::Subset);
    for (key, scale) in &common.scales {
        let key = format!("scales.{key}");
        arm_sizes(&key, scale, subset, faults);
        threshold_images(&key, scale, protocol, faults);
    }
    all
}

fn arm_faults(protocol: &Guidance, common: &Common, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, arm) in protocol.arms.iter().enumerate() {
        let key = format!("protocol.arms[{index}]");
        name(&format!("{key}.name"), &arm.name, faults);
        let sampler = arm.sampler.as_ref().unwrap_or(&common.sampler);
        if !seen.insert((arm.name.as_str(), sampler.label())) {
            let message =
                format!("{:?} is taken under this sampler: choose another name", arm.name);
            faults.push(Fault::new(format!("{key}.name"), message));
        }
        if arm.sampler.is_some() {
            sampler_steps(&format!("{key}.sampler"), sampler, &common.model, faults);
        }
        if let Some(own) = &arm.rule {
            rule(&format!("{key}.rule"), own, sampler, faults);
            baseline(&format!("{key}.rule"), (common, protocol), (sampler, arm.images), faults);
        }
    }
}

/// A scale says how many images its thresholds have, where some mask needs that and has no number of its own.
fn threshold_images(key: &str, scale: &ScaleConfig, protocol: &Guidance, faults: &mut Vec<Fault>) {
    let rules = || protocol.arms.iter().filter_map(|arm| arm.rule.as_ref());
    let sets = || rules().filter_map(|rule| rule.values().mask.and_then(MaskConfig::set));
    let key = format!("{key}.n_threshold_images");
    match scale.n_threshold_images {
        Some(n) => set_size(&key, n, faults),
        None if sets().any(|(n_images, _)| n_images.is_none()) => {
            let message =
                "a mask takes its thresholds from a generated set: say how many images it has";
            faults.push(Fault::new(&key, message));
        }
        None => {}
    }
    if scale.n_threshold_images.is_some() && sets().next().is_none() {
        let message = "no mask takes its thresholds from a generated set: leave it out";
        faults.push(Fault::new(key, message));
    }
}

fn set_size(key: &str, n: u64, faults: &mut Vec<Fault>) {
    if !(2..=MAX_POOL).contains(&n) {
        let message =
            format!("{n} images give no thresholds: set 2 to {MAX_POOL} (the paper has 10000)");
        faults.push(Fault::new(key, message));
    }
}

/// Faults of a mask whose thresholds come from a generated set.
fn mask(key: &str, mask: &MaskConfig, faults: &mut Vec<Fault>) {
    let Some((n_images, draws)) = mask.set() else { return };
    if let Some(n) = n_images {
        set_size(&format!("{key}.n_images"), n, faults);
    }
    n_draws(&format!("{key}.n_draws"), draws, faults);
}

/// Values of a rule, at `key`.
pub(in crate::protocol) fn rule(
    key: &str,
    rule: &RuleConfig,
    sampler: &SamplerConfig,
    faults: &mut Vec<Fault>,
) {
    let values = rule.values();
    if values.lambda.is_some_and(|lambda| !lambda.is_finite()) {
        faults.push(Fault::new(format!("{key}.lambda"), "not a finite number: the paper uses 1"));
    }
    if !(0.0..=1.0).contains(&values.percentile) {
        let message =
            format!("{} is no fraction from 0 to 1: the paper uses 0.95", values.percentile);
        faults.push(Fault::new(format!("{key}.percentile"), message));
    }
    n_draws(&format!("{key}.n_draws"), values.n_draws, faults);
    if let Some(given) = values.mask {
        mask(&format!("{key}.mask"), given, faults);
    }
    faults.extend(rule.faults().into_iter().map(|fault| fault.below(key)));
    if let Some(given) = values.window {
        window(key, given, sampler.n_steps(), faults);
    }
}

/// A guided arm is compared with an unguided one of its sampler that has all its starts.
fn baseline(
    key: &str,
    (common, protocol): (&Common, &Guidance),
    (sampler, images): (&SamplerConfig, ArmImages),
    faults: &mut Vec<Fault>,
) {
    let serves = protocol.arms.iter().any(|arm| {
        arm.rule.is_none()
            && arm.sampler.as_ref().unwrap_or(&common.sampler) == sampler
            && (arm.images == ArmImages::All || images == ArmImages::Subset)
    });
    if !serves {
        let message = format!(
            "no unguided arm of {} with as many images: add {{name: unguided}} with this sampler",
            sampler.label()
        );
        faults.push(Fault::new(key, message));
    }
}

fn sweep_faults(
    (common, protocol): (&Common, &Guidance),
    sweep: &SweepConfig,
    faults: &mut Vec<Fault>,
) {
    let sampler = sweep.sampler.as_ref().unwrap_or(&common.sampler);
    if sweep.sampler.is_some() {
        sampler_steps("protocol.sweep.sampler", sampler, &common.model, faults);
    }
    let n_cells = sweep.lambdas.len().saturating_mul(sweep.percentiles.len());
    if !(1..=MOST_CELLS).contains(&n_cells) {
        let message = format!("{n_cells} cells, expected 1 to {MOST_CELLS}");
        faults.push(Fault::new("protocol.sweep", message));
        // Looking at each of them would take as long as they are many.
        return;
    }
    for (key, values) in [("lambdas", &sweep.lambdas), ("percentiles", &sweep.percentiles)] {
        let different: BTreeSet<u64> = values.iter().map(|value| value.to_bits()).collect();
        if different.len() < values.len() {
            let message = "the same value twice: every cell is measured once";
            faults.push(Fault::new(format!("protocol.sweep.{key}"), message));
        }
    }
    for cell in sweep.cells() {
        rule("protocol.sweep", &sweep.rule(cell), sampler, faults);
    }
    baseline("protocol.sweep", (common, protocol), (sampler, sweep.images), faults);
}
