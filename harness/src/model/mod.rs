//! What the harness knows of a network: three traits, and the bundles that implement them.
//!
//! Everything above this module sees a noise prediction `epsilon_hat` at a noise level `x = a x_0 + s n`, whatever
//! the network itself predicts, whatever it is told of the time, with or without variance channels.

pub mod analytic;
pub mod bundle;
mod classifier_free;
pub mod clip;
mod condition;
mod error;
mod in_turn;
mod last_layer;
pub mod network;
pub mod onnx;
pub mod pipeline;
mod pixel_decoder;
mod step;
mod text;

pub use crate::extractor_id::ExtractorId;
pub use classifier_free::ClassifierFree;
pub use condition::Condition;
pub use error::ModelError;
pub use in_turn::{InTurn, SharedDenoiser, SharedExtractor};
pub use last_layer::{
    Fisher, FisherError, HeldWeights, LastLayerPosterior, Marginals, Predictive, WeightDraws,
    WeightLook,
};
pub use network::Network;
pub use pixel_decoder::PixelDecoder;
pub use step::{StepAnswer, StepInput, StepKind, StepRule, StepUpdate, images_a_call};

use std::time::Duration;

use ndarray::{Array2, Array4, ArrayView4};

use crate::noise::NoiseKey;
use crate::schedule::NoisePoint;
use crate::units::{ClassLabel, SampleId};

/// What a network asks of its caller.
#[derive(Clone, Debug, PartialEq)]
pub struct DenoiserSpec {
    /// Name of the bundle.
    pub name: String,
    /// `[c, h, w]` of the state `x_t` (latent shape for latent models).
    pub shape: [usize; 3],
    /// Number of classes; `None` for an unconditional network.
    pub n_classes: Option<u32>,
    /// Whether rows are conditioned on tensors of their sample.
    pub has_conditions: bool,
    /// Whether `x0_hat` is clipped to `range` by samplers (pixel models) or not (latent models).
    pub clip_x0: bool,
    /// `[low, high]` of the pixels as the network has them: [-1, 1] or [0, 1].
    pub range: [f32; 2],
    /// Elements of one image's flat dropout mask, where the bundle can drop out; else `None`.
    pub dropout_mask_len: Option<usize>,
    /// Dropout probability of training, where known.
    pub dropout_p: Option<f32>,
    /// Why a train-mode graph that is there cannot drop out; `None` where it can, and where there is none.
    pub dropout_reason: Option<String>,
}

impl DenoiserSpec {
    /// What a network asks to be told of each sample, with their classes where it knows some; `None` of one that asks nothing.
    pub fn conditions(
        &self,
        samples: &[SampleId],
        labels: Option<&[ClassLabel]>,
    ) -> Option<Vec<Condition>> {
        let of_samples = samples.iter().copied().map(Condition::of_sample);
        match labels {
            Some(labels) => {
                Some(of_samples.zip(labels).map(|(row, label)| row.with_class(*label)).collect())
            }
            None => self.has_conditions.then(|| of_samples.collect()),
        }
    }

    /// Conditions of `n` samples for a look at the network, over its classes in turn.
    pub(crate) fn some_conditions(&self, n: usize) -> Option<Vec<Condition>> {
        let samples: Vec<SampleId> = (0..).map(SampleId).take(n).collect();
        let labels = self.n_classes.map(|classes| {
            (0..).map(|k| ClassLabel(k % classes.max(1))).take(n).collect::<Vec<ClassLabel>>()
        });
        self.conditions(&samples, labels.as_deref())
    }
}

/// A map `U [b, c, h, w]` and the gradient of its sum with respect to `x`, of the same shape.
pub type MapAndGradient = (Array4<f32>, Array4<f32>);

/// One batch of network inputs. All rows share nothing: row `b` of the answer depends on row `b` alone.
#[derive(Clone, Copy, Debug)]
pub struct NetworkInput<'a> {
    /// States `[b, c, h, w]`, f32.
    pub x: ArrayView4<'a, f32>,
    /// One time a row, with the noise there.
    pub t: &'a [NoisePoint],
    /// One condition a row; `None` for unconditional networks.
    pub y: Option<&'a [Condition]>,
}

/// A noise-prediction network: `epsilon_hat = epsilon_theta(x_t, t, y)`.
pub trait Denoiser: Send {
    /// What the network asks of its caller.
    fn spec(&self) -> &DenoiserSpec;

    /// Evaluations of the network that a row of an answer costs.
    fn evaluations_a_row(&self) -> u64 {
        1
    }

    /// Whether it computes on a device of its own, so that the cores of the host are free while a call runs.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Time that its calls have waited for those of others: none, but for one that is asked in turn.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Predicts the noise: `[b, c, h, w]` f32, unit variance in training.
    ///
    /// # Errors
    /// [`ModelError`] when shapes disagree with [`DenoiserSpec`], or the runtime fails. Values are
    /// not checked for NaN here: [`Network`] does that for all implementations.
    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError>;

    /// Predicts the noise under explicit dropout masks `[b, dropout_mask_len]` (1 = keep) with
    /// keep-scale `1 / (1 - p)`.
    ///
    /// # Errors
    /// [`ModelError::NotApplicable`] where the network has no dropout: always, unless an implementation says otherwise.
    fn epsilon_dropout(
        &mut self,
        _input: NetworkInput<'_>,
        _masks: &Array2<u8>,
        _p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        let (method, model) = ("mc_dropout", self.spec().name.clone());
        Err(ModelError::NotApplicable { method, model, reason: "it has no dropout".to_owned() })
    }

