//! Second pass over an experiment: values that parse but cannot work.

use std::collections::BTreeSet;

use dubench_metrics::FrechetEstimate;

use super::validate_values::{
    MAX_POOL, MAX_SIDE, MAX_TRAIN_STEPS, estimator_list, name, sampler_steps, window,
};
use super::{
    AnalyticConfig, ControlConfig, CurveConfig, EstimatorConfig, Experiment, Fault, FeaturesConfig,
    ModelConfig, ProtocolConfig, ScaleConfig, ScheduleConfig, validate_arms, validate_guidance,
};

/// Blocks of the pixel features along a side, at most.
const MAX_GRID: usize = 64;

/// All faults of an experiment, in the order of its keys.
pub(super) fn faults(experiment: &Experiment) -> Vec<Fault> {
    let mut faults = Vec::new();
    name("name", &experiment.name, &mut faults);
    name("artefact", &experiment.artefact, &mut faults);
    model("model", &experiment.model, &mut faults);
    sampler(experiment, &mut faults);
    if let Some(FeaturesConfig::Pixels { grid }) = experiment.features
        && !(1..=MAX_GRID).contains(&grid)
    {
        let message = format!("{grid} blocks along a side: use 1..={MAX_GRID}");
        faults.push(Fault::new("features.grid", message));
    }
    match &experiment.protocol {
        ProtocolConfig::Filtering { n_random, curve } => {
            filtering(experiment, (*n_random, curve), &mut faults);
        }
        ProtocolConfig::Reconstruction(protocol) => {
            validate_arms::reconstruction(experiment, protocol, &mut faults);
        }
        ProtocolConfig::Guidance(protocol) => {
            validate_guidance::guidance(experiment, protocol, &mut faults);
        }
    }
    if experiment.scales.is_empty() {
        faults.push(Fault::new(
            "scales",
            "no scale is given: add one, as `smoke: {n_pool: 48, n_keep: 40}`",
        ));
    }
    for (key, value) in &experiment.scales {
        name("scales", key, &mut faults);
        scale(&format!("scales.{key}"), value, &mut faults);
    }
    gates(experiment, &mut faults);
    faults
}

fn filtering(
    experiment: &Experiment,
    (n_random, curve): (u32, &CurveConfig),
    faults: &mut Vec<Fault>,
) {
    estimators(experiment, faults);
    controls(experiment, faults);
    unique_names(experiment, faults);
    for (key, missing) in
        [("features", experiment.features.is_none()), ("reference", experiment.reference.is_none())]
    {
        if missing {
            faults.push(Fault::new(
                key,
                "a filter is judged by FID: say which features and reference",
            ));
        }
    }
    random_subsets("protocol.n_random", n_random, faults);
    random_subsets("protocol.curve.n_random", curve.n_random, faults);
    if curve.n_points >= curve.n_parts {
        let message = format!(
            "point {} of {} parts discards everything: set {} or less",
            curve.n_points,
            curve.n_parts,
            curve.n_parts.saturating_sub(1)
        );
        faults.push(Fault::new("protocol.curve.n_points", message));
    }
    for (name, scale) in &experiment.scales {
        kept(&format!("scales.{name}"), scale, faults);
    }
}

/// A filter keeps a true part of its pool, and has no arms.
fn kept(key: &str, scale: &ScaleConfig, faults: &mut Vec<Fault>) {
    let least = FrechetEstimate::MIN_ROWS as u64;
    if !scale.n_keep.is_some_and(|n_keep| (least..scale.n_pool).contains(&n_keep)) {
        let message = format!(
            "a filter keeps {least} images or more (a standard error needs them) and fewer than the pool, got {} of {}",
            scale.n_keep.map_or("none".to_owned(), |n| n.to_string()),
            scale.n_pool
        );
        faults.push(Fault::new(format!("{key}.n_keep"), message));
    }
    for (field, given) in [
        ("n_subset", scale.n_subset.is_some()),
        ("n_steps", scale.n_steps.is_some()),
        ("n_draws", scale.n_draws.is_some()),
        ("n_threshold_images", scale.n_threshold_images.is_some()),
    ] {
        if given {
            let message = "a filter runs one trajectory over its whole pool: leave it out";
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    }
}

fn model(key: &str, model: &ModelConfig, faults: &mut Vec<Fault>) {
    let ModelConfig::Analytic(gaussian) = model else { return };
    let AnalyticConfig { shape, mean, std, schedule, classes, .. } = gaussian;
    if shape[0] != 3 || !shape[1..].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        let message = format!("{shape:?} is no image: use [3, height, width], at most {MAX_SIDE}");
        faults.push(Fault::new(format!("{key}.shape"), message));
    }
    if !(-1.0..=1.0).contains(mean) {
        faults.push(Fault::new(format!("{key}.mean"), format!("{mean} is outside [-1, 1]")));
    }
    if !(std.is_finite() && *std > 0.0) {
        faults.push(Fault::new(format!("{key}.std"), format!("{std} is not above 0")));
    }
    if *classes == Some(0) {
        faults.push(Fault::new(format!("{key}.classes"), "0 classes: leave it out for none"));
    }
    noise_schedule(&format!("{key}.schedule"), schedule, faults);
}

