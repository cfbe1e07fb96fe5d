//! Re-noised copies of the estimated clean image, and what the network says of them.

use std::ops::Range;

use ndarray::{Array4, Array5, ArrayView4, Zip, s};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::micro_batch::conditions_of;
use super::{Estimator, StepContext, Window, in_batches_of};
use crate::model::{ModelError, Network, NetworkInput};
use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal};
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::units::{NfeKind, SampleId, StepIndex};

/// The clean image that is noised again.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CleanEstimate {
    /// `x0_hat` as the sampler forms it: clipped for pixel models under DDIM. The default (D2).
    #[default]
    FollowSampler,
    /// `(x_t - s_t epsilon_t) / a_t`, never clipped: the paper's text.
    Unclipped,
    /// `(x_t - s_t x0_hat) / a_t`: the released second-order code, which takes `x0_hat` for `epsilon_t` (D4).
    Dpm2Code,
}

impl CleanEstimate {
    /// Whether it is the sampler's own.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is asked of the network: `n_draws` predictions `e_m = epsilon_theta(a x0_hat + s n_m, t)`, at any noise level `x = a x_0 + s n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Perturbation {
    /// Number of draws, the paper's M.
    pub n_draws: u32,
    /// Which clean image is noised again.
    pub clean: CleanEstimate,
}

/// A statistic that a graph of whole steps computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphStatistic {
    /// Unbiased variance over the draws.
    Variance,
    /// Mean square about the trajectory's own prediction.
    MeanSquare,
}

/// Under which name, where, and of what a statistic asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renoising {
    /// Name in tables.
    pub name: String,
    /// Where it looks.
    pub window: Window,
    /// What it asks of the network.
    pub perturbation: Perturbation,
}

impl Renoising {
    /// `n_draws` copies of the sampler's own `x0_hat`.
    pub fn new(name: impl Into<String>, window: Window, n_draws: u32) -> Self {
        let perturbation = Perturbation { n_draws, clean: CleanEstimate::FollowSampler };
        Self { name: name.into(), window, perturbation }
    }
}

/// An estimator that is a function of perturbed predictions alone: these two make an [`Estimator`].
pub trait PerturbedStatistic: Send {
    /// What it asks, and where.
    fn renoising(&self) -> &Renoising;

    /// What a graph of whole steps has to give for it; `None` where it is no statistic that such a graph computes.
    fn in_graph(&self) -> Option<GraphStatistic> {
        None
    }

    /// The map `U [b, c, h, w]` of predictions `e_m`, one `[b, c, h, w]` a draw.
    fn map(&self, context: &StepContext<'_>, draws: &[ArrayView4<'_, f32>]) -> Array4<f32>;
}

/// The states `x_hat^m = a x0 + s n_m`: `[n_draws b, c, h, w]`, draw after draw.
///
/// `n_m` depends on (seed, sample, loop index, m) alone, so the draws of M = 5 are the first five of M = 20.
pub fn perturbed_states(context: &StepContext<'_>, perturbation: Perturbation) -> Array4<f32> {
    let clean = clean_estimate(context, perturbation.clean);
    let rows = clean.dim().0 * perturbation.n_draws as usize;
    noised(context, &clean, 0..rows)
}

/// Rows of [`perturbed_states`].
fn noised(context: &StepContext<'_>, clean: &Array4<f32>, rows: Range<usize>) -> Array4<f32> {
    let (b, c, h, w) = clean.dim();
    let (a, s) = (context.point.a(), context.point.s());
    let clean = clean.as_standard_layout();
    let images: Vec<&[f32]> =
        clean.as_slice().unwrap_or_default().chunks((c * h * w).max(1)).collect();
    let mut states = Array4::zeros((rows.len(), c, h, w));
    let elements = states.as_slice_mut().unwrap_or_default();
    elements.par_chunks_mut((c * h * w).max(1)).enumerate().for_each(|(row, values)| {
        let index = rows.start + row;
        let (at, sample) = ((context.seed, context.point.index), context.samples[index % b]);
        standard_normal(key_of(at, sample, index / b), values);
        for (value, x0) in values.iter_mut().zip(images[index % b]) {
            *value = nearest_f32(a * f64::from(*x0) + s * f64::from(*value));
        }
    });
    states
}

