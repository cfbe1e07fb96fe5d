//! What a protocol may look at: the parts of its arms, and what they are held against.

use std::collections::BTreeMap;

use dubench_metrics::Reference;
use ndarray::{Array2, Array3};

use super::ProtocolError;
use crate::config::{PublishedSetting, PublishedTable};
use crate::plan::Work;
use crate::store::records::{CurveRow, MetricRow, ScoreTable, Span};
use crate::units::{Nfe, SampleId};

/// Reads the evidence of a run. Arms are named by their place in [`Work::arms`]; rows are in the order of the samples.
pub trait Evidence {
    /// The work.
    fn work(&self) -> &Work;

    /// Hash of the whole plan.
    fn plan_id(&self) -> &str;

    /// The question of the experiment.
    fn question(&self) -> &str;

    /// Why a method cannot run on the model, for each that cannot.
    fn not_applicable(&self) -> &BTreeMap<String, String>;

    /// The published table of the experiment, where it names one.
    fn published_table(&self) -> Option<&PublishedTable>;

    /// The row of that table that the experiment answers, where it names one.
    fn published(&self) -> Option<&PublishedSetting>;

    /// Scores of an arm.
    ///
    /// # Errors
    /// [`ProtocolError::Evidence`] for parts that are missing or damaged.
    fn scores(&mut self, arm: usize) -> Result<ArmScores, ProtocolError>;

    /// Which share of the elements of its maps lay below zero, an image, for every method of an arm whose maps can.
    ///
    /// # Errors
    /// As [`Evidence::scores`].
    fn negatives(&mut self, arm: usize) -> Result<Vec<(String, Vec<f64>)>, ProtocolError>;

    /// Scores of an arm at every single step.
    ///
    /// # Errors
    /// As [`Evidence::scores`].
    fn step_scores(&mut self, arm: usize) -> Result<Vec<StepScores>, ProtocolError>;

    /// Wall times of an arm.
    ///
    /// # Errors
    /// As [`Evidence::scores`]; [`ProtocolError::Evidence`] for parts that were made without a clock.
    fn times(&mut self, arm: usize) -> Result<ArmTimes, ProtocolError>;

    /// Features `[n, d]` of the images of an arm.
    ///
    /// # Errors
    /// As [`Evidence::scores`].
    fn features(&mut self, arm: usize) -> Result<Array2<f32>, ProtocolError>;

    /// What a text-to-image model is asked for. `None` of other models.
    ///
    /// # Errors
    /// [`ProtocolError::Evidence`] for a file of prompts, and for a pipeline, that cannot be read.
    fn texts(&self) -> Result<Option<Texts>, ProtocolError>;

    /// Images and maps of an arm, all of them.
    ///
    /// # Errors
    /// As [`Evidence::scores`].
    fn maps(&mut self, arm: usize) -> Result<ArmMaps, ProtocolError>;

    /// Images and maps of some samples of an arm, in the order asked for.
    ///
    /// # Errors
    /// As [`Evidence::scores`].
    fn shown(&mut self, arm: usize, samples: &[SampleId]) -> Result<Vec<Shown>, ProtocolError>;

    /// The first `n` real images, `[n, c h w]`.
    ///
    /// # Errors
    /// [`ProtocolError::Evidence`] for images that cannot be read.
    fn truth(&mut self, n: u64) -> Result<Array2<u8>, ProtocolError>;

    /// Mean and covariance of the reference's features.
    ///
    /// # Errors
    /// [`ProtocolError::Evidence`] for a file that is missing or damaged, [`ProtocolError::Metric`] for statistics that no
    /// images have.
    fn reference(&mut self) -> Result<Reference, ProtocolError>;

    /// Features `[n, d]` of the real images that the work draws of the reference, in the order of the data set.
    ///
    /// # Errors
    /// As [`Evidence::scores`], and [`ProtocolError::Absent`] for work that draws none.
    fn reference_features(&mut self) -> Result<Array2<f32>, ProtocolError>;
}

