//! Second pass over the protocols whose work is divided into arms.

use std::collections::BTreeSet;

use super::validate_values::{estimator_list, name, sampler_steps};
use crate::protocol::reconstruction::{ESTIMATE_SHIFT, LOCAL_VARIANCE, ORACLE, RANDOM};

use super::{ArmImages, Experiment, Fault, ReconstructionConfig, ScaleConfig};

/// Faults of a reconstruction.
pub(super) fn reconstruction(
    experiment: &Experiment,
    protocol: &ReconstructionConfig,
    faults: &mut Vec<Fault>,
) {
    if experiment.features.is_some() || experiment.reference.is_some() {
        let message =
            "a reconstruction is held against its own images: leave features and reference out";
        faults.push(Fault::new("features", message));
    }
    if !experiment.controls.is_empty() {
        let message = "the controls of a reconstruction are fixed: leave them out";
        faults.push(Fault::new("controls", message));
    }
    if !(2..=1000).contains(&protocol.intervals) {
        let message = format!("{} is not in 2..=1000", protocol.intervals);
        faults.push(Fault::new("protocol.intervals", message));
    }
    if protocol.late.last > protocol.late.first {
        let message = format!(
            "training times fall from first to last, got {} to {}: exchange them",
            protocol.late.first, protocol.late.last
        );
        faults.push(Fault::new("protocol.late", message));
    }
    if protocol.arms.is_empty() {
        faults.push(Fault::new("protocol.arms", "no arm is given: add {name: corrected}"));
    }
    let mut seen = BTreeSet::new();
    for (index, arm) in protocol.arms.iter().enumerate() {
        let key = format!("protocol.arms[{index}]");
        name(&format!("{key}.name"), &arm.name, faults);
        if !seen.insert(arm.name.as_str()) {
            let message = format!("{:?} is taken: give every arm a name of its own", arm.name);
            faults.push(Fault::new(format!("{key}.name"), message));
        }
        if let Some(sampler) = &arm.sampler {
            sampler_steps(&format!("{key}.sampler"), sampler, &experiment.model, faults);
            halved(&format!("{key}.sampler.n_steps"), sampler.n_steps(), faults);
        }
        let own = arm.estimators.as_ref();
        let (list, at) = match own {
            Some(list) => (list, format!("{key}.estimators")),
            None => (&experiment.estimators, "estimators".to_owned()),
        };
        if own.is_some() || index == 0 {
            estimator_list(&at, list, &experiment.preset.defaults(), faults);
            unwindowed(&at, list.iter().map(super::EstimatorConfig::window), faults);
            unique(&at, list.iter().map(super::EstimatorConfig::name), faults);
        }
    }
    halved("sampler.n_steps", experiment.sampler.n_steps(), faults);
    let subset = protocol.arms.iter().any(|arm| arm.images == ArmImages::Subset);
    for (key, scale) in &experiment.scales {
        sizes(&format!("scales.{key}"), scale, subset, faults);
        if scale.n_threshold_images.is_some() {
            let message = "only guidance has thresholds: leave it out";
            faults.push(Fault::new(format!("scales.{key}.n_threshold_images"), message));
        }
        if let Some(n_steps) = scale.n_steps {
            halved(&format!("scales.{key}.n_steps"), n_steps, faults);
        }
    }
}

/// Denoising starts in the middle, so there must be one.
fn halved(key: &str, n_steps: u32, faults: &mut Vec<Fault>) {
    if !(2..=1000).contains(&n_steps) {
        let message = format!("{n_steps} steps have no second half in 2..=1000: set 2 or more");
        faults.push(Fault::new(key, message));
    }
}

/// Names of estimators, and those that rows of every reconstruction carry.
fn unique<'a>(key: &str, names: impl Iterator<Item = &'a str>, faults: &mut Vec<Fault>) {
    let mut seen: BTreeSet<&str> =
        [RANDOM, ORACLE, LOCAL_VARIANCE, ESTIMATE_SHIFT, "reconstruction"].into();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            let message = format!("{name:?} is taken: give every method a name of its own");
            faults.push(Fault::new(format!("{key}[{index}].name"), message));
        }
    }
}

/// Estimators of a reconstruction look at every executed step.
fn unwindowed(
    key: &str,
    windows: impl Iterator<Item = Option<crate::uncertainty::Window>>,
    faults: &mut Vec<Fault>,
) {
    for (index, _) in windows.enumerate().filter(|(_, window)| window.is_some()) {
        let message = "a reconstruction looks at every executed step, and at the late ones by \
                       protocol.late: leave window out";
        faults.push(Fault::new(format!("{key}[{index}].window"), message));
    }
}

/// Sizes of a scale under arms: whole blocks, so that no block belongs to two arms.
pub(super) fn sizes(key: &str, scale: &ScaleConfig, subset: bool, faults: &mut Vec<Fault>) {
    let block = u64::from(scale.block_size.max(1));
    let mut whole = |field: &str, n: u64| {
        if n < 2 || !n.is_multiple_of(block) {
            let message = format!(
                "{n} images are no whole number of blocks of {block}: set a multiple of {block}, 2 or more"
            );
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    };
    whole("n_pool", scale.n_pool);
    match scale.n_subset {
        Some(n) => whole("n_subset", n),
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
    if scale.n_draws.is_some_and(|n| !(2..=1024).contains(&n)) {
        let message = "a variance needs 2 draws or more (at most 1024)";
        faults.push(Fault::new(format!("{key}.n_draws"), message));
    }
}
