//! Features of real images: those that the plan draws of its reference. Their parts are shared by all plans that draw the same.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plan::Block;
use crate::store::StoreError;
use crate::store::features::{self, Claims, FeaturePart};
use crate::store::layout::StageName;
use crate::units::SampleId;

use super::extract::{ExtractOptions, Handed, OpenExtractor, checks, extract, manifest};
use super::side_by_side::each_block;
use super::statistics::source::chosen;
use super::{Run, StageError, shelf};

const STAGE: StageName = StageName::Real;

/// Extracts the outstanding blocks of the shard. Networks are opened only if there are any.
///
/// # Errors
/// Those of the data set, of networks and of files.
pub(super) fn real(
    run: &Run<'_>,
    options: ExtractOptions,
    open: &mut dyn FnMut() -> Result<OpenExtractor, StageError>,
) -> Result<(), StageError> {
    let (mut blocks, mut found) = (Vec::new(), 0);
    for block in run.plan.real_blocks().filter(|block| run.shard.takes(block.id)) {
        if is_done(run, &block)? {
            found += block.len();
        } else {
            blocks.push(block);
        }
    }
    if blocks.is_empty() {
        return Ok(());
    }
    run.layout.create_stage(STAGE)?;
    let _lock = run.lock(STAGE)?;
    let networks = options.open(blocks.len(), open)?;
    if let Some(network) = networks.first() {
        let manifest = manifest(run, STAGE, (network, options.batch_size));
        manifest.establish(&run.layout.manifest(STAGE))?;
    }
    let left: u64 = blocks.iter().map(Block::len).sum();
    run.progress.begin("features of real images", found + left, found);
    let mut networks = options.in_turns(networks, blocks.len());
    let ended = work(run, options.batch_size, &mut networks, &blocks);
    run.progress.end();
    ended
}

fn work(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    networks: &mut [OpenExtractor],
    blocks: &[Block],
) -> Result<(), StageError> {
    let stage_id = run.layout.stage_id(STAGE);
    let (drawn, done) = (run.plan.real_samples(), AtomicUsize::new(0));
    each_block(networks, blocks, &|network, block| {
        let Some(part) = extract_block(run, batch_size, network, (&drawn, block))? else {
            return run.check_stop(STAGE, (done.load(Ordering::SeqCst), blocks.len()));
        };
        let path = run.layout.part(STAGE, block.id);
        let bytes = features::to_bytes(&path, &part, stage_id, &network.provenance)?;
        shelf::put(&path, &bytes, &features::content_digest(&part), &checks(stage_id))?;
        done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    })
}

fn extract_block(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    network: &mut OpenExtractor,
    (drawn, block): (&[SampleId], &Block),
) -> Result<Option<FeaturePart>, StageError> {
    let samples = samples_of(drawn, block);
    let what = "set of real images beside the feature network";
    let source = network.real.as_mut().ok_or(StageError::Absent { what })?;
    let images = chosen(source.as_mut(), &samples)?;
    extract(run, batch_size, (network, Handed::Real), (block.id, samples, &images))
}

/// Places in the data set of the images of a block, of those of all.
pub(super) fn samples_of(drawn: &[SampleId], block: &Block) -> Vec<SampleId> {
    let inside = block.sample_ids().into_iter().filter_map(|place| {
        let place = usize::try_from(place.0).ok()?;
        drawn.get(place).copied()
    });
    inside.collect()
}

/// Whether the part of a block stands whole.
fn is_done(run: &Run<'_>, block: &Block) -> Result<bool, StoreError> {
    shelf::stands(&run.layout.part(STAGE, block.id), &checks(run.layout.stage_id(STAGE)))
}

/// What the parts say of themselves; blocks without a part are added to `missing`.
///
/// # Errors
/// [`StoreError`] for parts that are damaged or of other images, or of another network.
pub(super) fn claims(
    run: &Run<'_>,
    missing: &mut BTreeMap<&'static str, Vec<u64>>,
) -> Result<Vec<Claims>, StoreError> {
    let mut all = Vec::new();
    for block in run.plan.real_blocks() {
        if is_done(run, &block)? {
            let path = run.layout.part(STAGE, block.id);
            all.push(features::claims(&path, run.layout.stage_id(STAGE))?);
        } else {
            missing.entry(STAGE.as_str()).or_default().push(block.id.0);
        }
    }
    Ok(all)
}

/// Holds the content of every part against the digest inside it; how many there are.
///
/// # Errors
/// [`StoreError::Disagreement`] for content that is not its digest.
pub(super) fn verify_contents(run: &Run<'_>) -> Result<u64, StageError> {
    let mut n = 0;
    for block in run.plan.real_blocks() {
        let path = run.layout.part(STAGE, block.id);
        let part = features::read(&path, run.layout.stage_id(STAGE))?;
        agree(run, path, &features::content_digest(&part))?;
        n += 1;
    }
    Ok(n)
}

/// Makes a block again and holds it against its part.
///
/// # Errors
/// [`StoreError::Disagreement`] when they differ.
pub(super) fn verify_block(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    network: &mut OpenExtractor,
    block: &Block,
) -> Result<(), StageError> {
    let drawn = run.plan.real_samples();
    let Some(again) = extract_block(run, batch_size, network, (&drawn, block))? else {
        return Err(StageError::Interrupted { stage: "verify", done: 0, total: 1 });
    };
    agree(run, run.layout.part(STAGE, block.id), &features::content_digest(&again))
}

fn agree(run: &Run<'_>, path: PathBuf, ours: &str) -> Result<(), StageError> {
    let theirs = features::claims(&path, run.layout.stage_id(STAGE))?.content_sha256;
    if ours == theirs {
        return Ok(());
    }
    Err(StoreError::Disagreement { path, ours: ours.to_owned(), theirs }.into())
}
