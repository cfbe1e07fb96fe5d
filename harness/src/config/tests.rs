//! Every fault that an experiment file can have, provoked by one edit of a good one.

use std::path::Path;

use super::{ConfigError, Experiment};

const GOOD: &str = include_str!("../plan/tiny.yaml");

fn edited(from: &str, to: &str) -> Result<Experiment, ConfigError> {
    assert!(GOOD.contains(from), "{from:?} is not in the good file");
    Experiment::parse(Path::new("q.yaml"), &GOOD.replacen(from, to, 1))
}

#[test]
fn the_good_file_is_good() {
    let experiment = edited("seed: 7", "seed: 8").unwrap();
    assert_eq!(experiment.seed, 8);
    assert_eq!(experiment.sampler.label(), "ddim-50");
}

#[test]
fn every_edit_is_refused_at_its_key_path() {
    let cases = [
        ("name: tiny", "name: Tiny Name", "name", "a-z"),
        ("artefact: none", "artefact: ''", "artefact", "a-z"),
        ("shape: [3, 8, 8]", "shape: [1, 8, 8]", "model.shape", "[3, height, width]"),
        ("mean: 0.1", "mean: 3", "model.mean", "[-1, 1]"),
        ("std: 0.5", "std: 0", "model.std", "above 0"),
        ("beta_start: 1.0e-4", "beta_start: 0.5", "model.schedule", "beta_start <= beta_end"),
        ("n_train_steps: 1000", "n_train_steps: 1", "model.schedule.n_train_steps", "2 or more"),
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
        ("grid: 2", "grid: 0", "features.grid", "1 or more"),
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
    for (from, to, key, part) in cases {
        let error = edited(from, to).expect_err(to);
        let ConfigError::Invalid { faults, .. } = &error else { panic!("{to}: {error}") };
        assert!(
            faults.iter().any(|fault| fault.key == key && fault.message.contains(part)),
            "{to}: expected {key:?} with {part:?}, got {faults:?}"
        );
    }
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
