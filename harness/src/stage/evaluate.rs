//! Scores and features to numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dubench_metrics::{Gaussian, MetricError, Reference};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::config::{Experiment, ProtocolConfig, PublishedSetting, PublishedTable, read_yaml};
use crate::plan::canonical::fingerprint;
use crate::plan::{EstimatorRule, Plan};
use crate::protocol::{Filtering, FilteringOutcome, MethodFacts, RunFacts, rows};
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::part::{self, Parts};
use crate::store::records::{CurveRow, MetricRow, ScoreTable};
use crate::store::sparsification::{self, SparsificationRow};
use crate::store::statistics::Statistics;
use crate::store::{Kind, Provenance, StoreError, features, publish, results, sidecar};

use super::{
    Run, StageError, evaluate_guidance, evaluate_reconstruction, features as features_stage,
    generate, inputs,
};

/// File of the sparsification curves.
const SPARSIFICATION: &str = "sparsification.parquet";

/// Everything that the run folder holds after an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Rows of `metrics.parquet`.
    pub rows: Vec<MetricRow>,
    /// Rows of `curves.parquet`.
    pub curves: Vec<CurveRow>,
    /// Scores of all images.
    pub scores: ScoreTable,
    /// Rows of `sparsification.parquet`, which a reconstruction has in the place of filter curves.
    pub sparsification: Vec<SparsificationRow>,
    /// [`results::metrics_digest`] of the rows.
    pub digest: String,
    /// Whether an earlier evaluation of the same parts was found instead of computed.
    pub found: bool,
}

/// Where times go, so that `metrics.parquet` can be compared without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Wall time of all blocks of `generate`.
    pub generate_seconds: f64,
    /// Of which inside the denoiser.
    pub generate_network_seconds: f64,
    /// Wall time of all blocks of `features`.
    pub features_seconds: f64,
    /// Wall time of `evaluate`.
    pub evaluate_seconds: f64,
}

/// What `evaluated.json` says: which parts gave which numbers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluated {
    plan_id: String,
    inputs: String,
    metrics: String,
}

/// All parts of a run, in block order.
struct Pool {
    scores: ScoreTable,
    methods: BTreeMap<String, MethodFacts>,
    features: Array2<f32>,
    nfe_trajectory: u64,
    timings: Timings,
}

/// Computes the numbers of a plan whose parts are all there, or finds them computed.
///
/// # Errors
/// [`StageError::Missing`] with the missing blocks, [`StageError::Gate`] after writing when a number is outside
/// its band, and the errors of files and metrics.
pub fn evaluate(run: &Run<'_>, experiment: &Experiment) -> Result<Evaluation, StageError> {
    let start = Instant::now();
    let inputs = inputs_digest(run, experiment, &complete(run)?)?;
    let plan_id = run.plan.id();
    if let Some(found) = find(run, &plan_id, &inputs)? {
        check_gates(experiment, run.plan, &found.rows)?;
        return Ok(found);
    }
    run.progress.begin("evaluate", run.plan.n_pool, 0);
    let computed = compute(run, experiment, &plan_id);
    run.progress.end();
    let (evaluation, mut timings) = computed?;
    timings.evaluate_seconds = start.elapsed().as_secs_f64();
    write(run, &plan_id, inputs, (&evaluation, &timings))?;
    check_gates(experiment, run.plan, &evaluation.rows)?;
    Ok(evaluation)
}

/// Digest of everything but the plan that the rows are made of: what the parts claim, which methods the model
/// could not serve and why, and the published numbers beside which the rows stand.
fn inputs_digest(
    run: &Run<'_>,
    experiment: &Experiment,
    parts: &str,
) -> Result<String, StageError> {
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    // Nothing of it stands in the rows, but a damaged one is no better than a damaged part.
    if run.plan.extractor.is_some() {
        Manifest::read(&run.layout.manifest(StageName::Features))?;
    }
    Ok(fingerprint(&(parts, manifest.not_applicable, published(experiment)?)))
}

