//! From the maps of a set to thresholds, a step at a time, and from their file to a rule.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis, s, stack};

use crate::canonical::canonical_json;
use crate::guidance::{StepThresholds, dataset_pixel, dataset_scalar};
use crate::model::ModelError;
use crate::plan::version::THRESHOLDS_VERSION;
use crate::plan::{ArmPlan, SetBlock, ThresholdKind, ThresholdPlan, Work};
use crate::store::layout::StageName;
use crate::store::thresholds::{self as files, ThresholdFile, ThresholdValues};
use crate::store::{Provenance, StoreError, maps, sidecar};

use super::super::shelf::{self, Checks};
use super::super::{Run, StageError};
use super::agree;

/// File of thresholds.
pub(super) fn path(run: &Run<'_>, thresholds: &ThresholdPlan) -> PathBuf {
    let id = run.plan.threshold_id(thresholds);
    run.layout.thresholds(thresholds.kind.as_str(), &id)
}

/// Takes all thresholds that do not stand yet. The parts of all sets must be there.
pub(super) fn take_all(run: &Run<'_>, sets: &[SetBlock]) -> Result<(), StageError> {
    let mut missing = Vec::new();
    for thresholds in run.plan.thresholds() {
        if !shelf::stands(&path(run, &thresholds), &checks())? {
            missing.push(thresholds);
        }
    }
    for (thresholds, file) in take(run, sets, missing)? {
        let path = path(run, &thresholds);
        let id = run.plan.threshold_id(&thresholds);
        let bytes = files::to_bytes(&path, &file, &id, &Provenance::new("none", "cpu"))?;
        shelf::put(&path, &bytes, &files::content_digest(&file), &checks())?;
    }
    Ok(())
}

/// Takes all thresholds again and holds them against their files; how many there are.
pub(super) fn verify(run: &Run<'_>, sets: &[SetBlock]) -> Result<u64, StageError> {
    let all = run.plan.thresholds();
    let n = all.len() as u64;
    for (thresholds, file) in take(run, sets, all)? {
        let path = path(run, &thresholds);
        sidecar::require(&path)?;
        let theirs = files::content_digest(&files::read(&path)?);
        agree(path, files::content_digest(&file), theirs)?;
    }
    Ok(n)
}

fn checks() -> Checks<'static> {
    Checks {
        claimed: Box::new(files::claims),
        actual: Box::new(|path: &Path| Ok(files::content_digest(&files::read(path)?))),
    }
}

/// Takes `wanted`; thresholds of one set read each of its steps once.
fn take(
    run: &Run<'_>,
    sets: &[SetBlock],
    wanted: Vec<ThresholdPlan>,
) -> Result<Vec<(ThresholdPlan, ThresholdFile)>, StageError> {
    let mut taken: Vec<(ThresholdPlan, Taken)> =
        wanted.into_iter().map(|thresholds| (thresholds, Taken::default())).collect();
    for set in run.plan.threshold_sets() {
        let blocks: Vec<&SetBlock> = sets.iter().filter(|block| block.set == set).collect();
        let mut of_set: Vec<_> = taken.iter_mut().filter(|(t, _)| t.set == set).collect();
        for step in 0..set.sampler.n_steps() as usize {
            if of_set.is_empty() {
                break;
            }
            let maps = maps_of_step(run, &blocks, step)?;
            of_set.iter_mut().try_for_each(|(thresholds, taken)| taken.step(thresholds, &maps))?;
        }
    }
    taken
        .into_iter()
        .map(|(thresholds, taken)| {
            let file = taken.finish(run.plan, &thresholds)?;
            Ok((thresholds, file))
        })
        .collect()
}

/// The maps `[n, c, h, w]` of one step of a whole set.
fn maps_of_step(
    run: &Run<'_>,
    blocks: &[&SetBlock],
    step: usize,
) -> Result<Array4<f32>, StageError> {
    let n: u64 = blocks.iter().map(|block| block.block.len()).sum();
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let stage_id = run.layout.stage_id(StageName::Thresholds);
    let (mut all, mut first) = (Array4::zeros((0, 0, 0, 0)), 0);
    for block in blocks {
        let path = run.layout.part(StageName::Thresholds, block.block.id);
        let maps = maps::read_step(&path, stage_id, step)?;
        let (rows, c, h, w) = maps.dim();
        if first == 0 {
            all = Array4::zeros((n, c, h, w));
        }
        if rows as u64 != block.block.len() || all.shape()[1..] != [c, h, w] {
            let message = format!("it holds {rows} maps of {:?}", [c, h, w]);
            return Err(StoreError::malformed(&path, message).into());
        }
        all.slice_mut(s![first..first + rows, .., .., ..]).assign(&maps);
        first += rows;
    }
    Ok(all)
}

