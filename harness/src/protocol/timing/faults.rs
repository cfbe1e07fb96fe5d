//! What can be wrong with a timing.

use std::collections::BTreeSet;

use super::{WITH, WITHOUT};
use crate::config::values::{estimator_list, window};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::uncertainty::EstimatorConfig;

pub(super) fn faults(common: &Common) -> Vec<Fault> {
    let mut all = Vec::new();
    let faults = &mut all;
    if common.features.is_some() || common.reference.is_some() {
        let message = "a timing compares no sets of images: leave features and reference out";
        faults.push(Fault::new("features", message));
    }
    if !common.controls.is_empty() {
        let message = "controls cost no evaluation, so there is nothing to predict: leave them out";
        faults.push(Fault::new("controls", message));
    }
    if common.estimators.is_empty() {
        let message = "nothing to time: add {kind: sample_var}";
        faults.push(Fault::new("estimators", message));
    }
    let n_steps = common.sampler.n_steps();
    let defaults = common.defaults(n_steps);
    estimator_list("estimators", &common.estimators, &defaults, faults);
    for (at, estimator) in common.estimators.iter().enumerate() {
        window(&format!("estimators[{at}]"), estimator.window(&defaults), n_steps, faults);
    }
    unique(common.estimators.iter().map(EstimatorConfig::name), faults);
    for (name, scale) in &common.scales {
        repeats(&format!("scales.{name}"), scale, faults);
    }
    all
}

fn unique(names: impl Iterator<Item = String>, faults: &mut Vec<Fault>) {
    let mut seen: BTreeSet<String> = [WITH, WITHOUT].map(str::to_owned).into();
    for (at, name) in names.enumerate() {
        if !seen.insert(name.clone()) {
            let message = format!("{name:?} is taken: give every method a name of its own");
            faults.push(Fault::new(format!("estimators[{at}].name"), message));
        }
    }
}

/// A block is a repeat, all are of one size, and a spread needs two.
fn repeats(key: &str, scale: &ScaleConfig, faults: &mut Vec<Fault>) {
    let block = u64::from(scale.block_size).max(1);
    if !scale.n_pool.is_multiple_of(block) || scale.n_pool / block < 2 {
        let message = format!(
            "a block is a repeat and a spread needs two: {} images are no two or more whole blocks of {block}; set n_pool to \
             {} or another multiple",
            scale.n_pool,
            2 * block
        );
        faults.push(Fault::new(format!("{key}.n_pool"), message));
    }
    for (field, given) in [
        ("n_keep", scale.n_keep.is_some()),
        ("n_subset", scale.n_subset.is_some()),
        ("n_steps", scale.n_steps.is_some()),
        ("n_draws", scale.n_draws.is_some()),
        ("n_random", scale.n_random.is_some()),
        ("n_threshold_images", scale.n_threshold_images.is_some()),
    ] {
        if given {
            let message = "a timing has n_pool and block_size: leave it out";
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::Experiment;
    use crate::experiment::tests::TINY;
    use crate::protocol::example::refused;

    #[test]
    fn what_makes_no_timing_is_refused_with_its_key() {
        let good = "[{kind: sample_var}]";
        let scale = "{n_pool: 8, block_size: 4}";
        for (estimators, scale, expected) in [
            ("[]", scale, "estimators: nothing to time"),
            ("[{kind: sample_var, n_draws: 1}]", scale, "a variance needs 2 draws or more"),
            ("[{kind: sample_var, n_draws: 0}]", scale, "a variance needs 2 draws or more"),
            (
                "[{kind: sample_var, window: {start: 48, len: 4}}]",
                scale,
                "window 48..=51 ends past the last step 49",
            ),
            ("[{kind: sample_var, name: without_uncertainty}]", scale, "is taken"),
            (good, "{n_pool: 10, block_size: 4}", "set n_pool to 8 or another multiple"),
            (good, "{n_pool: 4, block_size: 4}", "a spread needs two"),
            (good, "{n_pool: 8, block_size: 4, n_keep: 6}", "a timing has n_pool and block_size"),
        ] {
            let message = refused(estimators, "{kind: timing}", scale);
            assert!(message.contains(expected), "{message}, expected {expected}");
        }
        // What the scale has no need of.
        let text = TINY.split("protocol:").next().unwrap().to_owned()
            + "protocol: {kind: timing}\nscales: {smoke: {n_pool: 8, block_size: 4}}\n";
        let message = Experiment::parse(Path::new("t.yaml"), &text).unwrap_err().to_string();
        assert!(message.contains("features: a timing compares no sets of images"), "{message}");
        assert!(message.contains("controls: controls cost no evaluation"), "{message}");
    }
}
