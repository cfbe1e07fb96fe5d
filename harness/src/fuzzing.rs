//! Everything that reads bytes from outside, one function a kind of file, for bytes of a stranger.
//!
//! `harness/fuzz` runs them under a fuzzer, and the tests below run them over what it has found. Each takes a file
//! in a folder of its own. It may refuse the file; it may not panic, hang, or take memory that the file does not
//! have. Compiled for tests and fuzzing alone.

#![expect(clippy::unwrap_used, reason = "a panic is a finding")]

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{ExtractorYaml, ModelYaml, PublishedTable};
use crate::experiment::plan::ModelFacts;
use crate::experiment::print::plan_text;
use crate::experiment::{Experiment, Plan, PlanInputs};
use crate::graph::{
    Feeds, GraphError, Model, Runner, Source, Tensor, dropout, last_layer, tap, vjp,
};
use crate::model::ExtractorId;
use crate::plan::{ImagesIdentity, ModelIdentity, ReferenceIdentity, Shard};
use crate::stage::statistics::ImageSource;
use crate::stage::statistics::array_images::ArrayImages;
use crate::store::manifest::Manifest;
use crate::store::part::{self, Parts};
use crate::store::sidecar::{self, Standing};
use crate::store::statistics::Statistics;
use crate::store::{Envelope, StoreError, arrays, curves, features, metrics, results};
use crate::units::BlockId;

/// Name of a kind of file, and what reads it.
pub type Target = (&'static str, fn(&Path));

/// The targets.
pub const TARGETS: [Target; 7] = [
    ("array", array),
    ("bundle", bundle),
    ("experiment", experiment),
    ("graph", graph),
    ("part", part),
    ("record", record),
    ("shard", shard),
];

/// A `.npy` or, where it starts like a zip, an `.npz`: features, scores, statistics, images.
pub fn array(path: &Path) {
    let _ = arrays::read_matrix(path);
    let _ = arrays::read_vector(path);
    if let Ok(statistics) = Statistics::read(path) {
        let dim = statistics.mu.len();
        assert_eq!(statistics.sigma.dim(), (dim, dim));
    }
    let Ok(mut images) = ArrayImages::open(path) else { return };
    let n = images.len();
    for range in [0..n.min(2), n.saturating_sub(1)..n] {
        if let Ok(images) = images.read(range.clone()) {
            assert_eq!(images.dim().0, range.len());
        }
    }
}

/// `model.yaml` of a bundle, and the YAML of a feature network.
pub fn bundle(path: &Path) {
    if let Ok(model) = ModelYaml::read(path) {
        let _ = model.schedule.build();
        let [c, h, w] = model.task.shape();
        assert!(c * h * w > 0 && !model.graph_files().is_empty());
    }
    if let Ok(extractor) = ExtractorYaml::read(path) {
        assert!(extractor.input.size > 0 && extractor.output.dim > 0);
    }
    let _ = crate::config::read_yaml::<PublishedTable>(path, crate::config::Role::Published);
}

/// An experiment, and the plans of all its scales.
pub fn experiment(path: &Path) {
    let Ok(experiment) = Experiment::read(path) else { return };
    for scale in experiment.scales.keys() {
        let Ok(plan) = Plan::resolve(&experiment, scale, plan_inputs(&experiment)) else {
            continue;
        };
        let text = plan_text(&plan);
        assert!(text.contains(&plan.id()));
        for block in plan.blocks().take(3) {
            let placed = plan.arm_of(block.id).unwrap();
            assert!(!block.is_empty() && block.samples.end <= placed.arm.n);
        }
        let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again.n_images(), plan.n_images());
    }
}

fn plan_inputs(experiment: &Experiment) -> PlanInputs {
    let needs = experiment.protocol.needs();
    PlanInputs {
        model: ModelIdentity::of_config("none", &experiment.model),
        facts: ModelFacts {
            axis: crate::schedule::TimeAxis::Steps(1000),
            shape: [3, 8, 8],
            n_classes: None,
            encoding: crate::experiment::plan::Encoding::Pixels,
        },
        extractor: needs.features.then(|| ExtractorId {
            name: "none".to_owned(),
            sha256: "0".repeat(64),
            preprocess: "none".to_owned(),
            dim: 4,
            output: None,
            input_size: None,
        }),
        reference: needs.statistics.then(|| ReferenceIdentity {
            dataset: "none".to_owned(),
            sha256: "0".repeat(64),
            n: None,
            dim: 4,
            extractor: None,
            image_size: None,
        }),
        images: needs.images.map(|dataset| ImagesIdentity {
            dataset: dataset.to_owned(),
            sha256: "0".repeat(64),
            n: u64::MAX,
            dim: 192,
            latent: None,
        }),
        real: None,
        posterior: None,
        starts: None,
    }
}