/// Thresholds of the steps so far.
#[derive(Default)]
struct Taken {
    shape: [usize; 3],
    pixel: Vec<ndarray::Array3<f32>>,
    scalar: Vec<f64>,
}

impl Taken {
    fn step(&mut self, thresholds: &ThresholdPlan, maps: &Array4<f32>) -> Result<(), StageError> {
        let (_, c, h, w) = maps.dim();
        self.shape = [c, h, w];
        match thresholds.kind {
            ThresholdKind::DatasetPixel => {
                self.pixel.push(dataset_pixel(maps, thresholds.percentile)?);
            }
            ThresholdKind::DatasetScalar => {
                self.scalar.push(dataset_scalar(maps, thresholds.percentile)?);
            }
        }
        Ok(())
    }

    fn finish(self, work: &Work, thresholds: &ThresholdPlan) -> Result<ThresholdFile, StageError> {
        let values = match thresholds.kind {
            ThresholdKind::DatasetScalar => ThresholdValues::Scalar(self.scalar),
            ThresholdKind::DatasetPixel => {
                let steps: Vec<_> = self.pixel.iter().map(|step| step.view()).collect();
                let joined = stack(Axis(0), &steps).map_err(|error| ModelError::Runtime {
                    context: "joining thresholds".to_owned(),
                    message: error.to_string(),
                })?;
                ThresholdValues::Pixel(joined)
            }
        };
        Ok(ThresholdFile { facts: facts(work, thresholds, self.shape), values })
    }
}

/// What thresholds are made of: stands in their file, and is compared before they are used.
pub fn facts(
    work: &Work,
    thresholds: &ThresholdPlan,
    shape: [usize; 3],
) -> BTreeMap<String, String> {
    let ThresholdPlan { set, kind, percentile } = thresholds;
    let rule = match kind {
        ThresholdKind::DatasetPixel => {
            "of n values in ascending order, number int(n * percentile), from 0"
        }
        ThresholdKind::DatasetScalar => "linear quantile over images, channels and pixels",
    };
    let sampler = serde_json::to_value(&set.sampler).unwrap_or_default();
    let facts = [
        ("model", work.model.name.clone()),
        ("sampler", canonical_json(&sampler)),
        ("n_steps", set.sampler.n_steps().to_string()),
        ("shape", format!("{shape:?}")),
        ("statistic", set.statistic.as_str().to_owned()),
        ("n_draws", set.n_draws.to_string()),
        ("n_images", set.n_images.to_string()),
        ("first_sample", set.first_sample.to_string()),
        ("seed", work.seed.to_string()),
        ("kind", kind.as_str().to_owned()),
        ("percentile", percentile.to_string()),
        ("rule", rule.to_owned()),
        ("version", THRESHOLDS_VERSION.to_string()),
    ];
    let files = work.model.files.iter();
    facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(files.map(|(file, sha256)| (format!("sha256 of {file}"), sha256.clone())))
        .collect()
}

/// The thresholds of an arm's mask for states of `shape`; `None` where it needs none.
///
/// # Errors
/// [`StageError::NoThresholds`] when they are not made yet; [`StoreError::Mismatch`] for thresholds of another model, sampler,
/// number of steps, shape or set, naming what differs; [`StoreError::Damaged`] and [`StoreError::Unsealed`].
pub fn of_arm(
    run: &Run<'_>,
    arm: &ArmPlan,
    shape: [usize; 3],
) -> Result<Option<StepThresholds>, StageError> {
    let Some(thresholds) = arm.thresholds() else { return Ok(None) };
    let path = path(run, &thresholds);
    if !path.exists() {
        return Err(StageError::NoThresholds { path });
    }
    sidecar::require(&path)?;
    let file = files::read(&path)?;
    files::compare(&path, &file, &facts(run.plan, &thresholds, shape))?;
    let values = match file.values {
        ThresholdValues::Pixel(values) => StepThresholds::Pixel(values),
        ThresholdValues::Scalar(values) => StepThresholds::Scalar(values),
    };
    values.check(arm.sampler.n_steps(), shape)?;
    Ok(Some(values))
}
