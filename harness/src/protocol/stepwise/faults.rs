//! What can be wrong with a look along the walk.

use std::collections::BTreeSet;

use super::Stepwise;
use crate::config::Common;
use crate::config::values::{arm_sizes, estimator_list, random_subsets};
use crate::fault::Fault;
use crate::uncertainty::EstimatorConfig;

pub(super) fn faults(protocol: &Stepwise, common: &Common) -> Vec<Fault> {
    let mut all = Vec::new();
    let faults = &mut all;
    if common.features.is_some() || common.reference.is_some() {
        let message = "no sets of images are compared: leave features and reference out";
        faults.push(Fault::new("features", message));
    }
    if !common.controls.is_empty() {
        let message = "only estimators have something to say at every step: leave them out";
        faults.push(Fault::new("controls", message));
    }
    if common.estimators.is_empty() {
        faults.push(Fault::new("estimators", "nothing to look at: add {kind: sample_var}"));
    }
    let (first, last) = (protocol.peak.first, protocol.peak.last);
    if !(0.0 <= first && first < last && last <= 1.0) {
        let message = format!("{first} to {last} is no part of the walk: 0 <= first < last <= 1");
        faults.push(Fault::new("protocol.peak", message));
    }
    random_subsets("protocol.n_bootstrap", protocol.n_bootstrap, faults);
    let defaults = common.defaults(common.sampler.n_steps());
    let lists = [("estimators", Some(&common.estimators))];
    let own = [("protocol.map_estimators", protocol.map_estimators.as_ref())];
    for (key, list) in lists.into_iter().chain(own) {
        let Some(list) = list else { continue };
        estimator_list(key, list, &defaults, faults);
        looking_everywhere(key, list, faults);
    }
    for (name, scale) in &common.scales {
        let key = format!("scales.{name}");
        arm_sizes(&key, scale, true, faults);
        if let Some(n) = scale.n_random {
            random_subsets(&format!("{key}.n_random"), n, faults);
        }
        if scale.n_threshold_images.is_some() {
            let message = "only guidance has thresholds: leave it out";
            faults.push(Fault::new(format!("{key}.n_threshold_images"), message));
        }
    }
    all
}

/// Names of their own, and no window.
fn looking_everywhere(key: &str, list: &[EstimatorConfig], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (at, config) in list.iter().enumerate() {
        if !seen.insert(config.name()) {
            let message =
                format!("{:?} is taken: give every method a name of its own", config.name());
            faults.push(Fault::new(format!("{key}[{at}].name"), message));
        }
        if config.given().window.is_some() {
            let message = "every step is looked at: leave window out";
            faults.push(Fault::new(format!("{key}[{at}].window"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::example::refused;

    #[test]
    fn what_makes_no_look_along_the_walk_is_refused_with_its_key() {
        let (good, scale) = ("[{kind: sample_var}]", "{n_pool: 8, n_subset: 2}");
        for (estimators, protocol, scale, expected) in [
            ("[]", "{kind: stepwise}", scale, "estimators: nothing to look at"),
            (
                "[{kind: sample_var, window: {start: 40, len: 2}}]",
                "{kind: stepwise}",
                scale,
                "every step is looked at",
            ),
            (
                good,
                "{kind: stepwise, peak: {first: 0.9, last: 0.5}}",
                scale,
                "0.9 to 0.5 is no part of the walk",
            ),
            (
                good,
                "{kind: stepwise, n_bootstrap: 1}",
                scale,
                "protocol.n_bootstrap: a spread needs 2",
            ),
            (
                good,
                "{kind: stepwise, map_estimators: [{kind: centered, n_draws: 1}]}",
                scale,
                "protocol.map_estimators[0].n_draws",
            ),
            (good, "{kind: stepwise}", "{n_pool: 8}", "scales.smoke.n_subset"),
            (good, "{kind: stepwise}", "{n_pool: 1, n_subset: 1}", "1 images have no spread"),
        ] {
            let message = refused(estimators, protocol, scale);
            assert!(message.contains(expected), "{message}, expected {expected}");
        }
    }
}
