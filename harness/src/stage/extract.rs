//! What every stage that runs a feature network shares.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, Array4, Axis, concatenate, s};

use crate::config::GeneratedImages;
use crate::model::{FeatureExtractor, ModelError, SharedExtractor};
use crate::plan::PlanError;
use crate::store::features::{self, FeaturePart};
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::{Provenance, part};
use crate::units::{BlockId, SampleId};

use super::shelf::Checks;
use super::statistics::{ImageSource, SharedImages};
use super::{Run, StageError};

/// A feature network, ready to run.
pub struct OpenExtractor {
    /// The network.
    pub extractor: Box<dyn FeatureExtractor>,
    /// What runs it, where.
    pub provenance: Provenance,
    /// The data set that real images are drawn of, where the plan draws some.
    pub real: Option<Box<dyn ImageSource>>,
}

impl std::fmt::Debug for OpenExtractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenExtractor").field("id", self.extractor.id()).finish_non_exhaustive()
    }
}

impl OpenExtractor {
    /// The network for `n` workers, who ask it in turn.
    fn in_turns(self, n: usize) -> Vec<Self> {
        if n == 1 {
            return vec![self];
        }
        let mut real = self.real.map(|real| SharedImages::share(real, n).into_iter());
        let handle = |extractor| Self {
            extractor: Box::new(extractor),
            provenance: self.provenance.clone(),
            real: real.as_mut().and_then(Iterator::next).map(|one| Box::new(one) as _),
        };
        SharedExtractor::share(self.extractor, n).into_iter().map(handle).collect()
    }
}

/// How the networks of a stage work: images a call, networks side by side, and workers who ask each of them in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtractOptions {
    /// Images a network call, at most.
    pub batch_size: NonZeroUsize,
    /// Networks that work side by side.
    pub networks: NonZeroUsize,
    /// Blocks at a time on each network.
    pub turns: NonZeroUsize,
}

impl ExtractOptions {
    /// The networks for so many blocks, opened one after another.
    pub(super) fn open(
        self,
        n_blocks: usize,
        open: &mut dyn FnMut() -> Result<OpenExtractor, StageError>,
    ) -> Result<Vec<OpenExtractor>, StageError> {
        let n = self.networks.get().min(n_blocks);
        (0..n).map(|_| open()).collect()
    }

    /// `networks` for the workers that ask them.
    pub(super) fn in_turns(
        self,
        networks: Vec<OpenExtractor>,
        n_blocks: usize,
    ) -> Vec<OpenExtractor> {
        let most = n_blocks.div_ceil(networks.len().max(1)).max(1);
        let turns = self.turns.get().min(most);
        networks.into_iter().flat_map(|network| network.in_turns(turns)).collect()
    }
}

/// What the features are made with: network and preprocessing are in the stage id, their runtime is not.
pub(super) fn manifest(
    run: &Run<'_>,
    stage: StageName,
    (network, batch_size): (&OpenExtractor, NonZeroUsize),
) -> Manifest {
    let text = |pairs: &[(&str, String)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    };
    let (id, provenance) = (network.extractor.id(), &network.provenance);
    Manifest {
        fixed: text(&[
            ("plan", run.layout.stage_id(stage).to_owned()),
            ("extractor", id.name.clone()),
            ("extractor sha256", id.sha256.clone()),
            ("preprocess", id.preprocess.clone()),
            ("output", id.output.clone().unwrap_or_default()),
            ("input size", id.input_size.map(|size| size.to_string()).unwrap_or_default()),
            ("runtime", provenance.runtime.clone()),
            ("device", provenance.device.clone()),
        ]),
        noted: text(&[
            ("version", provenance.version.clone()),
            ("revision", provenance.revision.clone().unwrap_or_default()),
            ("batch_size", batch_size.to_string()),
        ]),
        not_applicable: BTreeMap::new(),
    }
}

pub(super) fn checks(stage_id: &str) -> Checks<'_> {
    Checks {
        claimed: Box::new(move |path: &Path| Ok(features::claims(path, stage_id)?.content_sha256)),
        actual: Box::new(move |path: &Path| {
            Ok(features::content_digest(&features::read(path, stage_id)?))
        }),
    }
}

/// Which images a network is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// Of the arms.
    Generated,
    /// Of the reference.
    Real,
}

/// Features of images; `None` when a stop was asked for.
pub(super) fn extract(
    run: &Run<'_>,
    batch_size: NonZeroUsize,
    (network, handed): (&mut OpenExtractor, Handed),
    (block, samples, images): (BlockId, Vec<SampleId>, &Array4<u8>),
) -> Result<Option<FeaturePart>, StageError> {
    let start = Instant::now();
    let n = images.dim().0;
    check_size(run, images)?;
    let mut batches: Vec<Array2<f32>> = Vec::new();
    for first in (0..n).step_by(batch_size.get()) {
        if run.stop.requested() {
            return Ok(None);
        }
        let last = (first + batch_size.get()).min(n);
        let batch = images.slice(s![first..last, .., .., ..]);
        let batch = match (handed, run.plan.generated) {
            (Handed::Real, _) => network.extractor.extract(batch)?,
            (Handed::Generated, None) => {
                network.extractor.extract_samples(batch, &samples[first..last])?
            }
            (Handed::Generated, Some(GeneratedImages::AuthorsCode)) => {
                network.extractor.extract_as_released(batch)?
            }
        };
        check(
            network.extractor.id().name.as_str(),
            &batch,
            [last - first, network.extractor.id().dim],
        )?;
        batches.push(batch);
        run.progress.advance((last - first) as u64);
    }
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    let features = concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
        context: "joining batches".to_owned(),
        message: error.to_string(),
    })?;
    Ok(Some(FeaturePart {
        block,
        samples,
        features,
        images_sha256: part::images_digest(images),
        seconds: start.elapsed().as_secs_f64(),
    }))
}

/// Refuses images of another size than those behind the reference statistics, where these say it: an FID of the two would be
/// a number all the same.
fn check_size(run: &Run<'_>, images: &Array4<u8>) -> Result<(), StageError> {
    let Some(reference) = &run.plan.reference else { return Ok(()) };
    let got = [images.dim().2 as u64, images.dim().3 as u64];
    match reference.image_size {
        Some([h, w]) if [h, w] != got => {
            let (dataset, model) = (reference.dataset.clone(), run.plan.model.name.clone());
            let expected = format!("{} x {}", got[0], got[1]);
            let got = [h, w];
            Err(PlanError::ReferenceSize { dataset, got, model, expected }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses features of another shape; that they are finite is the extractor's promise.
fn check(model: &str, batch: &Array2<f32>, expected: [usize; 2]) -> Result<(), ModelError> {
    if batch.shape() != expected {
        return Err(ModelError::Shape {
            model: model.to_owned(),
            input: "features",
            got: batch.shape().to_vec(),
            expected: expected.to_vec(),
        });
    }
    Ok(())
}
