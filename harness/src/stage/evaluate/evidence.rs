//! The parts of a run as evidence for its protocol.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dubench_metrics::Reference;
use ndarray::{Array2, s};

use super::reference;
use crate::config::{PublishedSetting, PublishedTable};
use crate::experiment::Experiment;
use crate::plan::{PlacedArm, Work};
use crate::protocol::{
    ArmMaps, ArmScores, ArmTimes, BlockTime, Evidence, MethodColumn, MethodMaps, ProtocolError,
    Shown, StepScores, Texts,
};
use crate::stage::open::inputs;
use crate::stage::statistics::StatisticsError;
use crate::stage::{Run, StageError, real};
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;
use crate::store::part::{self, Parts};
use crate::store::records::{ImagePart, MethodScores, Span};
use crate::store::{StoreError, features, sidecar};
use crate::units::{BlockId, SampleId};

/// Reads the parts of a run in block order, whatever order they were made in.
pub struct RunEvidence<'a> {
    run: &'a Run<'a>,
    experiment: &'a Experiment,
    plan_id: String,
    not_applicable: BTreeMap<String, String>,
    conditions: BTreeMap<String, String>,
    published: Option<(PublishedTable, PublishedSetting)>,
}

impl std::fmt::Debug for RunEvidence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunEvidence").field("plan_id", &self.plan_id).finish_non_exhaustive()
    }
}

impl<'a> RunEvidence<'a> {
    /// The evidence of a run whose images are there.
    ///
    /// # Errors
    /// [`StageError`] for a manifest that is missing or damaged, and for published numbers that cannot be read.
    pub fn open(run: &'a Run<'a>, experiment: &'a Experiment) -> Result<Self, StageError> {
        let manifest = Manifest::read(&run.layout.manifest(StageName::Generate))?;
        let published = reference::published(experiment)?;
        let (plan_id, not_applicable) = (run.plan.id(), manifest.not_applicable);
        let conditions = manifest.noted.into_iter().chain(manifest.fixed).collect();
        Ok(Self { run, experiment, plan_id, not_applicable, conditions, published })
    }