    /// Mean and variance of the prediction over the weights of the last layer, where the network has a posterior of them.
    ///
    /// # Errors
    /// [`ModelError::NotApplicable`] where it has none: always, unless an implementation says otherwise.
    fn epsilon_predictive(
        &mut self,
        _input: NetworkInput<'_>,
        _look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        let model = self.spec().name.clone();
        let reason = "it has no posterior over its last layer: `dubench fit-laplace` makes one";
        Err(ModelError::NotApplicable { method: "bayesdiff", model, reason: reason.to_owned() })
    }

    /// The prediction under one draw of the weights of the last layer, named by its key: the same for all rows.
    ///
    /// # Errors
    /// [`ModelError::NotApplicable`] where the network has no posterior of them: always, unless an implementation says
    /// otherwise.
    fn epsilon_drawn(
        &mut self,
        _input: NetworkInput<'_>,
        _key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        let model = self.spec().name.clone();
        let reason = "it has no posterior over its last layer: `dubench fit-laplace` makes one";
        let method = "a draw of last-layer weights";
        Err(ModelError::NotApplicable { method, model, reason: reason.to_owned() })
    }

    /// Vector-Jacobian product with respect to `x`: returns `(epsilon_hat, J^T v)`, both `[b, c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::NotApplicable`] where the network has no gradient: always, unless an implementation says otherwise.
    fn epsilon_vjp(
        &mut self,
        _input: NetworkInput<'_>,
        _cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let (method, model) = ("the gradient of epsilon_hat", self.spec().name.clone());
        Err(ModelError::NotApplicable { method, model, reason: "it has no gradient".to_owned() })
    }

    /// Whether [`Denoiser::variance_gradient`] answers for `n_draws` draws.
    fn fuses(&self, _n_draws: u32) -> bool {
        false
    }

    /// The variance over draws and its gradient in one run, where the network has a graph for it; `None`
    /// sends the caller to [`Denoiser::epsilon`] and [`Denoiser::epsilon_vjp`].
    ///
    /// Rows `i M .. (i + 1) M` of `input` are the `M = n_draws` draws of sample `i`. The answer is `[b / M, c, h, w]`
    /// twice: `1 / (M - 1) sum_m (e_m - mean e)^2`, and `2 / (M - 1) sum_m J_m^T (e_m - mean e)`.
    ///
    /// # Errors
    /// [`ModelError`] when shapes disagree or the runtime fails.
    fn variance_gradient(
        &mut self,
        _input: NetworkInput<'_>,
        _n_draws: u32,
    ) -> Result<Option<MapAndGradient>, ModelError> {
        Ok(None)
    }

    /// Kinds of steps that [`Denoiser::step`] makes.
    fn step_kinds(&self) -> Vec<StepKind> {
        Vec::new()
    }

    /// A whole step in one call: prediction, clean estimate, statistics of the predictions at re-noised states, next state. It
    /// has the bits of separate calls with float64 between them.
    ///
    /// # Errors
    /// [`ModelError::NotApplicable`] where the network has no graph for it: always, unless an implementation says otherwise.
    fn step(&mut self, _input: StepInput<'_>) -> Result<StepAnswer, ModelError> {
        let (method, model) = ("a step as one call", self.spec().name.clone());
        let reason = "it has no graph of whole steps".to_owned();
        Err(ModelError::NotApplicable { method, model, reason })
    }
}

/// Maps the final state of a trajectory to images: the identity for pixel models, a decoder for latents.
pub trait Decoder: Send {
    /// `[b, c, h, w]` states to u8 images `[b, 3, H, W]`, clamped, rounded to nearest.
    ///
    /// # Errors
    /// [`ModelError`] when the runtime fails or a value is not finite.
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError>;
}

/// Maps images to the clean states of a latent model.
pub trait Encoder: Send {
    /// Images `[b, 3, H, W]`, f32 in [-1, 1], to states `[b, c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError`] for images of another size, and when the runtime fails.
    fn encode(&mut self, images: ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError>;
}

/// A feature network: u8 images in, one feature vector an image out.
pub trait FeatureExtractor: Send {
    /// Name and preprocessing, for the provenance of every number.
    fn id(&self) -> &ExtractorId;

    /// Features `[b, dim]` f32 of u8 images `[b, 3, H, W]`.
    ///
    /// # Errors
    /// [`ModelError`] when the runtime fails or a feature is not finite.
    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError>;

    /// The same of the images of samples, for an extractor that holds each against something of its sample; to others samples
    /// are nothing.
    ///
    /// # Errors
    /// As [`FeatureExtractor::extract`].
    fn extract_samples(
        &mut self,
        images: ArrayView4<'_, u8>,
        _samples: &[SampleId],
    ) -> Result<Array2<f32>, ModelError> {
        self.extract(images)
    }

    /// The same of images that are prepared as the released code of Table 4 prepares generated ones (D25).
    ///
    /// # Errors
    /// As [`FeatureExtractor::extract`]; [`ModelError::NotApplicable`] for an extractor without a network: always, unless an
    /// implementation says otherwise.
    fn extract_as_released(
        &mut self,
        _images: ArrayView4<'_, u8>,
    ) -> Result<Array2<f32>, ModelError> {
        let (method, model) = ("the released preprocessing", self.id().name.clone());
        let reason = "it has no network that images are prepared for: drop features.generated";
        Err(ModelError::NotApplicable { method, model, reason: reason.to_owned() })
    }
}
