//! The one place where networks are called: counts evaluations and refuses values that are not finite.

use std::time::{Duration, Instant};

use ndarray::{Array2, Array4, ArrayView3, ArrayView4};

use super::{
    Denoiser, DenoiserSpec, MapAndGradient, ModelError, NetworkInput, Predictive, StepAnswer,
    StepInput, StepKind, WeightLook,
};
use crate::schedule::NoisePoint;
use crate::units::{Nfe, NfeKind};

/// A denoiser, its evaluation counts and the time spent inside it.
///
/// `nfe` counts evaluations *of rows*: divide by the number of images for the NFE of a table.
pub struct Network<'a> {
    denoiser: &'a mut dyn Denoiser,
    nfe: Nfe,
    busy: Duration,
}

impl std::fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("spec", self.denoiser.spec())
            .field("nfe", &self.nfe)
            .finish_non_exhaustive()
    }
}

impl<'a> Network<'a> {
    /// Wraps a denoiser; all counts start at zero.
    pub fn new(denoiser: &'a mut dyn Denoiser) -> Self {
        Self { denoiser, nfe: Nfe::default(), busy: Duration::ZERO }
    }

    /// What the network asks of its caller.
    pub fn spec(&self) -> &DenoiserSpec {
        self.denoiser.spec()
    }

    /// Row evaluations so far.
    pub fn nfe(&self) -> Nfe {
        self.nfe
    }

    /// Wall time spent inside the denoiser so far, without that of waiting for its turn.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Evaluations that a row of an answer costs.
    pub fn evaluations_a_row(&self) -> u64 {
        self.denoiser.evaluations_a_row()
    }

    /// Whether the cores of the host are free while a call runs.
    pub fn is_elsewhere(&self) -> bool {
        self.denoiser.is_elsewhere()
    }

    /// `epsilon_hat` of a batch.
    ///
    /// # Errors
    /// As [`Denoiser::epsilon`], and [`ModelError::NotFinite`].
    pub fn epsilon(
        &mut self,
        kind: NfeKind,
        input: NetworkInput<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let out = self.timed(|d| d.epsilon(input))?;
        self.account(kind, &out, input.t)?;
        Ok(out)
    }

    /// `epsilon_hat` under dropout masks, counted as estimator evaluations.
    ///
    /// # Errors
    /// As [`Denoiser::epsilon_dropout`], and [`ModelError::NotFinite`].
    pub fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        let out = self.timed(|d| d.epsilon_dropout(input, masks, p))?;
        self.account(NfeKind::Estimator, &out, input.t)?;
        Ok(out)
    }

    /// Mean and variance of `epsilon_hat` over the weights of the last layer: one evaluation a row, since only the last layer
    /// is asked for each weight.
    ///
    /// # Errors
    /// As [`Denoiser::epsilon_predictive`], and [`ModelError::NotFinite`].
    pub fn epsilon_predictive(
        &mut self,
        kind: NfeKind,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        let out = self.timed(|d| d.epsilon_predictive(input, look))?;
        self.account(kind, &out.mean, input.t)?;
        self.finite(&out.variance, input.t)?;
        Ok(out)
    }

    /// `(epsilon_hat, J^T v)`; one forward of `kind` and one reverse pass a row.
    ///
    /// # Errors
    /// As [`Denoiser::epsilon_vjp`], and [`ModelError::NotFinite`].
    pub fn epsilon_vjp(
        &mut self,
        kind: NfeKind,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        let (epsilon, jtv) = self.timed(|d| d.epsilon_vjp(input, cotangent))?;
        self.account(kind, &epsilon, input.t)?;
        self.account(NfeKind::Gradient, &jtv, input.t)?;
        Ok((epsilon, jtv))
    }

    /// As [`Denoiser::variance_gradient`]: where it is offered, one forward and one reverse pass a row.
    ///
    /// # Errors
    /// As [`Denoiser::variance_gradient`], and [`ModelError::NotFinite`].
    pub fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<MapAndGradient>, ModelError> {
        let Some((variance, gradient)) = self.timed(|d| d.variance_gradient(input, n_draws))?
        else {
            return Ok(None);
        };
        self.finite(&variance, input.t)?;
        self.finite(&gradient, input.t)?;
        let n = input.t.len() as u64 * self.evaluations_a_row();
        self.nfe.add(NfeKind::Estimator, n);
        self.nfe.add(NfeKind::Gradient, n);
        Ok(Some((variance, gradient)))
    }

    /// Whether [`Network::step`] makes steps of this kind.
    pub fn makes(&self, kind: &StepKind) -> bool {
        self.denoiser.step_kinds().contains(kind)
    }

    /// A whole step in one call: one evaluation of the trajectory a row, and one of the estimators a draw.
    ///
    /// # Errors
    /// As [`Denoiser::step`], and [`ModelError::NotFinite`].
    pub fn step(&mut self, input: StepInput<'_>) -> Result<StepAnswer, ModelError> {
        let answer = self.timed(|d| d.step(input))?;
        let rows = input.at.t.len() as u64 * self.evaluations_a_row();
        self.nfe.add(NfeKind::Trajectory, rows);
        self.nfe.add(NfeKind::Estimator, rows * input.noise.shape()[0] as u64);
        for values in answer.arrays() {
            self.finite(values, input.at.t)?;
        }
        Ok(answer)
    }

    fn timed<T>(&mut self, call: impl FnOnce(&mut dyn Denoiser) -> T) -> T {
        let (start, waited) = (Instant::now(), self.denoiser.waited());
        let out = call(self.denoiser);
        let waited = self.denoiser.waited().saturating_sub(waited);
        self.busy += start.elapsed().saturating_sub(waited);
        out
    }

    fn account(
        &mut self,
        kind: NfeKind,
        out: &Array4<f32>,
        t: &[NoisePoint],
    ) -> Result<(), ModelError> {
        self.nfe.add(kind, out.shape()[0] as u64 * self.evaluations_a_row());
        self.finite(out, t)
    }

    fn finite(&self, out: &Array4<f32>, t: &[NoisePoint]) -> Result<(), ModelError> {
        let rows: Vec<usize> = out
            .outer_iter()
            .enumerate()
            .filter(|(_, row)| !all_finite(row))
            .map(|(index, _)| index)
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        Err(ModelError::NotFinite {
            model: self.denoiser.spec().name.clone(),
            n: out.iter().filter(|v| !v.is_finite()).count(),
            total: out.len(),
            t: t.get(rows[0]).map(|place| place.t),
            rows,
        })
    }
}

/// Whether no element is NaN or infinite: those have all bits of the exponent set. Without a branch an element, so that many
/// are looked at together.
fn all_finite(row: &ArrayView3<'_, f32>) -> bool {
    let looks = |odd: bool, value: &f32| odd | (value.to_bits() & 0x7F80_0000 == 0x7F80_0000);
    match row.as_slice() {
        Some(values) => values.chunks(4096).all(|some| !some.iter().fold(false, looks)),
        None => row.iter().all(|value| value.is_finite()),
    }
}