fn key_of((seed, step): (u64, StepIndex), sample: SampleId, draw: usize) -> NoiseKey {
    let draw = u32::try_from(draw).unwrap_or(u32::MAX);
    NoiseKey { seed, purpose: Purpose::Perturb, sample, step: step.0, draw }
}

/// The noise `n_m` of [`perturbed_states`] alone, `[n_draws, b, c, h, w]`.
pub(super) fn draws_of_noise(
    at: (u64, StepIndex),
    samples: &[SampleId],
    n_draws: usize,
    [c, h, w]: [usize; 3],
) -> Array5<f32> {
    let b = samples.len();
    let mut noise = vec![0.0; n_draws * b * c * h * w];
    let rows = noise.par_chunks_mut((c * h * w).max(1)).enumerate();
    rows.for_each(|(row, values)| {
        standard_normal(key_of(at, samples[row % b], row / b), values);
    });
    Array5::from_shape_vec((n_draws, b, c, h, w), noise)
        .unwrap_or_else(|_| Array5::zeros((n_draws, b, c, h, w)))
}

/// The predictions `e_m [n_draws b, c, h, w]`, draw after draw.
///
/// # Errors
/// [`ModelError`] of the network.
pub fn perturbed_predictions(
    context: &StepContext<'_>,
    network: &mut Network<'_>,
    perturbation: Perturbation,
) -> Result<Array4<f32>, ModelError> {
    let clean = clean_estimate(context, perturbation.clean);
    let rows = clean.dim().0 * perturbation.n_draws as usize;
    let place = context.point.place();
    let states = |range| noised(context, &clean, range);
    in_batches_of((rows, context.max_batch), network, &states, |network, range, x| {
        let times = vec![place; range.len()];
        let y = conditions_of(context.conditions, range);
        let input = NetworkInput { x: x.view(), t: &times, y: y.as_deref() };
        network.epsilon(NfeKind::Estimator, input)
    })
}

/// One view `[b, c, h, w]` a draw of an array `[n_draws b, c, h, w]` that holds draw after draw of a batch of `b` rows, as
/// [`perturbed_predictions`] answers.
pub fn draws_of(stacked: &Array4<f32>, b: usize) -> Vec<ArrayView4<'_, f32>> {
    let n_draws = stacked.shape()[0] / b.max(1);
    (0..n_draws).map(|m| stacked.slice(s![m * b..(m + 1) * b, .., .., ..])).collect()
}

impl<S: PerturbedStatistic> Estimator for S {
    fn name(&self) -> &str {
        &self.renoising().name
    }

    fn window(&self) -> Window {
        self.renoising().window
    }

    fn estimate(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let stacked = perturbed_predictions(context, network, self.renoising().perturbation)?;
        Ok(self.map(context, &draws_of(&stacked, context.x.shape()[0])))
    }

    fn as_perturbed(&self) -> Option<&dyn PerturbedStatistic> {
        Some(self)
    }
}

fn clean_estimate(context: &StepContext<'_>, clean: CleanEstimate) -> Array4<f32> {
    match clean {
        CleanEstimate::FollowSampler => context.x0_hat.to_owned(),
        CleanEstimate::Unclipped => {
            x0_from_epsilon(&context.point, &context.x, &context.epsilon, ClipX0::Never)
        }
        CleanEstimate::Dpm2Code => {
            let (a, s) = (context.point.a(), context.point.s());
            Zip::from(context.x)
                .and(context.x0_hat)
                .map_collect(|x, x0| nearest_f32((f64::from(*x) - s * f64::from(*x0)) / a))
        }
    }
}
