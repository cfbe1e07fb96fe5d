//! The estimate of the clean image, and whether it is clipped.

use ndarray::{Array4, ArrayRef4};
use serde::{Deserialize, Serialize};

use super::StepPoint;
use super::elementwise::of_both;
use crate::model::DenoiserSpec;
use crate::noise::nearest_f32;

/// What a sampler does to `x0_hat` before it steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipX0 {
    /// Clip to [-1, 1]: pixel models under DDIM.
    Unit,
    /// Clip to [0, 1]: pixel models of that range under DDIM.
    ZeroOne,
    /// Leave as it is: latent models, and every model under DPM-Solver++.
    Never,
}

impl ClipX0 {
    /// What a rule that clips does for a model: its pixels keep their range, latents are left alone.
    pub fn of_model(spec: &DenoiserSpec) -> Self {
        match (spec.clip_x0, spec.range) {
            (false, _) => Self::Never,
            (true, [0.0, _]) => Self::ZeroOne,
            (true, _) => Self::Unit,
        }
    }

    /// The range that it clips to; `None` where it leaves values as they are.
    pub fn range(self) -> Option<[f32; 2]> {
        match self {
            Self::Unit => Some([-1.0, 1.0]),
            Self::ZeroOne => Some([0.0, 1.0]),
            Self::Never => None,
        }
    }
}

/// Whether a sampler clips `x0_hat` to the range of the model's pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Pixel models clip, latent models do not: what the paper's models were sampled with.
    #[default]
    FollowModel,
    /// Never clip.
    Off,
}

impl Clip {
    /// For a model that clips so ([`ClipX0::of_model`]).
    pub(super) fn of_model(self, model: ClipX0) -> ClipX0 {
        match self {
            Self::FollowModel => model,
            Self::Off => ClipX0::Never,
        }
    }
}

/// `x0_hat = (x - s epsilon_hat) / a`, computed in f64, rounded to f32 once, then clipped.
///
/// `x` and `epsilon` are `[b, c, h, w]` f32 of equal shape; so is the result.
pub fn x0_from_epsilon(
    point: &StepPoint,
    x: &ArrayRef4<f32>,
    epsilon: &ArrayRef4<f32>,
    clip: ClipX0,
) -> Array4<f32> {
    let clean = clean_estimate(point, clip);
    of_both(x, epsilon, clean)
}

/// One element of [`x0_from_epsilon`].
pub(super) fn clean_estimate(
    point: &StepPoint,
    clip: ClipX0,
) -> impl Fn(f32, f32) -> f32 + Sync + use<> {
    let (a, s) = (point.a(), point.s());
    move |x, e| {
        let x0 = nearest_f32((f64::from(x) - s * f64::from(e)) / a);
        match clip {
            ClipX0::Unit => x0.clamp(-1.0, 1.0),
            ClipX0::ZeroOne => x0.clamp(0.0, 1.0),
            ClipX0::Never => x0,
        }
    }
}
