//! Re-checking a finished run: every hash, every content digest, some blocks from their seeds, all numbers
//! from scores and features.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::experiment::Experiment;
use crate::model::ModelError;
use crate::noise::{NoiseKey, Purpose, uniform_below};
use crate::plan::Block;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::{StoreError, features as feature_parts};
use crate::units::SampleId;

use super::evaluate::evaluation::{self, Evaluation};
use super::features::{OpenExtractor, extract_block};
use super::generate::generate_block;
use super::open::OpenModel;
use super::settings::GenerateOptions;
use super::{Run, StageError, evaluate, real, thresholds};

/// How networks are opened; only where something is computed again.
pub struct Networks<'a> {
    /// The model.
    pub model: &'a mut dyn FnMut() -> Result<OpenModel, StageError>,
    /// The feature network.
    pub extractor: &'a mut dyn FnMut() -> Result<OpenExtractor, StageError>,
}

impl std::fmt::Debug for Networks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Networks")
    }
}

/// What was verified. Whatever did not hold is an error instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Parts whose hash and content were checked.
    pub n_parts: u64,
    /// Blocks whose images and features were made again.
    pub recomputed: Vec<u64>,
    /// Blocks of threshold sets that were made again.
    pub recomputed_sets: Vec<u64>,
    /// Digest of the numbers, computed again and equal to the stored one.
    pub metrics_sha256: String,
}

/// Verifies a finished run; images and features of `n_blocks` blocks, chosen by the seed of the plan, are made
/// again, and so are all numbers, curves and scores.
///
/// # Errors
/// [`StoreError::Damaged`] for content that is not its digest, [`StoreError::Disagreement`] for a block or numbers
/// that come out otherwise, and the errors of the stages.
pub fn verify(
    run: &Run<'_>,
    experiment: &Experiment,
    (n_blocks, options): (u64, GenerateOptions),
    networks: Networks<'_>,
) -> Result<Verification, StageError> {
    evaluate::complete(run)?;
    for block in run.plan.blocks() {
        go_on(run)?;
        contents(run, &block)?;
    }
    let n_thresholds = thresholds::verify_contents(run)?;
    let n_real = real::verify_contents(run)?;
    let [recomputed, recomputed_sets] = recompute(run, (n_blocks, options), networks)?;
    go_on(run)?;
    let stored = evaluation::read(run)?;
    evaluation::read_timings(run)?;
    let again = evaluate::compute(run, experiment)?;
    tables_agree(run, &again, &stored)?;
    let n_stages = 1 + u64::from(run.plan.extractor.is_some());
    let n_parts = n_stages * run.plan.n_blocks() + n_thresholds + n_real;
    let metrics_sha256 = stored.digest;
    Ok(Verification { n_parts, recomputed, recomputed_sets, metrics_sha256 })
}

/// Ends the verification where a stop was asked for.
fn go_on(run: &Run<'_>) -> Result<(), ModelError> {
    if run.stop.requested() { Err(ModelError::Stopped) } else { Ok(()) }
}

/// Holds the tables of an evaluation against those of a second one.
fn tables_agree(run: &Run<'_>, again: &Evaluation, stored: &Evaluation) -> Result<(), StageError> {
    for ((name, ours), (_, theirs)) in again.digests().into_iter().zip(stored.digests()) {
        agree(run.layout.run_file(name), &ours, &theirs)?;
    }
    Ok(())
}

/// Holds the content of a block's parts against the digests inside them.
fn contents(run: &Run<'_>, block: &Block) -> Result<(), StageError> {
    let images = run.layout.part(StageName::Generate, block.id);
    let id = run.layout.stage_id(StageName::Generate);
    let actual = part::content_digest(&part::read(&images, id, Parts::All)?);
    agree(images.clone(), &actual, &part::claims(&images, id)?.content_sha256)?;
    if run.plan.extractor.is_none() {
        return Ok(());
    }
    let features = run.layout.part(StageName::Features, block.id);
    let id = run.layout.stage_id(StageName::Features);
    let actual = feature_parts::content_digest(&feature_parts::read(&features, id)?);
    agree(features.clone(), &actual, &feature_parts::claims(&features, id)?.content_sha256)
}

/// Numbers of the blocks of images, and of threshold sets, that were made again.
fn recompute(
    run: &Run<'_>,
    (n_blocks, options): (u64, GenerateOptions),
    networks: Networks<'_>,
) -> Result<[Vec<u64>; 2], StageError> {
    let sets = run.plan.set_blocks();
    let chosen_sets = chosen(run.plan.seed, sets.len() as u64, n_blocks);
    let chosen = chosen(run.plan.seed, run.plan.n_blocks(), n_blocks);
    if chosen.is_empty() {
        return Ok([Vec::new(), Vec::new()]);
    }
    let mut model = (networks.model)()?;
    for set in sets.iter().filter(|set| chosen_sets.contains(&set.block.id.0)) {
        thresholds::verify_block(run, options, &mut model, set)?;
    }
    let extractor = run.plan.extractor.as_ref().map(|_| (networks.extractor)());
    let mut extractor = extractor.transpose()?;
    for block in run.plan.blocks().filter(|block| chosen.contains(&block.id.0)) {
        let path = run.layout.part(StageName::Generate, block.id);
        let again = part::content_digest(&generate_block(run, options, &mut model, &block)?);
        let id = run.layout.stage_id(StageName::Generate);
        agree(path.clone(), &again, &part::claims(&path, id)?.content_sha256)?;
        let Some(extractor) = &mut extractor else { continue };
        let Some(again) = extract_block(run, options.batch_size, extractor, &block)? else {
            let (done, total) = (0, chosen.len());
            return Err(StageError::Interrupted { stage: "verify", done, total });
        };
        let path = run.layout.part(StageName::Features, block.id);
        let id = run.layout.stage_id(StageName::Features);
        let again = feature_parts::content_digest(&again);
        agree(path.clone(), &again, &feature_parts::claims(&path, id)?.content_sha256)?;
    }
    if let Some(extractor) = &mut extractor {
        let of = run.plan.real_blocks().count() as u64;
        let again = self::chosen(run.plan.seed, of, n_blocks);
        for block in run.plan.real_blocks().filter(|block| again.contains(&block.id.0)) {
            real::verify_block(run, options.batch_size, extractor, &block)?;
        }
    }
    Ok([chosen, chosen_sets].map(|chosen| chosen.into_iter().collect()))
}

/// `n_blocks` different block numbers below `of`, or all of them.
fn chosen(seed: u64, of: u64, n_blocks: u64) -> BTreeSet<u64> {
    if n_blocks >= of {
        return (0..of).collect();
    }
    let below = u32::try_from(of).unwrap_or(u32::MAX);
    let mut chosen = BTreeSet::new();
    let mut draw = 0;
    while (chosen.len() as u64) < n_blocks {
        let key =
            NoiseKey { seed, purpose: Purpose::Subset, sample: SampleId(u64::MAX), step: 0, draw };
        chosen.insert(u64::from(uniform_below(key, below)));
        draw += 1;
    }
    chosen
}

fn agree(path: std::path::PathBuf, ours: &str, theirs: &str) -> Result<(), StageError> {
    if ours == theirs {
        return Ok(());
    }
    let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
    Err(StoreError::Disagreement { path, ours, theirs }.into())
}