    fn placed(&self, arm: usize) -> Result<PlacedArm<'a>, StageError> {
        self.run.plan.placed_arms().nth(arm).ok_or(StageError::Absent { what: "such arm" })
    }

    /// The image part of a block, which holds the samples that the plan says.
    fn part(
        &self,
        (block, samples): (BlockId, &[SampleId]),
        parts: Parts,
    ) -> Result<(PathBuf, ImagePart), StageError> {
        let path = self.run.layout.part(StageName::Generate, block);
        let part = part::read(&path, self.run.layout.stage_id(StageName::Generate), parts)?;
        if part.samples != samples {
            return Err(wrong_samples(&path, samples).into());
        }
        Ok((path, part))
    }

    fn read_scores(&self, arm: usize) -> Result<ArmScores, StageError> {
        let mut all = ArmScores::default();
        for block in self.placed(arm)?.blocks() {
            let samples = block.sample_ids();
            let (_, part) = self.part((block.id, &samples), Parts::Scores)?;
            all.samples.extend(samples);
            all.nfe_trajectory = part.nfe_trajectory;
            all.network_seconds += part.network_seconds;
            for method in part.scores.into_iter().filter(|method| method.span == Span::Window) {
                add_column(&mut all.methods, method);
            }
            self.run.progress.advance(block.len());
        }
        Ok(all)
    }

    fn read_negatives(&self, arm: usize) -> Result<Vec<(String, Vec<f64>)>, StageError> {
        let mut all: Vec<(String, Vec<f64>)> = Vec::new();
        for block in self.placed(arm)?.blocks() {
            let (_, part) = self.part((block.id, &block.sample_ids()), Parts::Scores)?;
            for method in part.scores.into_iter().filter(|method| method.span == Span::Negative) {
                match all.iter_mut().find(|(name, _)| *name == method.method) {
                    Some((_, shares)) => shares.extend(method.score),
                    None => all.push((method.method, method.score)),
                }
            }
        }
        Ok(all)
    }

    fn read_step_scores(&self, arm: usize) -> Result<Vec<StepScores>, StageError> {
        let mut all: BTreeMap<(String, u32), Vec<f64>> = BTreeMap::new();
        for block in self.placed(arm)?.blocks() {
            let (_, part) = self.part((block.id, &block.sample_ids()), Parts::Scores)?;
            for method in part.scores {
                let Span::Step(step) = method.span else { continue };
                all.entry((method.method, step)).or_default().extend(method.score);
            }
        }
        let one = |((name, step), scores)| StepScores { name, step, scores };
        Ok(all.into_iter().map(one).collect())
    }

    fn read_times(&self, arm: usize) -> Result<ArmTimes, StageError> {
        let mut blocks = Vec::new();
        for block in self.placed(arm)?.blocks() {
            let (path, part) = self.part((block.id, &block.sample_ids()), Parts::Scores)?;
            let timed = part.timed.ok_or_else(|| {
                StoreError::malformed(&path, "it was made without a clock".to_owned())
            })?;
            let claims = part::claims(&path, self.run.layout.stage_id(StageName::Generate))?;
            blocks.push(BlockTime {
                n: part.samples.len(),
                seconds: part.seconds,
                decode_seconds: timed.decode_seconds,
                network_seconds: part.network_seconds,
                other_cores: timed.other_cores,
                nfe_trajectory: part.nfe_trajectory,
                nfe_estimator: part.scores.iter().map(|method| method.nfe.estimator).sum(),
                images_sha256: claims.images_sha256,
            });
        }
        Ok(ArmTimes { blocks, conditions: self.conditions.clone() })
    }

    fn read_features(&self, arm: usize) -> Result<Array2<f32>, StageError> {
        let placed = self.placed(arm)?;
        let blocks = placed.blocks().map(|block| (block.id, block.sample_ids()));
        self.read_feature_parts(StageName::Features, placed.arm.n, blocks)
    }

    fn read_real(&self) -> Result<Array2<f32>, StageError> {
        let plan = self.run.plan;
        let samples = plan.real_samples();
        let blocks = plan.real_blocks().map(|block| (block.id, real::samples_of(&samples, &block)));
        self.read_feature_parts(StageName::Real, samples.len() as u64, blocks)
    }

    /// Features of `n` images, block by block.
    fn read_feature_parts(
        &self,
        stage: StageName,
        n: u64,
        blocks: impl Iterator<Item = (BlockId, Vec<SampleId>)>,
    ) -> Result<Array2<f32>, StageError> {
        let extractor = self.run.plan.extractor.as_ref();
        let dim = extractor.ok_or(StageError::Absent { what: "feature network" })?.dim;
        let mut all = Array2::zeros((usize::try_from(n).unwrap_or(usize::MAX), dim));
        let mut first = 0;
        for (block, samples) in blocks {
            let path = self.run.layout.part(stage, block);
            let part = features::read(&path, self.run.layout.stage_id(stage))?;
            if part.samples != samples {
                return Err(wrong_samples(&path, &samples).into());
            }
            let shape = (samples.len(), dim);
            if part.features.dim() != shape {
                let message = format!("features are {:?}, not {shape:?}", part.features.dim());
                return Err(StoreError::malformed(&path, message).into());
            }
            all.slice_mut(s![first..first + samples.len(), ..]).assign(&part.features);
            first += samples.len();
        }
        Ok(all)
    }

    fn read_maps(&self, arm: usize) -> Result<ArmMaps, StageError> {
        let placed = self.placed(arm)?;
        let n = usize::try_from(placed.arm.n).unwrap_or(usize::MAX);
        let mut all: Option<ArmMaps> = None;
        let mut first = 0;
        for block in placed.blocks() {
            let samples = block.sample_ids();
            let (path, part) = self.part((block.id, &samples), Parts::All)?;
            let pool = all.get_or_insert_with(|| empty_maps(&part, n));
            add_maps(pool, (&path, &part), first)?;
            first += samples.len();
            self.run.progress.advance(block.len());
        }
        all.ok_or(StageError::Absent { what: "images in an arm" })
    }

    fn read_shown(&self, arm: usize, samples: &[SampleId]) -> Result<Vec<Shown>, StageError> {
        let placed = self.placed(arm)?;
        let mut by_block: BTreeMap<BlockId, Vec<SampleId>> = BTreeMap::new();
        for sample in samples {
            by_block.entry(placed.block_of(*sample)).or_default().push(*sample);
        }
        let mut found = Vec::new();
        for block in placed.blocks().filter(|block| by_block.contains_key(&block.id)) {
            let (path, part) = self.part((block.id, &block.sample_ids()), Parts::All)?;
            sidecar::require(&path)?;
            found.extend(by_block[&block.id].iter().filter_map(|sample| shown(&part, *sample)));
        }
        let place = |shown: &Shown| samples.iter().position(|sample| *sample == shown.sample);
        found.sort_by_key(place);
        Ok(found)
    }

    fn read_truth(&self, n: u64) -> Result<Array2<u8>, StageError> {
        let name = self.experiment.protocol.needs().images;
        let name = name.ok_or(StageError::Absent { what: "set of real images" })?;
        let mut source = inputs::images(self.experiment, name)?;
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let images = source.read(0..n)?;
        let dim = images.len() / n.max(1);
        let malformed =
            |error: ndarray::ShapeError| StatisticsError::input(name.as_ref(), error.to_string());
        Ok(images.into_shape_with_order((n, dim)).map_err(malformed)?)
    }
}

fn wrong_samples(path: &Path, expected: &[SampleId]) -> StoreError {
    let end = |sample: Option<&SampleId>| sample.map_or(0, |sample| sample.0);
    let (first, last) = (end(expected.first()), end(expected.last()));
    StoreError::malformed(path, format!("its samples are not {first}..={last}"))
}

fn add_column(columns: &mut Vec<MethodColumn>, method: MethodScores) {
    match columns.iter_mut().find(|column| column.name == method.method) {
        Some(column) => {
            column.scores.extend(method.score);
            column.seconds += method.network_seconds;
        }
        None => columns.push(MethodColumn {
            name: method.method,
            scores: method.score,
            nfe: method.nfe,
            seconds: method.network_seconds,
        }),
    }
}

