//! Every fault that an experiment file can have, provoked by one edit of a good one.

use std::path::Path;

use super::Experiment;
use crate::config::ConfigError;

const GOOD: &str = include_str!("tiny.yaml");

fn edited(from: &str, to: &str) -> Result<Experiment, ConfigError> {
    edit_of(GOOD, from, to)
}

fn edit_of(good: &str, from: &str, to: &str) -> Result<Experiment, ConfigError> {
    assert!(good.contains(from), "{from:?} is not in the good file");
    Experiment::parse(Path::new("q.yaml"), &good.replacen(from, to, 1))
}

/// From, to, the key at which the edit is refused, and a part of the words.
type Edit = (&'static str, &'static str, &'static str, &'static str);

/// Edits a good file, one edit at a time.
fn each_is_refused(good: &str, edits: &[Edit]) {
    for (from, to, key, part) in edits {
        let error = edit_of(good, from, to).expect_err(to);
        let ConfigError::Invalid { faults, .. } = &error else { panic!("{to}: {error}") };
        assert!(
            faults.iter().any(|fault| fault.key == *key && fault.message.contains(part)),
            "{to}: expected {key:?} with {part:?}, got {faults:?}"
        );
    }
}

#[test]
fn the_good_file_is_good() {
    let experiment = edited("seed: 7", "seed: 8").unwrap();
    assert_eq!(experiment.seed, 8);
    assert_eq!(experiment.sampler.label(), "ddim-50");
}

const EDITS: &[Edit] = &[
    ("name: tiny", "name: Tiny Name", "name", "a-z"),
    ("artefact: none", "artefact: ''", "artefact", "a-z"),
    ("shape: [3, 8, 8]", "shape: [1, 8, 8]", "model.shape", "[3, height, width]"),
    ("mean: 0.1", "mean: 3", "model.mean", "[-1, 1]"),
    ("std: 0.5", "std: 0", "model.std", "above 0"),
    ("beta_start: 1.0e-4", "beta_start: 0.5", "model.schedule", "beta_start <= beta_end"),
    ("n_train_steps: 1000", "n_train_steps: 1", "model.schedule.n_train_steps", "2..=1000000"),
    ("n_steps: 50", "n_steps: 0", "sampler.n_steps", "1..=1000"),
    ("n_steps: 50", "n_steps: 1001", "sampler.n_steps", "1..=1000"),
    (
        "n_steps: 50",
        "n_steps: 50, grid: {kind: leading, offset: 20}",
        "sampler.grid.offset",
        "19 or less",
    ),
    ("kind: sample_var", "kind: sample_var, n_draws: 1", "estimators[0].n_draws", "2 draws"),
    (
        "kind: sample_var",
        "kind: sample_var, window: {start: 48, len: 3}",
        "estimators[0].window",
        "set window.len to 2 or less",
    ),
    (
        "kind: sample_var",
        "kind: sample_var, window: {start: 50, len: 1}",
        "estimators[0].window",
        "set window.start to 49 or less",
    ),
    ("len: 2}", "len: 0}", "estimators[1].window", "1 or more"),
    ("kind: centered, ", "kind: sample_var, ", "estimators[1].name", "taken"),
    ("kind: sample_var", "kind: sample_var, name: random", "estimators[0].name", "taken"),
    ("kind: sample_var", "kind: mc_dropout, p: 1.0", "estimators[0].p", "(0, 1)"),
    ("grid: 2", "grid: 0", "features.grid", "1..=64"),
    ("n_random: 50", "n_random: 1", "protocol.n_random", "2 subsets"),
    ("n_points: 2", "n_points: 4", "protocol.curve.n_points", "3 or less"),
    ("n_keep: 40", "n_keep: 48", "scales.smoke.n_keep", "got 48 of 48"),
    ("n_keep: 40", "n_keep: 3", "scales.smoke.n_keep", "4 images or more"),
    ("block_size: 16", "block_size: 0", "scales.smoke.block_size", "1..=65536"),
    (
        "scales:",
        "gates: [{scale: paper, method: full, metric: fid, min: 0, max: 9}]\nscales:",
        "gates[0].scale",
        "mini, smoke",
    ),
];

#[test]
fn every_edit_is_refused_at_its_key_path() {
    each_is_refused(GOOD, EDITS);
}

