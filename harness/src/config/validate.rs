//! Second pass over what every experiment says: values that parse but cannot work.

use super::values::{MAX_POOL, MAX_SIDE, MAX_TRAIN_STEPS, name, random_subsets, sampler_steps};
use super::{AnalyticConfig, Common, FeaturesConfig, ModelConfig, ScaleConfig};
use crate::fault::Fault;
use crate::schedule::ScheduleConfig;

/// Blocks of the pixel features along a side, at most.
const MAX_GRID: usize = 64;

/// All faults of an experiment but those of its protocol, in the order of its keys.
pub fn faults(common: &Common) -> Vec<Fault> {
    let mut faults = Vec::new();
    name("name", &common.name, &mut faults);
    name("artefact", &common.artefact, &mut faults);
    model("model", &common.model, &mut faults);
    sampler_steps("sampler", &common.sampler, &common.model, &mut faults);
    features("features", common.features.as_ref(), &mut faults);
    if common.scales.is_empty() {
        faults.push(Fault::new(
            "scales",
            "no scale is given: add one, as `smoke: {n_pool: 48, n_keep: 40}`",
        ));
    }
    for (key, value) in &common.scales {
        name("scales", key, &mut faults);
        scale(&format!("scales.{key}"), value, &mut faults);
        features(&format!("scales.{key}.features"), value.features.as_ref(), &mut faults);
        real_images(&format!("scales.{key}"), (common, value), &mut faults);
    }
    gates(common, &mut faults);
    faults
}

fn features(key: &str, features: Option<&FeaturesConfig>, faults: &mut Vec<Fault>) {
    if let Some(FeaturesConfig::Pixels { grid }) = features
        && !(1..=MAX_GRID).contains(grid)
    {
        let message = format!("{grid} blocks along a side: use 1..={MAX_GRID}");
        faults.push(Fault::new(format!("{key}.grid"), message));
    }
}

fn model(key: &str, model: &ModelConfig, faults: &mut Vec<Fault>) {
    let gaussian = match model {
        ModelConfig::Analytic(gaussian) => gaussian,
        ModelConfig::Bundle { cfg, .. } => {
            faults.extend(cfg.iter().flat_map(|cfg| cfg.faults(&format!("{key}.cfg"))));
            return;
        }
        ModelConfig::Pipeline(pipeline) => {
            faults.extend(pipeline.faults(key));
            return;
        }
    };
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
    if let Some(n) = schedule.n_train_steps()
        && !(2..=MAX_TRAIN_STEPS).contains(&n)
    {
        let message = format!("{n} is not in 2..={MAX_TRAIN_STEPS}");
        faults.push(Fault::new(format!("{key}.n_train_steps"), message));
        return;
    }
    if let ScheduleConfig::Linear { beta_start, beta_end, .. }
    | ScheduleConfig::ScaledLinear { beta_start, beta_end, .. } = schedule
        && !(0.0 < *beta_start && beta_start <= beta_end && *beta_end < 1.0)
    {
        let message =
            format!("need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}");
        faults.push(Fault::new(key, message));
    } else if schedule.n_train_steps().is_none()
        && let Err(error) = schedule.build()
    {
        faults.push(Fault::new(key, error.to_string()));
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

/// A scale says how many real images are drawn; the reference says of which.
fn real_images(key: &str, (common, scale): (&Common, &ScaleConfig), faults: &mut Vec<Fault>) {
    let Some(n) = scale.n_real else { return };
    if !(2..=MAX_POOL).contains(&n) {
        let message = format!("{n} real images are no set: use 2 to {MAX_POOL}, or leave it out");
        faults.push(Fault::new(format!("{key}.n_real"), message));
    }
    if common.reference_of(scale).is_none_or(|reference| reference.images.is_none()) {
        let message = "real images are drawn of the reference, which names none: say reference.images, as `dubench stats` takes them, or leave it out";
        faults.push(Fault::new(format!("{key}.n_real"), message));
    }
}

fn gates(common: &Common, faults: &mut Vec<Fault>) {
    for (index, gate) in common.gates.iter().enumerate() {
        if !common.scales.contains_key(&gate.scale) {
            let known: Vec<&str> = common.scales.keys().map(String::as_str).collect();
            let message = format!("no scale {:?}; there are {}", gate.scale, known.join(", "));
            faults.push(Fault::new(format!("gates[{index}].scale"), message));
        }
        if !(gate.min.is_finite() && gate.max.is_finite() && gate.min <= gate.max) {
            let message = format!("the band {}..{} is empty", gate.min, gate.max);
            faults.push(Fault::new(format!("gates[{index}]"), message));
        }
    }
}
