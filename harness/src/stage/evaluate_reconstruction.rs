//! Parts of a reconstruction to numbers.

use std::path::Path;

use ndarray::Array2;

use crate::config::{Experiment, NoiseLevel, ProtocolConfig, ReconstructionConfig};
use crate::plan::{ArmPlan, ArmTask, PlacedArm};
use crate::protocol::RunFacts;
use crate::protocol::reconstruction::Images;
use crate::protocol::reconstruction_rows::{ArmMaps, ArmNumbers, MethodMaps, audit, numbers};
use crate::store::StoreError;
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::part::{self, Parts};
use crate::store::records::{ImagePart, MetricRow, ScoreTable};
use crate::store::results;
use crate::units::SampleId;

use super::evaluation::{Evaluation, Timings};
use super::reference::published;
use super::statistics::StatisticsError;
use super::{Run, StageError, inputs};

/// Everything that an arm's parts hold, in sample order.
pub(super) struct ArmPool {
    /// Reconstructions `[n, c h w]`.
    pub(super) reconstruction: Array2<u8>,
    /// `[c, h, w]`.
    pub(super) shape: [usize; 3],
    /// Maps of every method.
    pub(super) methods: Vec<MethodMaps>,
    nfe_trajectory: u64,
    seconds: [f64; 2],
}

/// Computes the numbers of a complete reconstruction.
pub(super) fn compute(
    run: &Run<'_>,
    experiment: &Experiment,
    plan_id: &str,
) -> Result<(Evaluation, Timings), StageError> {
    let ProtocolConfig::Reconstruction(protocol) = &run.plan.protocol else {
        return Err(StageError::Absent { what: "reconstruction" });
    };
    let setting = published(experiment)?;
    let mut timings = Timings::default();
    let mut evaluation = Evaluation::default();
    for (index, placed) in run.plan.placed_arms().enumerate() {
        let pool = read_arm(run, placed)?;
        let truth = truth(experiment, protocol, placed.arm.n)?;
        timings.generate_seconds += pool.seconds[0];
        timings.generate_network_seconds += pool.seconds[1];
        let facts = facts(run, placed.arm, plan_id, &pool);
        let paper = |metric: &str, method: &str| {
            let setting = setting.as_ref().filter(|_| index == 0);
            setting.and_then(|setting| setting.value(metric, method))
        };
        let arm = ArmMaps {
            arm: &placed.arm.name,
            images: pool.images(&truth),
            methods: &pool.methods,
            seed: run.plan.seed,
            intervals: protocol.intervals as usize,
        };
        let metric = |source| StageError::Metric { what: placed.arm.name.clone(), source };
        let ArmNumbers { rows, curves, columns } = numbers(&facts, &arm, &paper).map_err(metric)?;
        evaluation.rows.extend(rows);
        evaluation.rows.extend(absent(run, placed.arm, &facts)?);
        if is_audited(placed.arm) {
            evaluation.rows.extend(audit(&facts, &arm).map_err(metric)?);
        }
        if index == 0 {
            evaluation.sparsification = curves;
            let samples = (0..placed.arm.n).map(SampleId).collect();
            evaluation.scores = ScoreTable { samples, columns };
        }
    }
    evaluation.digest = results::metrics_digest(&evaluation.rows);
    Ok((evaluation, timings))
}

/// Whether the released evaluation is run on an arm too.
fn is_audited(arm: &ArmPlan) -> bool {
    matches!(&arm.task, ArmTask::Reconstruct { noise: NoiseLevel::AuthorsCode, .. })
}

impl ArmPool {
    pub(super) fn images<'a>(&'a self, truth: &'a Array2<u8>) -> Images<'a> {
        let (reconstruction, shape) = (self.reconstruction.view(), self.shape);
        Images { truth: truth.view(), reconstruction, shape }
    }

    fn new(part: &ImagePart, n: usize) -> Self {
        let (_, c, h, w) = part.images.dim();
        let maps = |method: &crate::store::records::MethodScores| MethodMaps {
            name: method.method.clone(),
            maps: Array2::zeros((n, c * h * w)),
            nfe: method.nfe,
            seconds: 0.0,
        };
        Self {
            reconstruction: Array2::zeros((n, c * h * w)),
            shape: [c, h, w],
            methods: part.scores.iter().map(maps).collect(),
            nfe_trajectory: part.nfe_trajectory,
            seconds: [0.0; 2],
        }
    }

