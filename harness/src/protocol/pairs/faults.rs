//! What can be wrong with an experiment of pairs.

use std::collections::BTreeSet;

use super::{Pairs, UNGUIDED};
use crate::config::values::{estimator_list, name, window};
use crate::config::{Common, FeaturesConfig};
use crate::fault::Fault;
use crate::protocol::guidance::rule_faults;

/// Guided arms, at most: each is a line of the sheet.
const MOST_ARMS: usize = 40;

pub(super) fn faults(pairs: &Pairs, common: &Common) -> Vec<Fault> {
    let mut faults = Vec::new();
    let scales = common.scales.values().filter_map(|scale| scale.features.as_ref());
    let of_sets = |features: &FeaturesConfig| !matches!(features, FeaturesConfig::Clip { .. });
    if common.features.iter().chain(scales).any(of_sets) || common.reference.is_some() {
        let message = "pairs are not judged by FID: leave reference out, and features but for {kind: clip, path: FOLDER}";
        faults.push(Fault::new("features", message));
    }
    let defaults = common.defaults(common.sampler.n_steps());
    estimator_list("estimators", &common.estimators, &defaults, &mut faults);
    for (at, estimator) in common.estimators.iter().enumerate() {
        let n_steps = common.sampler.n_steps();
        let of = common.window_of(estimator, n_steps);
        window(&format!("estimators[{at}]"), of, n_steps, &mut faults);
    }
    if !(1..=MOST_ARMS).contains(&pairs.arms.len()) {
        let message = format!("{} guided arms, expected 1 to {MOST_ARMS}", pairs.arms.len());
        faults.push(Fault::new("protocol.arms", message));
    }
    let mut seen = BTreeSet::from([UNGUIDED]);
    for (at, arm) in pairs.arms.iter().enumerate() {
        let key = format!("protocol.arms[{at}]");
        name(&format!("{key}.name"), &arm.name, &mut faults);
        if !seen.insert(&arm.name) {
            let message = format!("{:?} is taken: choose another name", arm.name);
            faults.push(Fault::new(format!("{key}.name"), message));
        }
        rule_faults(&format!("{key}.rule"), &arm.rule, &common.sampler, &mut faults);
    }
    for (key, scale) in &common.scales {
        if scale.n_pool == 0 {
            let message = "no pair: set 1 or more, 64 for numbers that mean something";
            faults.push(Fault::new(format!("scales.{key}.n_pool"), message));
        }
    }
    faults
}