#[test]
fn unknown_keys_variants_and_types_are_refused_with_the_accepted_ones() {
    let cases = [
        ("seed: 7", "seed: 7\nsed: 8", "sed", "`seed`"),
        ("kind: ddim", "kind: dim", "dim", "`ddim`"),
        ("n_steps: 50", "n_step: 50", "n_step", "`n_steps`"),
        ("kind: total_variation", "kind: total_variation, window: 3", "window", "total_variation"),
        ("seed: 7", "seed: -7", "-7", "u64"),
        ("n_pool: 48", "n_pol: 48", "scales.smoke", "`n_pool`"),
        ("name: tiny", "", "name", "missing field"),
        ("seed: 7", "seed: 7\nseed: 8", "seed", "duplicate"),
    ];
    for (from, to, got, accepted) in cases {
        let error = edited(from, to).expect_err(to);
        assert!(matches!(error, ConfigError::Syntax { .. }), "{to}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("q.yaml: ") && text.contains(got), "{to}: {text}");
        if !accepted.contains("total") {
            assert!(text.contains(accepted), "{to}: {text}");
        }
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let text = GOOD.replace("std: 0.5", "std: -1").replace("n_random: 50", "n_random: 0");
    let error = Experiment::parse(Path::new("q.yaml"), &text).unwrap_err().to_string();
    assert!(error.starts_with("q.yaml: 2 faults\n  model.std: "), "{error}");
}

const RECONSTRUCTION_EDITS: &[Edit] = &[
    ("n_pool: 8", "n_pool: 1", "scales.smoke.n_pool", "2 or more"),
    ("n_subset: 4", "n_subset: 12", "scales.smoke.n_subset", "at most"),
    ("n_subset: 4, ", "", "scales.smoke.n_subset", "say how many"),
    ("n_pool: 8", "n_pool: 8, n_keep: 4", "scales.smoke.n_keep", "leave n_keep out"),
    ("n_draws: 3", "n_draws: 1", "scales.smoke.n_draws", "2 draws"),
    ("n_steps: 20, n_draws", "n_steps: 1, n_draws", "scales.smoke.n_steps", "2..=1000"),
    ("{name: corrected}", "{name: half_t}", "protocol.arms[1].name", "taken"),
    ("n_steps: 20}", "n_steps: 1}", "protocol.arms[2].sampler.n_steps", "2 or more"),
    ("images: images.npz", "images: images.npz\n  intervals: 1", "protocol.intervals", "2..=1000"),
    (
        "images: images.npz",
        "images: images.npz\n  late: {first: 20, last: 80}",
        "protocol.late",
        "exchange",
    ),
    (
        "- {kind: sample_var}",
        "- {kind: sample_var, window: {start: 45, len: 4}}",
        "estimators[0].window",
        "leave window out",
    ),
    ("- {kind: sample_var}", "- {kind: sample_var, name: oracle}", "estimators[0].name", "taken"),
    (
        "[{kind: centered}, ",
        "[{kind: mc_dropout}, ",
        "protocol.arms[2].estimators[1].name",
        "taken",
    ),
    ("seed: 7", "seed: 7\ncontrols: [{kind: total_variation}]", "controls", "leave them out"),
    ("seed: 7", "seed: 7\nfeatures: {kind: pixels, grid: 2}", "features", "own images"),
];

#[test]
fn every_edit_of_a_reconstruction_is_refused_at_its_key_path() {
    each_is_refused(include_str!("tiny_reconstruction.yaml"), RECONSTRUCTION_EDITS);
}

#[test]
fn the_shipped_reconstruction_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/table2-cifar10.yaml");
    let experiment = Experiment::read(&path).unwrap();
    assert!(experiment.scales["mini"].n_pool >= 1000);
}

#[test]
fn every_edit_of_a_guidance_experiment_is_refused_at_its_key_path() {
    const GUIDANCE: &str = include_str!("tiny_guidance.yaml");
    let cases = [
        ("lambda: 0.5", "lambda: .nan", "protocol.arms[1].rule.lambda", "finite"),
        ("lambda: 0.5", "percentile: 95", "protocol.arms[1].rule.percentile", "fraction"),
        ("lambda: 0.5", "n_draws: 1", "protocol.arms[1].rule.n_draws", "2 draws"),
        ("lambda: 0.5", "window: {start: 8, len: 3}", "protocol.arms[1].rule.window", "ends past"),
        (
            "kind: authors_gradient",
            "kind: authors_gradient, batch_size: 0",
            "protocol.arms[4].rule.batch_size",
            "128",
        ),
        (
            "{name: unguided}",
            "{name: first, rule: {kind: posterior}}",
            "protocol.arms[1].rule",
            "no unguided arm of ddim-10",
        ),
        ("name: posterior", "name: gradient", "protocol.arms[2].name", "taken"),
        ("lambdas: [0.1, 1.0]", "lambdas: []", "protocol.sweep", "0 cells"),
        ("lambdas: [0.1, 1.0]", "lambdas: [1.0, 1.0]", "protocol.sweep.lambdas", "twice"),
        ("n_subset: 16, ", "", "scales.smoke.n_subset", "say how many"),
        ("n_pool: 24", "n_pool: 1", "scales.smoke.n_pool", "2 or more"),
        ("features: {kind: pixels, grid: 2}\n", "", "features", "judged by FID"),
        ("seed: 7", "seed: 7\nestimators: [{kind: sample_var}]", "estimators", "leave estimators"),
    ];
    each_is_refused(GUIDANCE, &cases);
}

#[test]
fn sizes_that_no_memory_holds_are_refused_at_their_key_path() {
    for (from, to, expected) in [
        ("n_train_steps: 1000", "n_train_steps: 4294967295", "n_train_steps: 4294967295 is not in"),
        ("shape: [3, 8, 8]", "shape: [3, 8, 4294967296]", "model.shape: [3, 8, 4294967296] is no"),
        ("grid: 2", "grid: 6074001000", "features.grid: 6074001000 blocks along a side"),
    ] {
        let error = edited(from, to).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_sweep_of_millions_of_cells_is_refused_without_a_look_at_each() {
    const GUIDANCE: &str = include_str!("tiny_guidance.yaml");
    let many: Vec<String> = (2..3002).map(|value| value.to_string()).collect();
    let text = GUIDANCE
        .replace("lambdas: [0.1, 1.0]", &format!("lambdas: [{}]", many.join(", ")))
        .replace("percentiles: [0.5, 0.95]", &format!("percentiles: [{}]", many.join(", ")));
    let error = Experiment::parse(Path::new("q.yaml"), &text).unwrap_err();
    let ConfigError::Invalid { faults, .. } = &error else { panic!("{error}") };
    // None of the percentiles is one, and nine million faults would say so.
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("9000000 cells, expected 1 to 400"), "{faults:?}");
}

#[test]
fn the_shipped_guidance_experiment_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/table3-cifar10.yaml");
    let experiment = Experiment::read(&path).unwrap();
    assert!(experiment.scales["mini"].n_pool >= 1000);
}

#[test]
fn every_edit_of_a_threshold_set_is_refused_at_its_key_path() {
    const THRESHOLDS: &str = include_str!("tiny_thresholds.yaml");
    const GUIDANCE: &str = include_str!("tiny_guidance.yaml");
    let cases = [
        ("n_images: 12", "n_images: 1", "protocol.arms[4].rule.mask.n_images", "2 to"),
        ("n_draws: 6", "n_draws: 1", "protocol.arms[4].rule.mask.n_draws", "2 draws"),
        (", n_threshold_images: 20", "", "scales.smoke.n_threshold_images", "say how many"),
        ("n_threshold_images: 20", "n_threshold_images: 0", "scales.smoke.n_threshold_images", "2"),
    ];
    each_is_refused(THRESHOLDS, &cases);
    let unused = GUIDANCE.replacen("n_draws: 3", "n_draws: 3, n_threshold_images: 20", 1);
    let message = Experiment::parse(Path::new("q.yaml"), &unused).unwrap_err().to_string();
    assert!(message.contains("no mask takes its thresholds from a generated set"), "{message}");
    let kind = THRESHOLDS.replacen("dataset_scalar", "dataset", 1);
    let message = Experiment::parse(Path::new("q.yaml"), &kind).unwrap_err().to_string();
    assert!(message.contains("dataset_pixel"), "{message}");
}

#[test]
fn the_shipped_threshold_experiment_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/thresholds-cifar10.yaml");
    let experiment = Experiment::read(&path).unwrap();
    assert_eq!(experiment.scales["paper"].n_threshold_images, Some(10_000));
}

#[test]
fn every_shipped_experiment_is_good_at_its_three_scales() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml");
        if is_yaml && !path.ends_with("assets.yaml") {
            let experiment = Experiment::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let scales: Vec<&str> = experiment.scales.keys().map(String::as_str).collect();
            assert_eq!(scales, ["mini", "paper", "smoke"], "{}", path.display());
            assert_eq!(path.file_stem().unwrap().to_str(), Some(experiment.name.as_str()));
            names.push(experiment.name.clone());
        }
    }
    assert!(names.len() >= 5, "{names:?}");
}
