//! Images, scores and maps, block by block.

mod block;
mod displacement;
mod gathered;
pub mod keep;
mod keep_steps;
mod negatives;
mod propagated;
pub mod starts;
#[cfg(test)]
mod tests;
mod timed;
pub mod trajectory;
mod watchers;

pub(super) use block::{generate_block, run_arm};
pub(super) use gathered::ArmBatch;
pub(super) use propagated::run_propagated;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::ModelError;
use crate::plan::{Block, outstanding};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::records::ImagePart;
use crate::store::{Provenance, StoreError};

use super::back_off::BackOff;
use super::open::{OpenModel, in_turns};
use super::run::{failure_file, record_failure};
use super::settings::{GenerateOptions, manifest};
use super::shelf::{self, Checks};
use super::side_by_side::each_block;
use super::{Run, StageError, StageSummary, thresholds};
use timed::Clock;

const STAGE: StageName = StageName::Generate;

/// Generates the outstanding blocks of the shard. The model is opened only if there are any, once a network.
///
/// A block whose network answers are not finite is recorded under `failed/` and the others go on; the call
/// then ends with [`StageError::NotFinite`].
///
/// # Errors
/// [`StageError`]; whatever was published is kept.
pub fn generate(
    run: &Run<'_>,
    options: GenerateOptions,
    open: &mut dyn FnMut() -> Result<OpenModel, StageError>,
) -> Result<StageSummary, StageError> {
    let start = Instant::now();
    let _lock = run.lock(STAGE)?;
    let standing = Standing::of(run)?;
    let clock = Clock::of(run, options)?;
    let found_images = standing.n_images;
    let (blocks, mut summary) = standing.share(&clock, run.limit);
    if blocks.is_empty() {
        summary.wall = start.elapsed();
        return Ok(summary);
    }
    thresholds::require(run, &blocks)?;
    let mut models = networks((run, &clock), options, blocks.len(), open)?;
    let n_images: u64 = blocks.iter().map(Block::len).sum();
    let warm_up = clock.warm_up(&blocks, options);
    let n_warm: u64 = warm_up.iter().map(Block::len).sum();
    run.progress.begin(STAGE.as_str(), found_images + n_images + n_warm, found_images);
    let back_off = BackOff::new(options.batch_size);
    let n_networks = models.len();
    let ended = clock.begin(&warm_up, (options, &mut models[0])).and_then(|()| {
        let mut models = in_turns(models, options.turns, blocks.len());
        work((run, &clock), (options, &back_off), &mut models, &blocks)
    });
    run.progress.end();
    let Tally { network, publish, .. } = ended?;
    Ok(StageSummary {
        n_images,
        wall: start.elapsed(),
        network,
        publish,
        n_networks,
        batch_size: back_off.batch_size().get(),
        ..summary
    })
}

/// Which blocks of the shard stand, and which do not.
struct Standing {
    n_found: usize,
    /// Images of the blocks that stand.
    n_images: u64,
    outstanding: Vec<Block>,
}

impl Standing {
    fn of(run: &Run<'_>) -> Result<Self, StageError> {
        let (mut n_found, mut n_images) = (0, 0);
        let outstanding = outstanding(run.plan, run.shard, |block| {
            let done = is_done(run, block)?;
            n_found += usize::from(done);
            n_images += if done { block.len() } else { 0 };
            Ok::<_, StageError>(done)
        })?;
        Ok(Self { n_found, n_images, outstanding })
    }

    /// The blocks that are made now, in their order: `limit` of the outstanding ones.
    fn share(self, clock: &Clock<'_>, limit: Option<usize>) -> (Vec<Block>, StageSummary) {
        let n_found = self.n_found;
        let mut blocks = clock.ordered(self.outstanding);
        let n_left = blocks.len().saturating_sub(limit.unwrap_or(usize::MAX));
        let n_blocks = n_found + blocks.len();
        blocks.truncate(blocks.len() - n_left);
        (blocks, StageSummary { n_blocks, n_found, n_left, ..Default::default() })
    }
}

