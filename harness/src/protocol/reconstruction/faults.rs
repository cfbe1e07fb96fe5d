//! What can be wrong with a reconstruction.

use std::collections::BTreeSet;

use super::{CHANCE, LOCAL_VARIANCE, ORACLE, RECONSTRUCTION, Reconstruction, ReconstructionArm};
use crate::config::values::{arm_sizes, estimator_list, name, sampler_steps};
use crate::config::{ArmImages, Common};
use crate::fault::Fault;
use crate::uncertainty::EstimatorConfig;

pub(super) fn faults(protocol: &Reconstruction, common: &Common) -> Vec<Fault> {
    let mut all = Vec::new();
    let faults = &mut all;
    foreign(common, faults);
    own(protocol, faults);
    let mut seen = BTreeSet::new();
    for (index, arm) in protocol.arms.iter().enumerate() {
        let key = format!("protocol.arms[{index}]");
        name(&format!("{key}.name"), &arm.name, faults);
        if !seen.insert(arm.name.as_str()) {
            let message = format!("{:?} is taken: give every arm a name of its own", arm.name);
            faults.push(Fault::new(format!("{key}.name"), message));
        }
        of_arm((&key, index), arm, common, faults);
    }
    halved("sampler.n_steps", common.sampler.n_steps(), faults);
    let subset = protocol.arms.iter().any(|arm| arm.images == ArmImages::Subset);
    for (key, scale) in &common.scales {
        arm_sizes(&format!("scales.{key}"), scale, subset, faults);
        if scale.n_threshold_images.is_some() {
            let message = "only guidance has thresholds: leave it out";
            faults.push(Fault::new(format!("scales.{key}.n_threshold_images"), message));
        }
        if let Some(n_steps) = scale.n_steps {
            halved(&format!("scales.{key}.n_steps"), n_steps, faults);
        }
    }
    all
}

/// The protocol's own values.
fn own(protocol: &Reconstruction, faults: &mut Vec<Fault>) {
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
}

/// Sampler and estimators of an arm. Those of the experiment are looked at once, with the first arm.
fn of_arm(
    (key, index): (&str, usize),
    arm: &ReconstructionArm,
    common: &Common,
    faults: &mut Vec<Fault>,
) {
    if let Some(sampler) = &arm.sampler {
        sampler_steps(&format!("{key}.sampler"), sampler, &common.model, faults);
        halved(&format!("{key}.sampler.n_steps"), sampler.n_steps(), faults);
    }
    let (list, at) = match &arm.estimators {
        Some(list) => (list, format!("{key}.estimators")),
        None if index == 0 => (&common.estimators, "estimators".to_owned()),
        None => return,
    };
    estimator_list(&at, list, &common.defaults(common.sampler.n_steps()), faults);
    unwindowed(&at, list.iter().map(|config| config.given().window), faults);
    unique(&at, list.iter().map(EstimatorConfig::name), faults);
}

/// Keys of other protocols.
fn foreign(common: &Common, faults: &mut Vec<Fault>) {
    if common.features.is_some() || common.reference.is_some() {
        let message =
            "a reconstruction is held against its own images: leave features and reference out";
        faults.push(Fault::new("features", message));
    }
    if !common.controls.is_empty() {
        let message = "the controls of a reconstruction are fixed: leave them out";
        faults.push(Fault::new("controls", message));
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
fn unique(key: &str, names: impl Iterator<Item = String>, faults: &mut Vec<Fault>) {
    let taken = [CHANCE, ORACLE, LOCAL_VARIANCE, "estimate_shift", RECONSTRUCTION];
    let mut seen: BTreeSet<String> = taken.map(str::to_owned).into();
    for (index, name) in names.enumerate() {
        if !seen.insert(name.clone()) {
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