fn noise_schedule(key: &str, schedule: &ScheduleConfig, faults: &mut Vec<Fault>) {
    if !(2..=MAX_TRAIN_STEPS).contains(&schedule.n_train_steps()) {
        let message = format!("{} is not in 2..={MAX_TRAIN_STEPS}", schedule.n_train_steps());
        faults.push(Fault::new(format!("{key}.n_train_steps"), message));
    }
    if let ScheduleConfig::Linear { beta_start, beta_end, .. }
    | ScheduleConfig::ScaledLinear { beta_start, beta_end, .. } = schedule
        && !(0.0 < *beta_start && beta_start <= beta_end && *beta_end < 1.0)
    {
        let message =
            format!("need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}");
        faults.push(Fault::new(key, message));
    }
}

fn sampler(experiment: &Experiment, faults: &mut Vec<Fault>) {
    sampler_steps("sampler", &experiment.sampler, &experiment.model, faults);
}

fn estimators(experiment: &Experiment, faults: &mut Vec<Fault>) {
    if experiment.estimators.is_empty() && experiment.controls.is_empty() {
        let message =
            "nothing to compare: add {kind: sample_var}, {kind: centered} or {kind: mc_dropout}";
        faults.push(Fault::new("estimators", message));
    }
    estimator_list("estimators", &experiment.estimators, &experiment.preset.defaults(), faults);
    for (index, estimator) in experiment.estimators.iter().enumerate() {
        let key = format!("estimators[{index}]");
        window(&key, experiment.window_of(estimator), experiment.sampler.n_steps(), faults);
    }
}

fn controls(experiment: &Experiment, faults: &mut Vec<Fault>) {
    let defaults = experiment.preset.defaults();
    for (index, control) in experiment.controls.iter().enumerate() {
        if let ControlConfig::MeanSquaredEpsilon { window: given } = control {
            let key = format!("controls[{index}]");
            let n_steps = experiment.sampler.n_steps();
            window(&key, given.unwrap_or(defaults.window), n_steps, faults);
        }
    }
}

fn unique_names(experiment: &Experiment, faults: &mut Vec<Fault>) {
    // Rows of a table that are no method carry these names.
    let mut seen: BTreeSet<&str> = ["random", "full"].into();
    let estimators = experiment.estimators.iter().map(EstimatorConfig::name).enumerate();
    let controls = experiment.controls.iter().map(ControlConfig::name).enumerate();
    let named = estimators
        .map(|(index, name)| (format!("estimators[{index}].name"), name))
        .chain(controls.map(|(index, name)| (format!("controls[{index}]"), name)));
    for (key, name) in named {
        if !seen.insert(name) {
            let message = format!("{name:?} is taken: give every method a name of its own");
            faults.push(Fault::new(key, message));
        }
    }
}

fn random_subsets(key: &str, n: u32, faults: &mut Vec<Fault>) {
    if !(2..=100_000).contains(&n) {
        let message = format!("a spread needs 2 subsets or more (at most 100000), got {n}");
        faults.push(Fault::new(key, message));
    }
}

fn scale(key: &str, scale: &ScaleConfig, faults: &mut Vec<Fault>) {
    if scale.n_pool > MAX_POOL {
        let message = format!("{} images, at most {MAX_POOL} are planned", scale.n_pool);
        faults.push(Fault::new(format!("{key}.n_pool"), message));
    }
    for (field, value) in [("block_size", scale.block_size), ("batch_size", scale.batch_size)] {
        if !(1..=65_536).contains(&value) {
            let message = format!("{value} is not in 1..=65536");
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    }
    if let Some(n) = scale.n_random {
        random_subsets(&format!("{key}.n_random"), n, faults);
    }
    if let Some(other) = &scale.model {
        model(&format!("{key}.model"), other, faults);
    }
}

fn gates(experiment: &Experiment, faults: &mut Vec<Fault>) {
    for (index, gate) in experiment.gates.iter().enumerate() {
        if !experiment.scales.contains_key(&gate.scale) {
            let known: Vec<&str> = experiment.scales.keys().map(String::as_str).collect();
            let message = format!("no scale {:?}; there are {}", gate.scale, known.join(", "));
            faults.push(Fault::new(format!("gates[{index}].scale"), message));
        }
        if !(gate.min.is_finite() && gate.max.is_finite() && gate.min <= gate.max) {
            let message = format!("the band {}..{} is empty", gate.min, gate.max);
            faults.push(Fault::new(format!("gates[{index}]"), message));
        }
    }
}