/// Checks that every part stands whole; the digest of what they claim.
pub(super) fn complete(run: &Run<'_>) -> Result<String, StageError> {
    let mut missing: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let mut claims = Vec::new();
    for block in run.plan.blocks() {
        if !generate::is_done(run, &block)? {
            missing.entry(StageName::Generate.as_str()).or_default().push(block.id.0);
            continue;
        }
        let (generate_id, features_id) = ids(run);
        let images = run.layout.part(StageName::Generate, block.id);
        let images = part::claims(&images, generate_id)?.content_sha256;
        if run.plan.extractor.is_none() {
            claims.push((images, String::new()));
            continue;
        }
        if !features_stage::is_done(run, &block)? {
            missing.entry(StageName::Features.as_str()).or_default().push(block.id.0);
            continue;
        }
        let feature = run.layout.part(StageName::Features, block.id);
        claims.push((images, features::claims(&feature, features_id)?.content_sha256));
    }
    for stage in [StageName::Generate, StageName::Features] {
        if let Some(blocks) = missing.remove(stage.as_str()) {
            return Err(StageError::Missing {
                stage: stage.as_str(),
                n_blocks: run.plan.n_blocks(),
                n_missing: blocks.len() as u64,
                missing: blocks,
            });
        }
    }
    Ok(fingerprint(&claims))
}

fn ids<'a>(run: &'a Run<'_>) -> (&'a str, &'a str) {
    (run.layout.stage_id(StageName::Generate), run.layout.stage_id(StageName::Features))
}

/// An earlier evaluation of the same parts.
fn find(run: &Run<'_>, plan_id: &str, inputs: &str) -> Result<Option<Evaluation>, StageError> {
    let Ok(text) = std::fs::read_to_string(run.layout.run_file("evaluated.json")) else {
        return Ok(None);
    };
    let Ok(known) = serde_json::from_str::<Evaluated>(&text) else { return Ok(None) };
    let mut files = vec!["metrics.parquet", "curves.parquet", "scores.parquet", TIMINGS];
    if let ProtocolConfig::Reconstruction(_) = &run.plan.protocol {
        files.push(SPARSIFICATION);
    }
    if known.plan_id != plan_id || known.inputs != inputs {
        return Ok(None);
    }
    for name in files {
        if sidecar::standing(&run.layout.run_file(name))? != sidecar::Standing::Sealed {
            return Ok(None);
        }
    }
    let evaluation = read(run)?;
    Ok((evaluation.digest == known.metrics).then_some(evaluation))
}

/// Reads the results of a run.
///
/// # Errors
/// [`StageError::Store`] for files that are missing, damaged, or of another plan.
pub fn read(run: &Run<'_>) -> Result<Evaluation, StageError> {
    let plan_id = run.plan.id();
    let file = |name: &str, kind: Kind| -> Result<PathBuf, StageError> {
        let path = run.layout.run_file(name);
        results::require_plan(&path, kind, &plan_id)?;
        Ok(path)
    };
    let rows = results::read_metrics(&file("metrics.parquet", Kind::Metrics)?)?;
    let curves = results::read_curves(&file("curves.parquet", Kind::Curves)?)?;
    let scores = results::read_scores(&file("scores.parquet", Kind::Scores)?)?;
    let digest = results::metrics_digest(&rows);
    let sparsification = match &run.plan.protocol {
        ProtocolConfig::Reconstruction(_) => {
            sparsification::read(&file(SPARSIFICATION, Kind::Sparsification)?)?
        }
        ProtocolConfig::Filtering { .. } | ProtocolConfig::Guidance(_) => Vec::new(),
    };
    Ok(Evaluation { rows, curves, scores, sparsification, digest, found: true })
}