/// Stops each pass where the runtime would be asked: what is looked at is the reading before it.
struct NoRuntime;

impl Runner for NoRuntime {
    fn run(
        &self,
        _: Source<'_>,
        _: &[Feeds],
        _: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        Err(GraphError::Runtime { context: "test".to_owned(), message: "no runtime".to_owned() })
    }
}

/// An ONNX model with weights inside or in a file beside it, and every pass up to where it asks the runtime.
pub fn graph(path: &Path) {
    let Ok(model) = Model::read(path) else { return };
    passes(&model);
    let _ = model.to_bytes();
}

/// Runs the passes up to the runtime.
pub(crate) fn passes(model: &Model) {
    let refused = vjp::vjp(model, vjp::Options::default(), &NoRuntime).is_err();
    assert!(refused, "a pass ended without its runtime");
    let _ = last_layer::last_layer(model, None);
    let _ = tap::tap(model, None);
    let _ = dropout::to_mask_input(model, dropout::KeepScale::OfNode, &NoRuntime);
}

/// A Parquet file of ours, of any kind, of any plan. Its hash stands beside it: what is looked at is the reader
/// behind that check.
pub fn part(path: &Path) {
    let Err(error) = read_images(path, "") else { return };
    let StoreError::Mismatch { field, got, .. } = error else { return };
    match (field.as_str(), got.as_str()) {
        ("plan", stage) => drop(read_images(path, stage)),
        ("kind", "Features") => drop(read_features(path)),
        ("kind", kind) => read_results(path, kind),
        _ => {}
    }
}

fn read_images(path: &Path, stage: &str) -> Result<(), StoreError> {
    part::claims(path, stage)?;
    let part = part::read(path, stage, Parts::All)?;
    let _ = part::content_digest(&part);
    part::read(path, stage, Parts::Scores).map(drop)
}

fn read_features(path: &Path) -> Result<(), StoreError> {
    let Err(StoreError::Mismatch { got, .. }) = features::claims(path, "") else { return Ok(()) };
    features::read(path, &got).map(|part| drop(features::content_digest(&part)))
}

fn read_results(path: &Path, kind: &str) {
    sidecar::seal(path, &std::fs::read(path).unwrap()).unwrap();
    match kind {
        "Metrics" => drop(metrics::read(path)),
        "Curves" => drop(curves::read(path)),
        "Scores" => drop(results::read_scores(path)),
        _ => {}
    }
}

/// Small records of a work folder; the first byte says which.
pub fn record(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let put = |path: &Path, bytes: &[u8]| crate::store::publish(path, bytes).unwrap();
    match kind {
        b'm' => {
            put(path, bytes);
            let _ = Manifest::read(path);
        }
        b's' => {
            put(path, b"vouched for");
            put(&sidecar::sidecar_path(path), bytes);
            let expected = crate::canonical::sha256_hex(b"vouched for");
            let hash = String::from_utf8_lossy(bytes);
            if sidecar::standing(path).is_ok_and(|standing| standing == Standing::Sealed) {
                assert_eq!(hash.split_whitespace().next(), Some(expected.as_str()));
            }
        }
        _ => drop(serde_json::from_slice::<Envelope>(bytes)),
    }
}

/// `--shard` in the first line, `VARIABLE=VALUE` in the others.
pub fn shard(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (flag, variables) = text.split_once('\n').unwrap_or((&text, ""));
    let variables: BTreeMap<&str, &str> =
        variables.lines().filter_map(|line| line.split_once('=')).collect();
    let flag = (!flag.is_empty()).then_some(flag);
    let choose = || Shard::choose(flag, |name| variables.get(name).map(|v| (*v).to_owned()));
    let Ok(shard) = choose() else { return };
    assert_eq!(Shard::parse(&shard.to_string()), Ok(shard));
    assert_eq!(choose(), Ok(shard));
    assert!(!shard.is_whole() || shard.takes(BlockId(u64::MAX)));
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::TARGETS;

    /// Files of a folder below this package, in the order of their names.
    fn files(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn what_the_fuzzer_has_found_is_read_or_refused() {
        let (mut found, mut seeds) = (0, 0);
        for (name, target) in TARGETS {
            let of_target = files(&format!("tests/data/fuzz/{name}"));
            found += of_target.len();
            let of_seeds = files(&format!("fuzz/seeds/{name}"));
            seeds += of_seeds.len();
            for file in of_target.iter().chain(&of_seeds) {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("input");
                std::fs::copy(file, &path).unwrap();
                println!("{}", file.display());
                target(&path);
            }
        }
        assert!(found >= 10 && seeds >= 20, "{found} findings, {seeds} seeds: where are they?");
    }
}