/// Opens as many networks as are asked for and have a block to do. The manifest says what they make images with.
fn networks(
    (run, clock): (&Run<'_>, &Clock<'_>),
    options: GenerateOptions,
    n_blocks: usize,
    open: &mut dyn FnMut() -> Result<OpenModel, StageError>,
) -> Result<Vec<OpenModel>, StageError> {
    let mut models = vec![open()?];
    let mut made_with = manifest(run, STAGE, &models[0], options);
    made_with.noted.extend(clock.processor());
    made_with.establish(&run.layout.manifest(STAGE))?;
    for _ in 1..options.networks.get().min(n_blocks) {
        models.push(open()?);
    }
    Ok(models)
}

/// Whether the part of a block stands whole.
///
/// # Errors
/// [`StoreError`] for a part that is damaged, belongs to another plan, or is that of another block.
pub fn is_done(run: &Run<'_>, block: &Block) -> Result<bool, StoreError> {
    let (path, stage_id) = (run.layout.part(STAGE, block.id), run.layout.stage_id(STAGE));
    if !shelf::stands(&path, &checks(stage_id))? {
        return Ok(false);
    }
    let held = part::claims(&path, stage_id)?.block;
    if held == block.id {
        return Ok(true);
    }
    let message =
        format!("it holds block {}, and its name is that of block {}", held.0, block.id.0);
    Err(StoreError::malformed(&path, message))
}

/// Digests of an image part.
fn checks(stage_id: &str) -> Checks<'_> {
    Checks {
        claimed: Box::new(move |path: &Path| Ok(part::claims(path, stage_id)?.content_sha256)),
        actual: Box::new(move |path: &Path| {
            Ok(part::content_digest(&part::read(path, stage_id, Parts::All)?))
        }),
    }
}

/// What the networks did so far.
#[derive(Default)]
struct Tally {
    n_done: usize,
    network: Duration,
    publish: Duration,
    failed: BTreeMap<u64, ModelError>,
}

/// Works through the blocks.
fn work(
    (run, clock): (&Run<'_>, &Clock<'_>),
    (options, back_off): (GenerateOptions, &BackOff),
    models: &mut [OpenModel],
    blocks: &[Block],
) -> Result<Tally, StageError> {
    let tally = Mutex::new(Tally::default());
    let tallied = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    each_block(models, blocks, &|model, block| {
        let check_stop = || run.check_stop(STAGE, (tallied().n_done, blocks.len()));
        check_stop()?;
        clock.start();
        let made = back_off.run(model, |batch_size, model| {
            generate_block(run, GenerateOptions { batch_size, ..options }, model, block)
        });
        match made.and_then(|part| clock.stop(part)) {
            Ok(part) => {
                let start = Instant::now();
                put(run, &model.provenance, &part)?;
                let mut tally = tallied();
                tally.n_done += 1;
                tally.publish += start.elapsed();
                tally.network += Duration::from_secs_f64(part.network_seconds);
                Ok(())
            }
            Err(_) if run.stop.requested() => check_stop(),
            Err(StageError::Model(error @ ModelError::NotFinite { .. })) => {
                record_failure(run, STAGE, block, &error)?;
                tallied().failed.insert(block.id.0, error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    })?;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let folder = run.layout.stage_folder(STAGE).join("failed").display().to_string();
    let failed = tally.failed.keys().copied().collect();
    match tally.failed.pop_first() {
        None => Ok(tally),
        Some((_, first)) => Err(StageError::NotFinite { failed, first, folder }),
    }
}

/// Publishes a part; a failure of an earlier run is over then.
fn put(run: &Run<'_>, provenance: &Provenance, part: &ImagePart) -> Result<(), StoreError> {
    let stage_id = run.layout.stage_id(STAGE);
    let path = run.layout.part(STAGE, part.block);
    let bytes = part::to_bytes(&path, part, stage_id, provenance)?;
    shelf::put(&path, &bytes, &part::content_digest(part), &checks(stage_id))?;
    let _ = std::fs::remove_file(failure_file(&run.layout, STAGE, part.block.0));
    Ok(())
}
