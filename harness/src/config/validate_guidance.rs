//! Second pass over a guidance experiment.

use std::collections::BTreeSet;

use super::validate_arms::sizes;
use super::validate_values::{MAX_POOL, name, sampler_steps, window};
use super::{
    ArmImages, Experiment, Fault, GuidanceConfig, MaskConfig, RuleConfig, SamplerConfig,
    ScaleConfig,
};

/// Cells of a sweep, at most.
const MOST_CELLS: usize = 400;

/// Faults of a guidance experiment.
pub(super) fn guidance(
    experiment: &Experiment,
    protocol: &GuidanceConfig,
    faults: &mut Vec<Fault>,
) {
    for (key, missing) in
        [("features", experiment.features.is_none()), ("reference", experiment.reference.is_none())]
    {
        if missing {
            let message = "guidance is judged by FID: say which features and reference";
            faults.push(Fault::new(key, message));
        }
    }
    if !experiment.estimators.is_empty() || !experiment.controls.is_empty() {
        let message =
            "a guidance experiment compares rules, not scores: leave estimators and controls out";
        faults.push(Fault::new("estimators", message));
    }
    if protocol.arms.is_empty() {
        let message = "no arm is given: add {name: unguided, rule: {kind: unguided}}";
        faults.push(Fault::new("protocol.arms", message));
    }
    let mut seen = BTreeSet::new();
    for (index, arm) in protocol.arms.iter().enumerate() {
        let key = format!("protocol.arms[{index}]");
        name(&format!("{key}.name"), &arm.name, faults);
        let sampler = arm.sampler.as_ref().unwrap_or(&experiment.sampler);
        if !seen.insert((arm.name.as_str(), sampler.label())) {
            let message =
                format!("{:?} is taken under this sampler: choose another name", arm.name);
            faults.push(Fault::new(format!("{key}.name"), message));
        }
        if arm.sampler.is_some() {
            sampler_steps(&format!("{key}.sampler"), sampler, &experiment.model, faults);
        }
        rule(&format!("{key}.rule"), &arm.rule, sampler, faults);
        baseline(&format!("{key}.rule"), (experiment, protocol), (sampler, arm.images), faults);
    }
    if let Some(sweep) = &protocol.sweep {
        sweep_faults(experiment, protocol, sweep, faults);
    }
    let arms = protocol.arms.iter().map(|arm| arm.images);
    let subset = arms.chain(protocol.sweep.as_ref().map(|sweep| sweep.images));
    let subset = subset.into_iter().any(|images| images == ArmImages::Subset);
    for (key, scale) in &experiment.scales {
        let key = format!("scales.{key}");
        sizes(&key, scale, subset, faults);
        threshold_images(&key, scale, protocol, faults);
    }
}

/// A scale says how many images its thresholds have, where some mask needs that and has no number of its own.
fn threshold_images(
    key: &str,
    scale: &ScaleConfig,
    protocol: &GuidanceConfig,
    faults: &mut Vec<Fault>,
) {
    let sets = || protocol.arms.iter().filter_map(|arm| arm.rule.mask().and_then(MaskConfig::set));
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
    let Some((n_images, n_draws)) = mask.set() else { return };
    if let Some(n) = n_images {
        set_size(&format!("{key}.n_images"), n, faults);
    }
    draws(&format!("{key}.n_draws"), n_draws, faults);
}

fn draws(key: &str, n_draws: Option<u32>, faults: &mut Vec<Fault>) {
    if n_draws.is_some_and(|n| !(2..=1024).contains(&n)) {
        let message = "a variance needs 2 draws or more (at most 1024)";
        faults.push(Fault::new(key, message));
    }
}

fn rule(key: &str, rule: &RuleConfig, sampler: &SamplerConfig, faults: &mut Vec<Fault>) {
    let (lambda, percentile, given) = rule.values();
    if lambda.is_some_and(|lambda| !lambda.is_finite()) {
        faults.push(Fault::new(format!("{key}.lambda"), "not a finite number: the paper uses 1"));
    }
    if let Some(p) = percentile.filter(|p| !(0.0..=1.0).contains(p)) {
        let message = format!("{p} is no fraction from 0 to 1: the paper uses 0.95");
        faults.push(Fault::new(format!("{key}.percentile"), message));
    }
    draws(&format!("{key}.n_draws"), rule.n_draws(), faults);
    if let Some(given) = rule.mask() {
        mask(&format!("{key}.mask"), given, faults);
    }
    if let RuleConfig::AuthorsGradient { batch_size: 0, .. } = rule {
        let message = "an empty batch: give that of the run to imitate, 128";
        faults.push(Fault::new(format!("{key}.batch_size"), message));
    }
    if let Some(given) = given {
        window(key, given, sampler.n_steps(), faults);
    }
}

/// A guided arm is compared with an unguided one of its sampler that has all its starts.
fn baseline(
    key: &str,
    (experiment, protocol): (&Experiment, &GuidanceConfig),
    (sampler, images): (&SamplerConfig, ArmImages),
    faults: &mut Vec<Fault>,
) {
    let serves = protocol.arms.iter().any(|arm| {
        arm.rule.is_unguided()
            && arm.sampler.as_ref().unwrap_or(&experiment.sampler) == sampler
            && (arm.images == ArmImages::All || images == ArmImages::Subset)
    });
    if !serves {
        let message = format!(
            "no unguided arm of {} with as many images: add {{name: unguided, rule: {{kind: unguided}}}} with this sampler",
            sampler.label()
        );
        faults.push(Fault::new(key, message));
    }
}

fn sweep_faults(
    experiment: &Experiment,
    protocol: &GuidanceConfig,
    sweep: &super::SweepConfig,
    faults: &mut Vec<Fault>,
) {
    let sampler = sweep.sampler.as_ref().unwrap_or(&experiment.sampler);
    if sweep.sampler.is_some() {
        sampler_steps("protocol.sweep.sampler", sampler, &experiment.model, faults);
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
    for (lambda, percentile) in
        sweep.lambdas.iter().flat_map(|l| sweep.percentiles.iter().map(move |p| (*l, *p)))
    {
        let (n_draws, direction) = (sweep.n_draws, super::DirectionConfig::Ascent);
        let mask = MaskConfig::default();
        let window = None;
        let cell = RuleConfig::Gradient { lambda, percentile, mask, n_draws, direction, window };
        rule("protocol.sweep", &cell, sampler, faults);
    }
    baseline("protocol.sweep", (experiment, protocol), (sampler, sweep.images), faults);
}
