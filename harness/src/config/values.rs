//! Checks that the second passes of all protocols share: names, sizes, samplers, windows, estimators.

use super::{AnalyticConfig, Common, FeaturesConfig, ModelConfig, ScaleConfig};
use crate::fault::Fault;
use crate::sampler::SamplerConfig;
use crate::schedule::TimeAxis;
use crate::uncertainty::{Defaults, EstimatorConfig, Window};

/// Images of a plan, at most: ten million.
pub const MAX_POOL: u64 = 10_000_000;

/// Training times of a schedule, at most: all of them are held in memory.
pub const MAX_TRAIN_STEPS: u32 = 1_000_000;

/// Side of an image, at most.
pub const MAX_SIDE: usize = 8192;

/// Names become folder names, so they are kept plain.
pub fn name(key: &str, value: &str, faults: &mut Vec<Fault>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if value.is_empty() || value.len() > 64 || !value.chars().all(plain) {
        let message = format!("{value:?} cannot name a folder: use 1 to 64 of a-z, 0-9, '-', '_'");
        faults.push(Fault::new(key, message));
    }
}

/// Steps and grid of a sampler.
pub fn sampler_steps(
    key: &str,
    sampler: &SamplerConfig,
    model: &ModelConfig,
    faults: &mut Vec<Fault>,
) {
    // The own schedule of a bundle or pipeline is checked where its description is read.
    let axis = match model {
        ModelConfig::Analytic(AnalyticConfig { schedule, .. }) => schedule.axis(),
        ModelConfig::Bundle { .. } | ModelConfig::Pipeline(_) => TimeAxis::Unread,
    };
    faults.extend(sampler.faults(axis).into_iter().map(|fault| fault.below(key)));
}

/// A window that lies in the steps of its sampler. Default windows always do.
pub fn window(key: &str, window: Window, n_steps: u32, faults: &mut Vec<Fault>) {
    let below = format!("{key}.window");
    if window.len == 0 {
        let message = "a window of 0 steps sees nothing: set window.len to 1 or more";
        faults.push(Fault::new(below, message));
        return;
    }
    let end = u64::from(window.start) + u64::from(window.len);
    if end <= u64::from(n_steps) {
        return;
    }
    if n_steps == 0 {
        // No window lies in no steps: their number is what is wrong, and its own fault says so.
        return;
    }
    let remedy = match n_steps.saturating_sub(window.start) {
        0 if window.len > n_steps => {
            format!("set window.start to 0 and window.len to {n_steps} or less")
        }
        0 => format!("set window.start to {} or less", n_steps - window.len),
        room => format!("set window.len to {room} or less"),
    };
    let (start, last) = (window.start, n_steps.saturating_sub(1));
    let ends = format!("{start}..={} ends past the last step {last}", end - 1);
    faults.push(Fault::new(below, format!("window {ends}: {remedy}")));
}

/// Names, draws and own values of estimators.
pub fn estimator_list(
    key: &str,
    estimators: &[EstimatorConfig],
    defaults: &Defaults,
    faults: &mut Vec<Fault>,
) {
    for (index, estimator) in estimators.iter().enumerate() {
        let key = format!("{key}[{index}]");
        name(&format!("{key}.name"), &estimator.name(), faults);
        let n_draws = estimator.given().n_draws.unwrap_or(defaults.n_draws);
        if !(2..=1024).contains(&n_draws) {
            let message = format!("a variance needs 2 draws or more (at most 1024), got {n_draws}");
            faults.push(Fault::new(format!("{key}.n_draws"), message));
        }
        faults.extend(estimator.faults().into_iter().map(|fault| fault.below(&key)));
    }
}

/// Draws of a variance, where they are given.
pub fn n_draws(key: &str, n_draws: Option<u32>, faults: &mut Vec<Fault>) {
    if n_draws.is_some_and(|n| !(2..=1024).contains(&n)) {
        let message = "a variance needs 2 draws or more (at most 1024)";
        faults.push(Fault::new(key, message));
    }
}

/// A number of random subsets.
pub fn random_subsets(key: &str, n: u32, faults: &mut Vec<Fault>) {
    if !(2..=100_000).contains(&n) {
        let message = format!("a spread needs 2 subsets or more (at most 100000), got {n}");
        faults.push(Fault::new(key, message));
    }
}

/// Sections that a protocol cannot do without, of `features`, `reference` and `reference.path`; `because` is why.
pub fn required<const N: usize>(
    common: &Common,
    sections: [&str; N],
    because: &str,
    faults: &mut Vec<Fault>,
) {
    for section in sections {
        let missing = match section {
            "features" => common.features.is_none(),
            "reference.path" => no_statistics(common),
            _ => common.reference.is_none(),
        };
        if missing {
            faults
                .push(Fault::new(section, format!("{because}: say which features and reference")));
        }
    }
}

/// A distance between sets that are prepared in two ways says nothing of either.
pub fn one_preprocessing(common: &Common, faults: &mut Vec<Fault>) {
    if common.features.as_ref().and_then(FeaturesConfig::generated).is_some() {
        let message = "generated images are prepared otherwise than real ones in a table of precision and recall alone: leave it out";
        faults.push(Fault::new("features.generated", message));
    }
}

/// Whether a reference, of any scale, names no statistics.
fn no_statistics(common: &Common) -> bool {
    let of_scales = common.scales.values().filter_map(|scale| scale.reference.as_ref());
    common.reference.iter().chain(of_scales).any(|reference| reference.path.is_none())
}

/// Sizes of a scale whose protocol has arms of all and of some images, and keeps none back.
pub fn arm_sizes(key: &str, scale: &ScaleConfig, subset: bool, faults: &mut Vec<Fault>) {
    let mut enough = |field: &str, n: u64| {
        if n < 2 {
            let message = format!("{n} images have no spread: set 2 or more");
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    };
    enough("n_pool", scale.n_pool);
    match scale.n_subset {
        Some(n) => enough("n_subset", n),
        None if subset => {
            let message = "an arm takes a subset of the images: say how many".to_owned();
            faults.push(Fault::new(format!("{key}.n_subset"), message));
        }
        None => {}
    }
    if scale.n_subset.is_some_and(|n| n > scale.n_pool) {
        let message = format!("a subset of {} images has {} at most", scale.n_pool, scale.n_pool);
        faults.push(Fault::new(format!("{key}.n_subset"), message));
    }
    if scale.n_keep.is_some() {
        let message = "only a filter keeps a part of the images: leave n_keep out";
        faults.push(Fault::new(format!("{key}.n_keep"), message));
    }
    n_draws(&format!("{key}.n_draws"), scale.n_draws, faults);
}
