//! Thresholds of guidance masks: maps of unguided trajectories, block by block, and what is taken of them.
//!
//! The stage runs before `generate` and does nothing for plans whose masks look at the map at hand. Blocks of maps are parts
//! like all others: whole or absent, sealed, found again by the next call. When all blocks of all sets stand, every threshold
//! is taken, one step of the whole set at a time, and published as a file that says what it was made of.
//!
//! # Why does a shard make blocks of others?
//! Guided blocks need the thresholds of the whole set. A shard makes its own share of the set first and then whatever is still
//! missing, each shard beginning elsewhere, so that none waits for another. Blocks that two have made are the same bytes.

mod block;
mod take;

pub(super) use block::make as make_block;
pub use take::{facts, of_arm};

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::ModelError;
use crate::plan::{Block, SetBlock, Shard};
use crate::store::layout::StageName;
use crate::store::{Provenance, StoreError, maps};

use super::back_off::BackOff;
use super::open::{OpenModel, in_turns};
use super::run::failure_file;
use super::run::record_failure;
use super::settings::{GenerateOptions, manifest};
use super::shelf::{self, Checks};
use super::side_by_side::each_block;
use super::{Run, StageError, StageSummary};

const STAGE: StageName = StageName::Thresholds;

/// Makes the outstanding blocks of the plan's threshold sets, then the thresholds. The model is opened only if there are any
/// blocks to make, once a network.
///
/// # Errors
/// [`StageError`]; whatever was published is kept.
pub fn thresholds(
    run: &Run<'_>,
    options: GenerateOptions,
    open: &mut dyn FnMut() -> Result<OpenModel, StageError>,
) -> Result<StageSummary, StageError> {
    let start = Instant::now();
    let sets = run.plan.set_blocks();
    if sets.is_empty() {
        return Ok(StageSummary::default());
    }
    run.layout.create_stage(STAGE)?;
    let _lock = run.lock(STAGE)?;
    let mut blocks = Vec::new();
    for SetBlock { block, .. } in &sets {
        if !is_done(run, block)? {
            blocks.push(block.clone());
        }
    }
    let n_found = sets.len() - blocks.len();
    let n_left = blocks.len().saturating_sub(run.limit.unwrap_or(usize::MAX));
    let mut blocks = own_first(blocks, run.shard);
    blocks.truncate(blocks.len() - n_left);
    let mut summary =
        StageSummary { n_blocks: sets.len(), n_found, n_left, ..StageSummary::default() };
    if !blocks.is_empty() {
        summary = make(run, options, (&sets, &blocks), (summary, open))?;
    }
    if n_left == 0 {
        take::take_all(run, &sets)?;
    }
    summary.wall = start.elapsed();
    Ok(summary)
}

/// Opens the networks and works through the blocks.
fn make(
    run: &Run<'_>,
    options: GenerateOptions,
    (sets, blocks): (&[SetBlock], &[Block]),
    (mut summary, open): (StageSummary, &mut dyn FnMut() -> Result<OpenModel, StageError>),
) -> Result<StageSummary, StageError> {
    let mut models = vec![open()?];
    manifest(run, STAGE, &models[0], options).establish(&run.layout.manifest(STAGE))?;
    for _ in 1..options.networks.get().min(blocks.len()) {
        models.push(open()?);
    }
    let todo: u64 = blocks.iter().map(Block::len).sum();
    let total: u64 = sets.iter().map(|set| set.block.len()).sum();
    run.progress.begin(STAGE.as_str(), total, total - todo);
    let back_off = BackOff::new(options.batch_size);
    summary.n_networks = models.len();
    let mut models = in_turns(models, options.turns, blocks.len());
    let ended = work(run, (options, &back_off), &mut models, (sets, blocks));
    run.progress.end();
    (summary.n_images, summary.network) = ended?;
    summary.batch_size = back_off.batch_size().get();
    Ok(summary)
}

/// The blocks of a shard in their order, then those of the others, from a place of the shard's own on.
fn own_first(blocks: Vec<Block>, shard: Shard) -> Vec<Block> {
    let (mut own, mut others): (Vec<Block>, Vec<Block>) =
        blocks.into_iter().partition(|block| shard.takes(block.id));
    let start = shard.start_among(others.len());
    others.rotate_left(start);
    own.append(&mut others);
    own
}

/// Whether the part of a block stands whole.
///
/// # Errors
/// [`StoreError`] for a part that is damaged or belongs to another plan.
pub fn is_done(run: &Run<'_>, block: &Block) -> Result<bool, StoreError> {
    let stage_id = run.layout.stage_id(STAGE);
    shelf::stands(&run.layout.part(STAGE, block.id), &checks(stage_id))
}

