//! Classifier-free guidance around any conditional network.

#[cfg(test)]
mod tests;

use ndarray::{Array2, Array4, ArrayView4, Axis, Zip, concatenate, s};

use super::{
    Condition, Denoiser, DenoiserSpec, MapAndGradient, ModelError, NetworkInput, Predictive,
    WeightLook,
};
use crate::noise::{NoiseKey, nearest_f32};
use crate::schedule::NoisePoint;

/// `epsilon = epsilon_null + scale (epsilon_cond - epsilon_null)` (Eq. 6, arXiv:2207.12598, with its `w = scale - 1`).
///
/// One call of a doubled batch: the rows under their conditions, then the same rows under the null. Everything above sees
/// the guided prediction, and each row counts two evaluations. Dropout masks are those of a row in both halves, as of
/// one network. Gradients are `J^T v = J_cond^T (scale v) + J_null^T ((1 - scale) v)`.
///
/// At scale 1 the null has no weight: the network is asked as it is, once.
///
/// # Examples
/// ```
/// use dubench::model::analytic::GaussianDenoiser;
/// use dubench::model::{ClassifierFree, Denoiser};
/// use ndarray::Array3;
///
/// let network = GaussianDenoiser::new(Array3::zeros((1, 2, 2)), 1.0)?.with_classes(10, 0.1);
/// assert_eq!(ClassifierFree::new(Box::new(network), 4.0).evaluations_a_row(), 2);
/// # Ok::<(), dubench::model::ModelError>(())
/// ```
pub struct ClassifierFree {
    inner: Box<dyn Denoiser>,
    scale: f64,
}

impl std::fmt::Debug for ClassifierFree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClassifierFree")
            .field("inner", self.inner.spec())
            .field("scale", &self.scale)
            .finish()
    }
}

/// A doubled batch.
struct Doubled {
    x: Array4<f32>,
    t: Vec<NoisePoint>,
    y: Vec<Condition>,
}

impl Doubled {
    fn of(input: &NetworkInput<'_>, y: &[Condition]) -> Result<Self, ModelError> {
        let nulls = y.iter().map(|condition| condition.null());
        Ok(Self {
            x: stacked(input.x, input.x)?,
            t: [input.t, input.t].concat(),
            y: y.iter().copied().chain(nulls).collect(),
        })
    }

    fn input(&self) -> NetworkInput<'_> {
        NetworkInput { x: self.x.view(), t: &self.t, y: Some(&self.y) }
    }
}

impl ClassifierFree {
    /// `inner` under guidance of `scale`.
    pub fn new(inner: Box<dyn Denoiser>, scale: f64) -> Self {
        Self { inner, scale }
    }

    /// Whether the null has any weight.
    #[expect(clippy::float_cmp, reason = "a scale of 1 is written as 1")]
    fn guides(&self) -> bool {
        self.scale != 1.0
    }

    fn doubled(&self, input: &NetworkInput<'_>) -> Result<Doubled, ModelError> {
        let y = input.y.ok_or_else(|| ModelError::Shape {
            model: self.inner.spec().name.clone(),
            input: "y",
            got: vec![0],
            expected: vec![input.t.len()],
        })?;
        Doubled::of(input, y)
    }

    /// `null + scale (cond - null)` of the two halves, in f64, rounded once.
    fn combined(&self, halves: &Array4<f32>) -> Array4<f32> {
        let (cond, null) = split(halves);
        Zip::from(cond).and(null).map_collect(|cond, null| {
            let (cond, null) = (f64::from(*cond), f64::from(*null));
            nearest_f32(null + self.scale * (cond - null))
        })
    }
}

fn split(halves: &Array4<f32>) -> (ArrayView4<'_, f32>, ArrayView4<'_, f32>) {
    let n = halves.dim().0 / 2;
    (halves.slice(s![..n, .., .., ..]), halves.slice(s![n.., .., .., ..]))
}

fn stacked(
    first: ArrayView4<'_, f32>,
    second: ArrayView4<'_, f32>,
) -> Result<Array4<f32>, ModelError> {
    concatenate(Axis(0), &[first, second]).map_err(|error| ModelError::Runtime {
        context: "doubling a batch".to_owned(),
        message: error.to_string(),
    })
}

impl Denoiser for ClassifierFree {
    fn spec(&self) -> &DenoiserSpec {
        self.inner.spec()
    }

    fn is_elsewhere(&self) -> bool {
        self.inner.is_elsewhere()
    }

    fn evaluations_a_row(&self) -> u64 {
        let n = if self.guides() { 2 } else { 1 };
        n * self.inner.evaluations_a_row()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        if !self.guides() {
            return self.inner.epsilon(input);
        }
        let doubled = self.doubled(&input)?;
        let halves = self.inner.epsilon(doubled.input())?;
        Ok(self.combined(&halves))
    }

    fn epsilon_predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        if !self.guides() {
            return self.inner.epsilon_predictive(input, look);
        }
        let model = self.inner.spec().name.clone();
        let reason = "classifier-free guidance mixes two predictions of the same weights, whose variances do not add up";
        Err(ModelError::NotApplicable { method: "bayesdiff", model, reason: reason.to_owned() })
    }

    /// Both halves are of the same weights, so their mixture is the guided prediction of that network.
    fn epsilon_drawn(
        &mut self,
        input: NetworkInput<'_>,
        key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        if !self.guides() {
            return self.inner.epsilon_drawn(input, key);
        }
        let doubled = self.doubled(&input)?;
        let halves = self.inner.epsilon_drawn(doubled.input(), key)?;
        Ok(self.combined(&halves))
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        if !self.guides() {
            return self.inner.epsilon_dropout(input, masks, p);
        }
        let doubled = self.doubled(&input)?;
        let masks = ndarray::concatenate![Axis(0), *masks, *masks];
        let halves = self.inner.epsilon_dropout(doubled.input(), &masks, p)?;
        Ok(self.combined(&halves))
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        if !self.guides() {
            return self.inner.epsilon_vjp(input, cotangent);
        }
        let doubled = self.doubled(&input)?;
        let weighted = |weight: f64| cotangent.mapv(|v| nearest_f32(weight * f64::from(v)));
        let (cond, null) = (weighted(self.scale), weighted(1.0 - self.scale));
        let cotangents = stacked(cond.view(), null.view())?;
        let (halves, products) = self.inner.epsilon_vjp(doubled.input(), cotangents.view())?;
        let (cond, null) = split(&products);
        let product = Zip::from(cond)
            .and(null)
            .map_collect(|cond, null| nearest_f32(f64::from(*cond) + f64::from(*null)));
        Ok((self.combined(&halves), product))
    }

    /// The fused graph has the variance of one network in it, not of a sum of two.
    fn fuses(&self, n_draws: u32) -> bool {
        !self.guides() && self.inner.fuses(n_draws)
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<MapAndGradient>, ModelError> {
        if self.guides() { Ok(None) } else { self.inner.variance_gradient(input, n_draws) }
    }
}
