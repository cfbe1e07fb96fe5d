//! What can be wrong with a filter.

use std::collections::BTreeSet;

use dubench_metrics::FrechetEstimate;

use super::Filtering;
use crate::config::values::{estimator_list, one_preprocessing, random_subsets, required, window};
use crate::config::{Common, ScaleConfig};
use crate::control::ControlConfig;
use crate::fault::Fault;
use crate::uncertainty::EstimatorConfig;

/// Names of rows that are no method.
const TAKEN: [&str; 2] = ["random", "full"];

pub(super) fn faults(filter: &Filtering, common: &Common) -> Vec<Fault> {
    let mut faults = Vec::new();
    pool_faults(common, &TAKEN, &mut faults);
    let sections = ["features", "reference", "reference.path"];
    required(common, sections, "a filter is judged by FID", &mut faults);
    one_preprocessing(common, &mut faults);
    random_subsets("protocol.n_random", filter.n_random, &mut faults);
    random_subsets("protocol.curve.n_random", filter.curve.n_random, &mut faults);
    if filter.n_keep != 0 {
        let message = "every scale keeps its own number: leave it out, say it under scales";
        faults.push(Fault::new("protocol.n_keep", message));
    }
    if filter.curve.n_points >= filter.curve.n_parts {
        let message = format!(
            "point {} of {} parts discards everything: set {} or less",
            filter.curve.n_points,
            filter.curve.n_parts,
            filter.curve.n_parts.saturating_sub(1)
        );
        faults.push(Fault::new("protocol.curve.n_points", message));
    }
    let bayesdiff = filter.bayesdiff.as_ref();
    if let Some(bayesdiff) = bayesdiff {
        faults.extend(bayesdiff.faults(common, &|name| is_taken(common, &TAKEN, name)));
    }
    if let Some(generative) = &filter.generative_uncertainty {
        let arms = || bayesdiff.into_iter().flat_map(|bayesdiff| &bayesdiff.arms);
        let taken =
            |name: &str| is_taken(common, &TAKEN, name) || arms().any(|arm| arm.name == name);
        let own = generative.faults(&taken).into_iter();
        faults.extend(own.map(|fault| fault.below("protocol")));
        if bayesdiff.is_some_and(|bayesdiff| bayesdiff.posterior != generative.posterior) {
            let message =
                "a network has one posterior here: write what protocol.bayesdiff.posterior has";
            faults.push(Fault::new("protocol.generative_uncertainty.posterior", message));
        }
    }
    faults
}

/// Whether an estimator, a control or a row that is no method has a name.
pub(in crate::protocol) fn is_taken(common: &Common, rows: &[&str], name: &str) -> bool {
    let estimators = common.estimators.iter().map(EstimatorConfig::name);
    let controls = common.controls.iter().map(|control| control.kind().to_owned());
    rows.contains(&name) || estimators.chain(controls).any(|other| other == name)
}

/// Faults of a pool that methods rank and a part of which is kept; names in `taken` are those of rows that are no method.
pub(in crate::protocol) fn pool_faults(common: &Common, taken: &[&str], faults: &mut Vec<Fault>) {
    methods(common, taken, faults);
    for (name, scale) in &common.scales {
        kept(&format!("scales.{name}"), scale, faults);
    }
}

fn methods(common: &Common, taken: &[&str], faults: &mut Vec<Fault>) {
    if common.estimators.is_empty() && common.controls.is_empty() {
        let message =
            "nothing to compare: add {kind: sample_var}, {kind: centered} or {kind: mc_dropout}";
        faults.push(Fault::new("estimators", message));
    }
    let n_steps = common.sampler.n_steps();
    let defaults = common.defaults(n_steps);
    estimator_list("estimators", &common.estimators, &defaults, faults);
    for (index, estimator) in common.estimators.iter().enumerate() {
        let found = estimator.window(&defaults);
        window(&format!("estimators[{index}]"), found, n_steps, faults);
    }
    for (index, control) in common.controls.iter().enumerate() {
        let mut control = control.clone();
        control.fill(&defaults);
        if let Some(found) = control.window() {
            window(&format!("controls[{index}]"), found, n_steps, faults);
        }
    }
    unique_names(common, taken, faults);
}

fn unique_names(common: &Common, taken: &[&str], faults: &mut Vec<Fault>) {
    let mut seen: BTreeSet<String> = taken.iter().map(|name| (*name).to_owned()).collect();
    let estimators = common.estimators.iter().enumerate();
    let named = estimators
        .map(|(index, config)| (format!("estimators[{index}].name"), config.name()))
        .chain(
            common
                .controls
                .iter()
                .map(ControlConfig::kind)
                .enumerate()
                .map(|(index, kind)| (format!("controls[{index}]"), kind.to_owned())),
        );
    for (key, name) in named {
        if !seen.insert(name.clone()) {
            let message = format!("{name:?} is taken: give every method a name of its own");
            faults.push(Fault::new(key, message));
        }
    }
}

/// A filter keeps a true part of its pool.
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