/// Room for the images and maps of `n` samples that look like those of `part`.
fn empty_maps(part: &ImagePart, n: usize) -> ArmMaps {
    let (_, c, h, w) = part.images.dim();
    let maps = |method: &MethodScores| {
        let (c, h, w) = method.map.as_ref()?.first()?.dim();
        Some(MethodMaps {
            name: method.method.clone(),
            span: method.span,
            maps: Array2::zeros((n, c * h * w)),
            shape: [c, h, w],
            nfe: method.nfe,
            seconds: 0.0,
        })
    };
    ArmMaps {
        images: Array2::zeros((n, c * h * w)),
        shape: [c, h, w],
        methods: part.scores.iter().filter_map(maps).collect(),
        nfe_trajectory: part.nfe_trajectory,
    }
}

/// Copies the rows of a part to `first ..`.
fn add_maps(
    pool: &mut ArmMaps,
    (path, part): (&Path, &ImagePart),
    first: usize,
) -> Result<(), StoreError> {
    for (row, image) in part.images.outer_iter().enumerate() {
        let mut to = pool.images.row_mut(first + row);
        to.iter_mut().zip(&image).for_each(|(to, from)| *to = *from);
    }
    for method in &mut pool.methods {
        let own =
            |scores: &&MethodScores| scores.method == method.name && scores.span == method.span;
        let scores = part.scores.iter().find(own);
        let maps = scores.and_then(|scores| scores.map.as_deref()).unwrap_or_default();
        if maps.len() != part.samples.len() {
            let message = format!("it has no maps of {} for all its images", method.name);
            return Err(StoreError::malformed(path, message));
        }
        method.seconds += scores.map_or(0.0, |scores| scores.network_seconds);
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

fn shown(part: &ImagePart, sample: SampleId) -> Option<Shown> {
    let row = part.samples.iter().position(|id| *id == sample)?;
    let map = |method: &MethodScores| {
        let map = method.map.as_ref()?.get(row)?;
        Some((method.method.clone(), map.clone()))
    };
    let whole = part.scores.iter().filter(|method| method.span == Span::Window);
    let image = part.images.slice(s![row, .., .., ..]).to_owned();
    Some(Shown { sample, image, maps: whole.filter_map(map).collect() })
}

impl Evidence for RunEvidence<'_> {
    fn work(&self) -> &Work {
        &self.run.plan.work
    }

    fn plan_id(&self) -> &str {
        &self.plan_id
    }

    fn question(&self) -> &str {
        &self.experiment.question
    }

    fn not_applicable(&self) -> &BTreeMap<String, String> {
        &self.not_applicable
    }

    fn published_table(&self) -> Option<&PublishedTable> {
        self.published.as_ref().map(|(table, _)| table)
    }

    fn published(&self) -> Option<&PublishedSetting> {
        self.published.as_ref().map(|(_, row)| row)
    }

    fn scores(&mut self, arm: usize) -> Result<ArmScores, ProtocolError> {
        self.read_scores(arm).map_err(ProtocolError::evidence)
    }

    fn negatives(&mut self, arm: usize) -> Result<Vec<(String, Vec<f64>)>, ProtocolError> {
        self.read_negatives(arm).map_err(ProtocolError::evidence)
    }

    fn step_scores(&mut self, arm: usize) -> Result<Vec<StepScores>, ProtocolError> {
        self.read_step_scores(arm).map_err(ProtocolError::evidence)
    }

    fn times(&mut self, arm: usize) -> Result<ArmTimes, ProtocolError> {
        self.read_times(arm).map_err(ProtocolError::evidence)
    }

    fn features(&mut self, arm: usize) -> Result<Array2<f32>, ProtocolError> {
        self.read_features(arm).map_err(ProtocolError::evidence)
    }

    fn texts(&self) -> Result<Option<Texts>, ProtocolError> {
        let texts = || -> Result<Option<Texts>, StageError> {
            let sizes = inputs::scale_of(self.experiment, &self.run.plan.scale)?;
            inputs::texts(self.experiment, sizes)
        };
        texts().map_err(ProtocolError::evidence)
    }

    fn maps(&mut self, arm: usize) -> Result<ArmMaps, ProtocolError> {
        self.read_maps(arm).map_err(ProtocolError::evidence)
    }

    fn shown(&mut self, arm: usize, samples: &[SampleId]) -> Result<Vec<Shown>, ProtocolError> {
        self.read_shown(arm, samples).map_err(ProtocolError::evidence)
    }

    fn truth(&mut self, n: u64) -> Result<Array2<u8>, ProtocolError> {
        self.read_truth(n).map_err(ProtocolError::evidence)
    }

    fn reference(&mut self) -> Result<Reference, ProtocolError> {
        reference::reference(self.work(), self.experiment).map_err(ProtocolError::evidence)
    }

    fn reference_features(&mut self) -> Result<Array2<f32>, ProtocolError> {
        if self.work().real.is_none() {
            return Err(ProtocolError::Absent { what: "features of real images" });
        }
        self.read_real().map_err(ProtocolError::evidence)
    }
}