/// What a text-to-image model is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// Prompts: sample `id` is of prompt `id % n`.
    pub prompts: Vec<String>,
    /// What its folder says that readers of its numbers must know.
    pub note: Option<String>,
}

/// Scores of an arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmScores {
    /// Sample ids, ascending.
    pub samples: Vec<SampleId>,
    /// One column a method, in the order of the parts.
    pub methods: Vec<MethodColumn>,
    /// Evaluations per image that moved the trajectory.
    pub nfe_trajectory: u64,
    /// Time inside the network over all images, that of the methods included.
    pub network_seconds: f64,
}

impl ArmScores {
    /// The column of a method.
    pub fn method(&self, name: &str) -> Option<&MethodColumn> {
        self.methods.iter().find(|method| method.name == name)
    }
}

/// Scores of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodColumn {
    /// Name.
    pub name: String,
    /// One score a sample; higher is less certain.
    pub scores: Vec<f64>,
    /// Evaluations per image beyond the trajectory, as if it ran alone.
    pub nfe: Nfe,
    /// Time inside the network over all images, as if it ran alone.
    pub seconds: f64,
}

/// Scores of one method at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepScores {
    /// Method.
    pub name: String,
    /// Loop index.
    pub step: u32,
    /// One score a sample: the sum of the map over channels and pixels.
    pub scores: Vec<f64>,
}

/// Wall times of an arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmTimes {
    /// Its blocks, in order.
    pub blocks: Vec<BlockTime>,
    /// What they were made with, as the manifest has it: `device`, `threads`, `batch_size`, `processor`.
    pub conditions: BTreeMap<String, String>,
}

/// Wall time of one block, and what was done in it.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockTime {
    /// Images.
    pub n: usize,
    /// Wall time from the first draw to the last image, without publishing.
    pub seconds: f64,
    /// Of which turning states into images.
    pub decode_seconds: f64,
    /// Of which inside the denoiser.
    pub network_seconds: f64,
    /// Cores that other processes kept busy meanwhile.
    pub other_cores: Option<f64>,
    /// Evaluations per image that moved the trajectory.
    pub nfe_trajectory: u64,
    /// Evaluations per image of all that looked on.
    pub nfe_estimator: u64,
    /// Digest of the images.
    pub images_sha256: String,
}

/// Images and maps of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmMaps {
    /// Images `[n, c h w]`.
    pub images: Array2<u8>,
    /// `[c, h, w]`.
    pub shape: [usize; 3],
    /// Maps of every method that has some.
    pub methods: Vec<MethodMaps>,
    /// Evaluations per image that moved the trajectory.
    pub nfe_trajectory: u64,
}

/// Maps of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodMaps {
    /// Name.
    pub name: String,
    /// Steps that they are sums over.
    pub span: Span,
    /// `[n, c h w]`, or `[n, h w]` where the arm keeps sums over channels.
    pub maps: Array2<f32>,
    /// `[c, h, w]`: that of the images, or of their latents; `c` is 1 of sums over channels.
    pub shape: [usize; 3],
    /// Evaluations per image.
    pub nfe: Nfe,
    /// Time inside the network over all images.
    pub seconds: f64,
}

/// One image with its maps.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Sample id.
    pub sample: SampleId,
    /// `[c, h, w]`.
    pub image: Array3<u8>,
    /// Name and map over the whole window, `[1, h, w]` or `[c, h, w]`, of every method that has one.
    pub maps: BTreeMap<String, Array3<f32>>,
}

/// What a protocol computes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Rows of `metrics.parquet`.
    pub rows: Vec<MetricRow>,
    /// Rows of `curves.parquet`.
    pub curves: Vec<CurveRow>,
    /// Scores of single images: `scores.parquet`.
    pub scores: ScoreTable,
}
