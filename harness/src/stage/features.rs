//! Features of generated images, block by block, kept by the content of the images.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::plan::{Block, outstanding};
use crate::store::StoreError;
use crate::store::features::{self, FeaturePart};
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};

pub use super::extract::{ExtractOptions, OpenExtractor};
use super::extract::{Handed, checks, extract, manifest};
use super::shelf;
use super::side_by_side::each_block;
use super::{Run, StageError, StageSummary, generate, real};

const STAGE: StageName = StageName::Features;

/// Extracts the outstanding blocks of the shard, whose images must be there; then those of the real images that the plan
/// draws. Networks are opened only if there are any.
///
/// # Errors
/// [`StageError::Missing`] when images are missing, and the errors of networks and files.
pub fn features(
    run: &Run<'_>,
    options: ExtractOptions,
    open: &mut dyn FnMut() -> Result<OpenExtractor, StageError>,
) -> Result<StageSummary, StageError> {
    let batch_size = options.batch_size;
    let start = Instant::now();
    if run.plan.extractor.is_none() {
        return Ok(StageSummary::default());
    }
    let _lock = run.lock(STAGE)?;
    let Standing { n_blocks, n_found, n_images: found_images, outstanding: blocks } =
        Standing::of(run)?;
    let n_images = blocks.iter().map(Block::len).sum();
    let mut summary = StageSummary { n_blocks, n_found, n_images, ..Default::default() };
    if !blocks.is_empty() {
        let networks = options.open(blocks.len(), open)?;
        summary.n_networks = networks.len();
        if let Some(network) = networks.first() {
            manifest(run, STAGE, (network, batch_size)).establish(&run.layout.manifest(STAGE))?;
        }
        run.progress.begin(STAGE.as_str(), found_images + summary.n_images, found_images);
        let mut networks = options.in_turns(networks, blocks.len());
        let ended = work(run, batch_size, &mut networks, &blocks);
        run.progress.end();
        (summary.network, summary.publish) = ended?;
        summary.batch_size = batch_size.get();
    }
    real::real(run, options, open)?;
    summary.wall = start.elapsed();
    Ok(summary)
}

/// Which blocks of the shard have their features, and which do not.
#[derive(Default)]
struct Standing {
    n_blocks: usize,
    n_found: usize,
    /// Images of the blocks that have them.
    n_images: u64,
    outstanding: Vec<Block>,
}

impl Standing {
    /// # Errors
    /// [`StageError::Missing`] where images are missing.
    fn of(run: &Run<'_>) -> Result<Self, StageError> {
        let mut missing = Vec::new();
        let mut found = Self::default();
        found.outstanding = outstanding(run.plan, run.shard, |block| {
            found.n_blocks += 1;
            if !generate::is_done(run, block)? {
                missing.push(block.id.0);
                return Ok(true);
            }
            let done = is_done(run, block)?;
            found.n_found += usize::from(done);
            found.n_images += if done { block.len() } else { 0 };
            Ok::<_, StageError>(done)
        })?;
        if !missing.is_empty() {
            let (n_blocks, n_missing) = (found.n_blocks as u64, missing.len() as u64);
            return Err(StageError::Missing { stage: "generate", n_blocks, n_missing, missing });
        }
        Ok(found)
    }
}

/// Whether the features of a block stand whole, and are those of its images.
///
/// # Errors
/// [`StoreError::Mismatch`] for features of other images, and those of [`shelf::stands`].
pub fn is_done(run: &Run<'_>, block: &Block) -> Result<bool, StoreError> {
    let path = run.layout.part(STAGE, block.id);
    let stage_id = run.layout.stage_id(STAGE);
    if !shelf::stands(&path, &checks(stage_id))? {
        return Ok(false);
    }
    let images = run.layout.part(StageName::Generate, block.id);
    let expected = part::claims(&images, run.layout.stage_id(StageName::Generate))?.images_sha256;
    let got = features::claims(&path, stage_id)?.images_sha256;
    if got == expected {
        return Ok(true);
    }
    Err(StoreError::Mismatch { path, field: "images sha256".to_owned(), got, expected })
}

/// Works through the blocks; the times inside the networks and of publishing, added up.
fn work(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    networks: &mut [OpenExtractor],
    blocks: &[Block],
) -> Result<(Duration, Duration), StageError> {
    let stage_id = run.layout.stage_id(STAGE);
    let tally = Mutex::new((0, Duration::ZERO, Duration::ZERO));
    let tallied = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    each_block(networks, blocks, &|network, block| {
        let Some(part) = extract_block(run, batch_size, network, block)? else {
            return run.check_stop(STAGE, (tallied().0, blocks.len()));
        };
        let start = Instant::now();
        let path = run.layout.part(STAGE, block.id);
        let bytes = features::to_bytes(&path, &part, stage_id, &network.provenance)?;
        shelf::put(&path, &bytes, &features::content_digest(&part), &checks(stage_id))?;
        let mut tally = tallied();
        tally.0 += 1;
        tally.1 += Duration::from_secs_f64(part.seconds);
        tally.2 += start.elapsed();
        Ok(())
    })?;
    let (_, network, publish) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((network, publish))
}

/// Features of a block; `None` when a stop was asked for.
pub(super) fn extract_block(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    network: &mut OpenExtractor,
    block: &Block,
) -> Result<Option<FeaturePart>, StageError> {
    let path = run.layout.part(StageName::Generate, block.id);
    let images = part::read(&path, run.layout.stage_id(StageName::Generate), Parts::All)?;
    let handed = (network, Handed::Generated);
    extract(run, batch_size, handed, (block.id, images.samples, &images.images))
}