fn checks(stage_id: &str) -> Checks<'_> {
    Checks {
        claimed: Box::new(move |path: &Path| maps::claims(path, stage_id)),
        actual: Box::new(move |path: &Path| {
            let [_, actual] = maps::claimed_and_actual(path, stage_id)?;
            Ok(actual)
        }),
    }
}

/// Works through the blocks; images made, and the time inside the networks, added up.
fn work(
    run: &Run<'_>,
    (options, back_off): (GenerateOptions, &BackOff),
    models: &mut [OpenModel],
    (sets, blocks): (&[SetBlock], &[Block]),
) -> Result<(u64, Duration), StageError> {
    let tally = Mutex::new((0, 0, Duration::ZERO));
    let tallied = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    each_block(models, blocks, &|model, block| {
        let check_stop = || run.check_stop(STAGE, (tallied().0, blocks.len()));
        check_stop()?;
        let found = is_done(run, block)?;
        let set = sets.iter().find(|set| set.block.id == block.id);
        let Some(set) = set.filter(|_| !found) else {
            // Another shard was faster.
            run.progress.advance(block.len());
            return Ok(());
        };
        let made = back_off.run(model, |batch_size, model| {
            block::make(run, GenerateOptions { batch_size, ..options }, model, set)
        });
        match made {
            Ok(part) => {
                put(run, &model.provenance, &part)?;
                let mut tally = tallied();
                tally.0 += 1;
                tally.1 += block.len();
                tally.2 += Duration::from_secs_f64(part.network_seconds);
                Ok(())
            }
            Err(_) if run.stop.requested() => check_stop(),
            Err(StageError::Model(first @ ModelError::NotFinite { .. })) => {
                record_failure(run, STAGE, block, &first)?;
                let folder = run.layout.stage_folder(STAGE).join("failed").display().to_string();
                Err(StageError::NotFinite { failed: vec![block.id.0], first, folder })
            }
            Err(error) => Err(error),
        }
    })?;
    let (_, n_images, network) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((n_images, network))
}

fn put(run: &Run<'_>, provenance: &Provenance, part: &maps::MapPart) -> Result<(), StoreError> {
    let stage_id = run.layout.stage_id(STAGE);
    let path = run.layout.part(STAGE, part.block);
    let bytes = maps::to_bytes(&path, part, stage_id, provenance)?;
    shelf::put(&path, &bytes, &maps::content_digest(part), &checks(stage_id))?;
    let _ = std::fs::remove_file(failure_file(&run.layout, STAGE, part.block.0));
    Ok(())
}

/// Refuses to guide blocks whose thresholds are not there yet, before any work.
///
/// # Errors
/// [`StageError::NoThresholds`].
pub(super) fn require(run: &Run<'_>, blocks: &[Block]) -> Result<(), StageError> {
    let arms = blocks.iter().filter_map(|block| run.plan.arm_of(block.id));
    for thresholds in arms.filter_map(|placed| placed.arm.thresholds()) {
        let path = take::path(run, &thresholds);
        if !path.exists() {
            return Err(StageError::NoThresholds { path });
        }
    }
    Ok(())
}

/// Holds the content of every part and of the thresholds against the digests inside them, and takes all thresholds again.
///
/// # Errors
/// [`StoreError::Disagreement`] for content that is not its digest.
pub(super) fn verify_contents(run: &Run<'_>) -> Result<u64, StageError> {
    let sets = run.plan.set_blocks();
    for SetBlock { block, .. } in &sets {
        let path = run.layout.part(STAGE, block.id);
        let [theirs, ours] = maps::claimed_and_actual(&path, run.layout.stage_id(STAGE))?;
        agree(path, ours, theirs)?;
    }
    Ok(sets.len() as u64 + take::verify(run, &sets)?)
}

/// Makes a block again and holds it against its part.
///
/// # Errors
/// [`StoreError::Disagreement`] when they differ.
pub(super) fn verify_block(
    run: &Run<'_>,
    options: GenerateOptions,
    model: &mut OpenModel,
    set: &SetBlock,
) -> Result<(), StageError> {
    let path = run.layout.part(STAGE, set.block.id);
    let ours = maps::content_digest(&block::make(run, options, model, set)?);
    let theirs = maps::claims(&path, run.layout.stage_id(STAGE))?;
    agree(path, ours, theirs)
}

fn agree(path: std::path::PathBuf, ours: String, theirs: String) -> Result<(), StageError> {
    if ours == theirs {
        return Ok(());
    }
    Err(StoreError::Disagreement { path, ours, theirs }.into())
}

#[cfg(test)]
mod tests;