    /// Copies the rows of a part to `first ..`.
    fn add(&mut self, path: &Path, part: &ImagePart, first: usize) -> Result<(), StoreError> {
        self.seconds[0] += part.seconds;
        self.seconds[1] += part.network_seconds;
        for (row, image) in part.images.outer_iter().enumerate() {
            self.reconstruction
                .row_mut(first + row)
                .iter_mut()
                .zip(&image)
                .for_each(|(to, from)| *to = *from);
        }
        for (method, scores) in self.methods.iter_mut().zip(&part.scores) {
            let maps = scores.map.as_deref().unwrap_or_default();
            if method.name != scores.method || maps.len() != part.samples.len() {
                let message = format!("it has no maps of {} for all its images", method.name);
                return Err(StoreError::malformed(path, message));
            }
            method.seconds += scores.network_seconds;
            for (row, map) in maps.iter().enumerate() {
                let mut to = method.maps.row_mut(first + row);
                if map.len() != to.len() {
                    let message = format!("a map of {} is {:?}", method.name, map.dim());
                    return Err(StoreError::malformed(path, message));
                }
                to.iter_mut().zip(map).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }
}

/// Reads the parts of an arm in block order.
pub(super) fn read_arm(run: &Run<'_>, placed: PlacedArm<'_>) -> Result<ArmPool, StageError> {
    let stage_id = run.layout.stage_id(StageName::Generate);
    let mut pool: Option<ArmPool> = None;
    let n = usize::try_from(placed.arm.n).unwrap_or(usize::MAX);
    for block in run.plan.blocks().filter(|block| placed.has(block)) {
        let path = run.layout.part(StageName::Generate, block.id);
        let part = part::read(&path, stage_id, Parts::All)?;
        if part.samples != block.sample_ids() {
            let message =
                format!("its samples are not {}..{}", block.samples.start, block.samples.end);
            return Err(StoreError::malformed(&path, message).into());
        }
        let first = usize::try_from(block.samples.start - placed.first).unwrap_or(usize::MAX);
        pool.get_or_insert_with(|| ArmPool::new(&part, n)).add(&path, &part, first)?;
        run.progress.advance(block.len());
    }
    pool.ok_or(StageError::Absent { what: "images in an arm" })
}

/// The first `n` real images, `[n, c h w]`.
pub(super) fn truth(
    experiment: &Experiment,
    protocol: &ReconstructionConfig,
    n: u64,
) -> Result<Array2<u8>, StageError> {
    let mut source = inputs::images(experiment, protocol)?;
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let images = source.read(0..n)?;
    let dim = images.len() / n.max(1);
    images
        .into_shape_with_order((n, dim))
        .map_err(|error| StatisticsError::input(source.name().as_ref(), error.to_string()).into())
}

fn facts(run: &Run<'_>, arm: &ArmPlan, plan_id: &str, pool: &ArmPool) -> RunFacts {
    let plan = run.plan;
    let sampler = format!("{}, {}", arm.sampler.label(), arm.name);
    RunFacts {
        experiment: [plan.experiment.clone(), plan.artefact.clone(), plan.scale.clone()],
        setting: [plan.model.name.clone(), plan.reference.dataset.clone(), sampler],
        plan_id: plan_id.to_owned(),
        n_reference: plan.reference.n,
        nfe_trajectory: pool.nfe_trajectory,
        // Re-noising estimators share their calls, so what is left for the trajectory cannot be told.
        trajectory_seconds: None,
    }
}

/// Rows of the methods that the model cannot serve.
fn absent(run: &Run<'_>, arm: &ArmPlan, facts: &RunFacts) -> Result<Vec<MetricRow>, StageError> {
    let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
    let ArmTask::Reconstruct { estimators, .. } = &arm.task else { return Ok(Vec::new()) };
    Ok(estimators
        .iter()
        .filter_map(|estimator| {
            let reason = manifest.not_applicable.get(&estimator.name)?;
            let mut row = facts.row(&estimator.name, "aurg", None);
            row.direction = Some("as_is".to_owned());
            row.reason = Some(format!("not applicable: {reason}"));
            Some(row)
        })
        .collect())
}
