//! A denoiser that counts what it is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, Array4, ArrayView4};
use serde::Serialize;

use crate::model::{
    Denoiser, DenoiserSpec, MapAndGradient, ModelError, NetworkInput, Predictive, WeightLook,
};

/// Evaluations by the graph that answers them. Guidance by a null counts both halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evaluations {
    /// Plain predictions.
    pub forward: u64,
    /// Predictions under dropout masks.
    pub dropout: u64,
    /// Predictions with their moments over the weights of the last layer.
    pub predictive: u64,
    /// Vector-Jacobian products, each with its prediction.
    pub products: u64,
    /// The same in graphs that hold the variance of several draws.
    pub fused: u64,
}

impl Evaluations {
    /// All ways forth.
    pub fn all(&self) -> u64 {
        self.forward + self.dropout + self.predictive + self.reverse()
    }

    /// Ways back.
    pub fn reverse(&self) -> u64 {
        self.products + self.fused
    }
}

/// What was counted so far, shared with whoever looks on.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Evaluations>>);

impl Tally {
    fn open(&self) -> MutexGuard<'_, Evaluations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts, which begin again at zero.
    pub fn take(&self) -> Evaluations {
        std::mem::take(&mut *self.open())
    }
}

/// What a counting network answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Zeros, for states of this shape, whatever those of the network are: nothing is computed.
    Zeros([usize; 3]),
    /// What the network says.
    Real,
}

/// A network, and a count of what it is asked.
pub struct Counting {
    inner: Box<dyn Denoiser>,
    spec: DenoiserSpec,
    answers: Answers,
    tally: Tally,
}

impl std::fmt::Debug for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl Counting {
    /// `inner`, counted into `tally`.
    pub fn new(inner: Box<dyn Denoiser>, answers: Answers, tally: Tally) -> Self {
        let mut spec = inner.spec().clone();
        if let Answers::Zeros(shape) = answers {
            spec.shape = shape;
            spec.dropout_mask_len = spec.dropout_mask_len.map(|_| 1);
        }
        Self { inner, spec, answers, tally }
    }

    /// Counts the rows of a call by `place`.
    fn count(&self, input: &NetworkInput<'_>, place: impl Fn(&mut Evaluations) -> &mut u64) {
        let n = input.t.len() as u64 * self.inner.evaluations_a_row();
        *place(&mut self.tally.open()) += n;
    }
}

fn zeros(input: &NetworkInput<'_>) -> Array4<f32> {
    Array4::zeros(input.x.dim())
}

impl Denoiser for Counting {
    fn spec(&self) -> &DenoiserSpec {
        &self.spec
    }

    fn evaluations_a_row(&self) -> u64 {
        self.inner.evaluations_a_row()
    }

    fn fuses(&self, n_draws: u32) -> bool {
        self.inner.fuses(n_draws)
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        self.count(&input, |tally| &mut tally.forward);
        if self.answers == Answers::Real { self.inner.epsilon(input) } else { Ok(zeros(&input)) }
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        self.count(&input, |tally| &mut tally.dropout);
        if self.answers == Answers::Real {
            self.inner.epsilon_dropout(input, masks, p)
        } else {
            Ok(zeros(&input))
        }
    }

    fn epsilon_predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        self.count(&input, |tally| &mut tally.predictive);
        if self.answers == Answers::Real {
            return self.inner.epsilon_predictive(input, look);
        }
        Ok(Predictive { mean: zeros(&input), variance: zeros(&input) })
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        self.count(&input, |tally| &mut tally.products);
        if self.answers == Answers::Real {
            return self.inner.epsilon_vjp(input, cotangent);
        }
        Ok((zeros(&input), zeros(&input)))
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<MapAndGradient>, ModelError> {
        if !self.inner.fuses(n_draws) {
            return Ok(None);
        }
        self.count(&input, |tally| &mut tally.fused);
        if self.answers == Answers::Real {
            return self.inner.variance_gradient(input, n_draws);
        }
        let (rows, c, h, w) = input.x.dim();
        let map = Array4::zeros((rows / n_draws.max(1) as usize, c, h, w));
        Ok(Some((map.clone(), map)))
    }
}
