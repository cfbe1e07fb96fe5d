//! Scores and features of one pool to the rows of a filter.

use std::collections::BTreeMap;

use dubench_metrics::Reference;
use ndarray::{Array2, s};

use crate::config::{Experiment, ProtocolConfig};
use crate::plan::{EstimatorRule, Plan};
use crate::protocol::{Filtering, FilteringOutcome, MethodFacts, RunFacts, rows};
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::part::{self, Parts};
use crate::store::records::{ImagePart, ScoreTable};
use crate::store::{StoreError, features, results};

use super::evaluation::{Evaluation, Timings};
use super::reference::{dim, published, reference};
use super::{Run, StageError};

/// All parts of a run, in block order.
struct Pool {
    scores: ScoreTable,
    methods: BTreeMap<String, MethodFacts>,
    features: Array2<f32>,
    nfe_trajectory: u64,
    timings: Timings,
}

/// Computes the rows, curves and scores of a filter.
///
/// # Errors
/// Those of parts, reference and metrics.
pub(super) fn compute(
    run: &Run<'_>,
    experiment: &Experiment,
    plan_id: &str,
) -> Result<(Evaluation, Timings), StageError> {
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

/// Reads all parts in block order, whatever order they were made in.
fn read_pool(run: &Run<'_>) -> Result<Pool, StageError> {
    let n = usize::try_from(run.plan.n_pool).unwrap_or(usize::MAX);
    let layout = &run.layout;
    let (generate_id, features_id) =
        (layout.stage_id(StageName::Generate), layout.stage_id(StageName::Features));
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
    fn add(&mut self, images: ImagePart) {
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