fn write(
    run: &Run<'_>,
    plan_id: &str,
    inputs: String,
    (evaluation, timings): (&Evaluation, &Timings),
) -> Result<(), StageError> {
    let provenance = Provenance::new("none", "cpu");
    let file = |name: &str| run.layout.run_file(name);
    results::write_metrics(&file("metrics.parquet"), &evaluation.rows, plan_id, &provenance)?;
    results::write_curves(&file("curves.parquet"), &evaluation.curves, plan_id, &provenance)?;
    results::write_scores(&file("scores.parquet"), &evaluation.scores, plan_id, &provenance)?;
    if let ProtocolConfig::Reconstruction(_) = &run.plan.protocol {
        let rows = &evaluation.sparsification;
        sparsification::write(&file(SPARSIFICATION), rows, plan_id, &provenance)?;
    }
    let path = file(TIMINGS);
    sidecar::publish_sealed(&path, json(&path, timings)?.as_bytes())?;
    // Last: without it the evaluation did not take place.
    let metrics = evaluation.digest.clone();
    let path = file("evaluated.json");
    let text = json(&path, &Evaluated { plan_id: plan_id.to_owned(), inputs, metrics })?;
    publish(&path, text.as_bytes()).map_err(StoreError::write(&path))?;
    Ok(())
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<String, StoreError> {
    let text = serde_json::to_string_pretty(value).map_err(StoreError::decode(path))?;
    Ok(text + "\n")
}

const TIMINGS: &str = "timings.json";

/// Reads the times of an evaluated run.
///
/// # Errors
/// [`StageError::Store`] for a file that is missing or damaged.
pub fn read_timings(run: &Run<'_>) -> Result<Timings, StageError> {
    let path = run.layout.run_file(TIMINGS);
    sidecar::require(&path)?;
    let text = std::fs::read(&path).map_err(StoreError::read(&path))?;
    Ok(serde_json::from_slice(&text).map_err(StoreError::decode(&path))?)
}

pub(super) fn compute(
    run: &Run<'_>,
    experiment: &Experiment,
    plan_id: &str,
) -> Result<(Evaluation, Timings), StageError> {
    match &run.plan.protocol {
        ProtocolConfig::Reconstruction(_) => {
            return evaluate_reconstruction::compute(run, experiment, plan_id);
        }
        ProtocolConfig::Guidance(_) => return evaluate_guidance::compute(run, experiment, plan_id),
        ProtocolConfig::Filtering { .. } => {}
    }
    let pool = read_pool(run)?;
    let reference = reference(run.plan, experiment)?;
    let outcome = protocol(run.plan, &pool, &reference)?;
    let plan = run.plan;
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    let facts = RunFacts {
        experiment: [plan.experiment.clone(), plan.artefact.clone(), plan.scale.clone()],
        setting: [plan.model.name.clone(), plan.reference.dataset.clone(), plan.sampler.label()],
        plan_id: plan_id.to_owned(),
        n_reference: plan.reference.n,
        nfe_trajectory: pool.nfe_trajectory,
        trajectory_seconds: trajectory_seconds(plan, &pool),
    };
    let published = published(experiment)?;
    let paper = |metric: &str, method: &str| {
        published.as_ref().and_then(|setting| setting.value(metric, method))
    };
    let rows = rows(&facts, &outcome, &pool.methods, &manifest.not_applicable, &paper);
    let digest = results::metrics_digest(&rows);
    let (curves, scores) = (outcome.curves, pool.scores);
    let evaluation = Evaluation { rows, curves, scores, digest, ..Evaluation::default() };
    Ok((evaluation, pool.timings))
}

/// Time inside the network that moved the trajectories: all of it less that of the estimators.
///
/// Re-noising estimators share their calls, and each tells what it would have taken alone; over one window the longest
/// of them is what was spent. Over several windows the shares cannot be told apart: `None`.
fn trajectory_seconds(plan: &Plan, pool: &Pool) -> Option<f64> {
    let (mut alone, mut shared) = (0.0, 0.0_f64);
    let mut windows = Vec::new();
    for estimator in &plan.estimators {
        let Some(facts) = pool.methods.get(&estimator.name) else { continue };
        if matches!(estimator.rule, EstimatorRule::McDropout { .. }) {
            alone += facts.seconds;
        } else {
            shared = shared.max(facts.seconds);
            windows.push(estimator.window);
        }
    }
    let one_window = windows.windows(2).all(|pair| pair[0] == pair[1]);
    one_window.then_some(pool.timings.generate_network_seconds - alone - shared)
}

fn protocol(
    plan: &Plan,
    pool: &Pool,
    reference: &Reference,
) -> Result<FilteringOutcome, StageError> {
    let ProtocolConfig::Filtering { n_random, curve } = &plan.protocol else {
        return Err(StageError::Absent { what: "filter" });
    };
    let n_keep = usize::try_from(plan.n_keep).unwrap_or(usize::MAX);
    let filtering = Filtering {
        features: pool.features.view(),
        reference,
        scores: &pool.scores.columns,
        n_keep,
        n_random: *n_random as usize,
        curve: (curve.n_parts, curve.n_points),
        n_curve_random: curve.n_random as usize,
        seed: plan.seed,
    };
    let what = format!("filtering {} images by {} scores", plan.n_pool, pool.scores.columns.len());
    filtering.run().map_err(|source| StageError::Metric { what, source })
}

pub(super) fn reference(plan: &Plan, experiment: &Experiment) -> Result<Reference, StageError> {
    let sizes = inputs::scale_of(experiment, &plan.scale)?;
    let path = experiment.resolve(&inputs::reference_config(experiment, sizes)?.path);
    let statistics = Statistics::read(&path)?;
    let n = statistics.n.and_then(|n| usize::try_from(n).ok());
    let build = || -> Result<Reference, MetricError> {
        Reference::new(Gaussian::new(statistics.mu, statistics.sigma, n)?)
    };
    let what = path.display().to_string();
    build().map_err(|source| StageError::Metric { what, source })
}

/// The published row of an experiment.
///
/// # Errors
/// [`StageError::Config`] for the file, [`StageError::Published`] when it has no such row.
pub fn published(experiment: &Experiment) -> Result<Option<PublishedSetting>, StageError> {
    let Some(key) = &experiment.published else { return Ok(None) };
    let path = experiment.resolve(&key.file);
    let table: PublishedTable = read_yaml(&path)?;
    match table.setting(key) {
        Some(setting) => Ok(Some(setting.clone())),
        None => Err(StageError::Published {
            path: path.display().to_string(),
            key: format!(
                "{} / {} / {}",
                key.network,
                key.dataset,
                key.sampler.as_deref().unwrap_or("no sampler")
            ),
            known: table.keys(),
        }),
    }
}

/// Dimension of the features of a plan.
pub(super) fn dim(plan: &Plan) -> Result<usize, StageError> {
    let extractor =
        plan.extractor.as_ref().ok_or(StageError::Absent { what: "feature network" })?;
    Ok(extractor.dim)
}

/// Reads all parts in block order, whatever order they were made in.
fn read_pool(run: &Run<'_>) -> Result<Pool, StageError> {
    let n = usize::try_from(run.plan.n_pool).unwrap_or(usize::MAX);
    let (generate_id, features_id) = ids(run);
    let dim = dim(run.plan)?;
    let mut pool = Pool {
        scores: ScoreTable { samples: Vec::with_capacity(n), columns: Vec::new() },
        methods: BTreeMap::new(),
        features: Array2::zeros((n, dim)),
        nfe_trajectory: 0,
        timings: Timings::default(),
    };
    for block in run.plan.blocks() {
        let path = run.layout.part(StageName::Generate, block.id);
        let images = part::read(&path, generate_id, Parts::Scores)?;
        let feature_path = run.layout.part(StageName::Features, block.id);
        let feature = features::read(&feature_path, features_id)?;
        let expected = block.sample_ids();
        for (path, samples) in [(&path, &images.samples), (&feature_path, &feature.samples)] {
            if *samples != expected {
                let message =
                    format!("its samples are not {}..{}", block.samples.start, block.samples.end);
                return Err(StoreError::malformed(path, message).into());
            }
        }
        let first = pool.scores.samples.len();
        let shape = (expected.len(), dim);
        if feature.features.dim() != shape {
            let message = format!("features are {:?}, not {shape:?}", feature.features.dim());
            return Err(StoreError::malformed(&feature_path, message).into());
        }
        pool.features.slice_mut(s![first..first + expected.len(), ..]).assign(&feature.features);
        pool.timings.features_seconds += feature.seconds;
        pool.add(images);
        run.progress.advance(block.len());
    }
    Ok(pool)
}

impl Pool {
    fn add(&mut self, images: crate::store::records::ImagePart) {
        self.nfe_trajectory = images.nfe_trajectory;
        self.timings.generate_seconds += images.seconds;
        self.timings.generate_network_seconds += images.network_seconds;
        self.scores.samples.extend(images.samples);
        for method in images.scores {
            let facts = self
                .methods
                .entry(method.method.clone())
                .or_insert(MethodFacts { nfe: method.nfe, seconds: 0.0 });
            facts.seconds += method.network_seconds;
            match self.scores.columns.iter_mut().find(|(name, _)| *name == method.method) {
                Some((_, column)) => column.extend(method.score),
                None => self.scores.columns.push((method.method, method.score)),
            }
        }
    }
}

fn check_gates(experiment: &Experiment, plan: &Plan, rows: &[MetricRow]) -> Result<(), StageError> {
    let faults: Vec<String> = experiment
        .gates
        .iter()
        .filter(|gate| gate.scale == plan.scale)
        .filter_map(|gate| {
            let row =
                rows.iter().find(|row| row.method == gate.method && row.metric == gate.metric);
            let value = row.and_then(|row| row.value);
            let inside = value.is_some_and(|value| (gate.min..=gate.max).contains(&value));
            let got = value.map_or("missing".to_owned(), |value| value.to_string());
            (!inside).then(|| {
                format!(
                    "{} of {} is {got}, accepted {}..={}",
                    gate.metric, gate.method, gate.min, gate.max
                )
            })
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(StageError::Gate { faults }) }
}
