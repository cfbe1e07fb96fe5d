//! Samplers: one update rule a file. A sampler moves `x` given `epsilon_hat` at its place, and asks for more predictions
//! where its rule wants some; it never sees a network.
//!
//! To add one: a file with its update rule ([`Sampler`]) and its settings ([`SamplerSettings`]), `mod` here, a line in the
//! list of [`SamplerConfig`]. Worked example, run as a test: `harness/tests/worked/sampler.rs`.

mod ancestral;
mod churn;
mod clip_x0;
mod ddim;
mod ddpm;
mod dpm_solver_2;
mod dpm_solver_pp_2m;
mod edm_euler;
mod edm_heun;
mod elementwise;
mod end;
mod error;
mod flow_euler;
#[cfg(test)]
mod golden_tests;
mod kinds;
mod linear;
mod pndm;
mod settings;

pub use ancestral::AncestralNoise;
pub use churn::Churn;
use clip_x0::clean_estimate;
pub use clip_x0::{Clip, ClipX0, x0_from_epsilon};
pub use ddim::{Ddim, DdimSettings};
pub use ddpm::{Ddpm, DdpmSettings, StepVariance};
pub use dpm_solver_2::{DpmSolver2, DpmSolver2Settings};
pub use dpm_solver_pp_2m::{DpmSolverPp2m, DpmSolverPp2mSettings};
pub use edm_euler::{EdmEuler, EdmEulerSettings};
pub use edm_heun::{EdmHeun, EdmHeunSettings};
pub use end::FinalAlphaBar;
pub use error::SamplerError;
pub use flow_euler::{FlowEuler, FlowEulerSettings};
pub use kinds::SamplerConfig;
pub use linear::{LinearStep, Midpoint};
pub use pndm::{Pndm, PndmSettings};
pub use settings::{SamplerSettings, Walk};

use ndarray::{Array4, ArrayView4};

use crate::model::{ModelError, StepKind, StepUpdate};
use crate::schedule::{NoiseLevel, NoisePoint};
use crate::units::StepIndex;

/// What one step needs to know of its place: loop index, time, noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPoint {
    /// Loop index.
    pub index: StepIndex,
    /// Time in the schedule's own unit: what the network is told, before `time` of its description.
    pub t: f64,
    /// How noisy the state is: what every rule goes by.
    pub level: NoiseLevel,
    /// How noisy the network takes it to be: the same, but in [`StepPoint::with_level`].
    asked: NoiseLevel,
}

impl StepPoint {
    /// Loop index `index` at `place`.
    pub fn new(index: StepIndex, place: NoisePoint) -> Self {
        Self { index, t: place.t, level: place.level, asked: place.level }
    }

    /// Weight of the image in `x = a x_0 + s n`.
    pub fn a(&self) -> f64 {
        self.level.a()
    }

    /// Weight of the noise.
    pub fn s(&self) -> f64 {
        self.level.s()
    }

    /// Where the network is asked.
    pub fn place(&self) -> NoisePoint {
        NoisePoint { t: self.t, level: self.asked }
    }

    /// The same under another noise level, the network still asked where it was: what a released quirk does (D15).
    #[must_use]
    pub fn with_level(self, level: NoiseLevel) -> Self {
        Self { level, ..self }
    }
}

/// Places in the order of the steps.
pub fn step_points(places: Vec<NoisePoint>) -> Vec<StepPoint> {
    let indices = (0..).map(StepIndex);
    indices.zip(places).map(|(index, place)| StepPoint::new(index, place)).collect()
}

/// Asks for `epsilon_hat [b, c, h, w]` at states of the batch and a place: one evaluation an image each time.
pub type Ask<'a> =
    &'a mut dyn FnMut(ArrayView4<'_, f32>, NoisePoint) -> Result<Array4<f32>, ModelError>;

/// A sampler of `n_steps` steps over a noise schedule; what it draws is keyed. Holds the history of multistep rules: one sampler value per trajectory batch.
pub trait Sampler: Send {
    /// Places of the walk, one a step, in the order in which they are visited.
    fn points(&self) -> &[StepPoint];

    /// Number of steps `N`.
    fn n_steps(&self) -> u32 {
        u32::try_from(self.points().len()).unwrap_or(u32::MAX)
    }

    /// Place of loop index `index`, which must be below [`Sampler::n_steps`].
    fn point(&self, index: StepIndex) -> StepPoint {
        self.points()[index.0 as usize]
    }

    /// Whether the rule clips `x0_hat`: none does unless it says so here.
    fn clip(&self) -> ClipX0 {
        ClipX0::Never
    }

    /// `x0_hat = (x - s epsilon_hat) / a`, clipped as [`Sampler::clip`] says. `[b, c, h, w]`.
    fn x0_hat(
        &self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
    ) -> Array4<f32> {
        x0_from_epsilon(&self.point(index), &x, &epsilon, self.clip())
    }

    /// The step from `index` as a linear map of state and prediction, by which moments are carried; `None` for rules that are
    /// none: those that clip, or remember earlier predictions.
    fn linear(&self, _index: StepIndex) -> Option<LinearStep> {
        None
    }

    /// What a graph of its whole steps is made for, with so many draws; `None` for rules that no such graph knows.
    fn step_kind(&self, _n_draws: u32) -> Option<StepKind> {
        None
    }

    /// The numbers of the step from `index` for such a graph; `None` for other rules, and where the step needs what is not there
    /// (an earlier prediction, at the first step of a walk).
    fn update(&self, _index: StepIndex) -> Option<StepUpdate<'_>> {
        None
    }

    /// Takes note that the step from `index` was made elsewhere, by [`Sampler::update`], at this `x0_hat`.
    fn stepped(&mut self, _index: StepIndex, _x0_hat: &Array4<f32>) {}

    /// Moves `x` from loop index `index` to the next one. After the last index the result is the
    /// final state. Steps are taken in order 0, 1, .., N-1, each once.
    ///
    /// `epsilon` is the prediction at `x` and [`Sampler::point`], which estimators have seen and guidance may have
    /// rewritten. A rule that needs predictions elsewhere gets them from `ask`, as often as it likes; these are the
    /// network's own, and each is counted.
    ///
    /// # Errors
    /// Those of `ask`.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError>;
}

/// What a rule that asks nothing more is handed in tests.
#[cfg(test)]
fn no_more(_x: ArrayView4<'_, f32>, place: NoisePoint) -> Result<Array4<f32>, ModelError> {
    panic!("asked at {place:?}")
}
