//! What a protocol must answer.

use super::{Evidence, Numbers, ProtocolError};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::plan::{ArmPlan, Work};
use crate::propagation::PosteriorSettings;
use crate::report::Artefact;

/// A published protocol, as its settings. The enum of the kinds hands every question on.
pub trait Protocol {
    /// What it reads beyond the parts of its arms.
    fn needs(&self) -> Needs<'_>;

    /// Values that cannot work together, with their key paths in the experiment file.
    fn faults(&self, common: &Common) -> Vec<Fault>;

    /// Sets what a scale says of the protocol's own values.
    fn fill(&mut self, scale: &ScaleConfig);

    /// The arms at a scale.
    fn arms(&self, scope: Scope<'_>) -> Vec<ArmPlan>;

    /// All numbers, once the parts of all arms are there.
    ///
    /// # Errors
    /// [`ProtocolError`] of the evidence and of the metrics.
    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError>;

    /// Sentences that must stand under the tables.
    fn remarks(&self, evidence: &dyn Evidence) -> Vec<String>;

    /// Tables and plots of the numbers.
    ///
    /// # Errors
    /// [`ProtocolError`] of the evidence, and for numbers that cannot be drawn.
    fn report(
        &self,
        evidence: &mut dyn Evidence,
        numbers: &Numbers,
    ) -> Result<Vec<Artefact>, ProtocolError>;

    /// The work in a few words beyond its images and blocks, where there are any to say: `1,707 kept`.
    fn summary(&self, work: &Work) -> Option<String>;
}

/// What a protocol reads beyond the parts of its arms.
#[expect(clippy::struct_excessive_bools, reason = "questions, any of which may be answered yes")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Needs<'a> {
    /// Features of the generated images.
    pub features: bool,
    /// How well images agree with their prompts, where the experiment names a CLIP export for it; without one there are no
    /// such numbers.
    pub agreement: bool,
    /// Mean and covariance of the reference's features.
    pub statistics: bool,
    /// Features of real images, at every scale. Without it they are there at the scales that have `n_real`.
    pub reference_features: bool,
    /// Real images, as `dubench stats` takes them: arms start from them, or are held against them.
    pub images: Option<&'a str>,
    /// A posterior of the model's last layer.
    pub posterior: Option<PosteriorNeed<'a>>,
    /// What the wall times of its blocks are.
    pub wall_times: WallTimes,
}

/// Which posterior of the last layer is needed, and by which method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PosteriorNeed<'a> {
    /// Kind of the method, which is its key in the protocol: `bayesdiff`.
    pub method: &'static str,
    /// The posterior.
    pub settings: &'a PosteriorSettings,
}

impl Needs<'_> {
    /// Whether blocks are to be made so that their wall times are evidence.
    pub fn times_are_evidence(&self) -> bool {
        self.wall_times == WallTimes::Evidence
    }
}

/// What the wall times of blocks are to a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WallTimes {
    /// Noted beside the work.
    #[default]
    Noted,
    /// Its evidence: blocks are made by one network at a time, in a random order, beside known company.
    Evidence,
}

/// An experiment at a scale.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The experiment without its protocol.
    pub common: &'a Common,
    /// Sizes.
    pub scale: &'a ScaleConfig,
}
