//! Classifier-free guidance around any conditional network.

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

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4};

    use super::ClassifierFree;
    use crate::model::analytic::GaussianDenoiser;
    use crate::model::{Condition, Denoiser, DenoiserSpec, ModelError, Network, NetworkInput};
    use crate::noise::nearest_f32;
    use crate::schedule::{NoiseLevel, NoisePoint};
    use crate::units::{ClassLabel, NfeKind, SampleId};

    const TAU: f64 = 0.3;
    const SHIFT: f32 = 0.2;

    fn gaussian() -> GaussianDenoiser {
        let mean = Array3::from_elem((1, 2, 2), 0.5);
        GaussianDenoiser::new(mean, TAU).unwrap().with_classes(3, SHIFT).with_dropout()
    }

    fn place() -> NoisePoint {
        NoisePoint { t: 0.4, level: NoiseLevel::flow(0.4) }
    }

    fn states() -> Array4<f32> {
        Array4::from_shape_fn((3, 1, 2, 2), |(b, _, h, w)| ((b * 4 + h * 2 + w) as f32).sin())
    }

    fn conditions() -> Vec<Condition> {
        Condition::of_classes(&[ClassLabel(2), ClassLabel(0), ClassLabel(1)])
    }

    /// Class `y` has the mean `mu + 0.2 y`, its null `mu`; epsilon is linear in the mean, so guidance by `w` is the model of
    /// the mean `mu + 0.2 w y`.
    #[test]
    fn guided_epsilon_is_the_linear_combination_and_costs_two_evaluations() {
        let (x, t, y) = (states(), [place(); 3], conditions());
        let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
        let (a, s) = (place().level.a(), place().level.s());
        for scale in [0.0, 0.5, 1.0, 4.0, 7.5] {
            let mut guided = ClassifierFree::new(Box::new(gaussian()), scale);
            let mut network = Network::new(&mut guided);
            let epsilon = network.epsilon(NfeKind::Trajectory, input).unwrap();
            for (row, label) in [2.0, 0.0, 1.0].into_iter().enumerate() {
                let mean = 0.5 + scale * f64::from(SHIFT) * label;
                for (got, x) in epsilon
                    .index_axis(ndarray::Axis(0), row)
                    .iter()
                    .zip(x.index_axis(ndarray::Axis(0), row))
                {
                    let expected = s * (f64::from(*x) - a * mean) / (a * a * TAU * TAU + s * s);
                    assert!((f64::from(*got) - expected).abs() < 5e-6, "{scale} {row}");
                }
            }
            let cost = if scale == 1.0 { 3 } else { 6 };
            assert_eq!(network.nfe().trajectory, cost, "{scale}");
        }
    }

    #[test]
    fn scale_one_is_the_plain_network_bit_for_bit() {
        let (x, t, y) = (states(), [place(); 3], conditions());
        let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
        let mut guided = ClassifierFree::new(Box::new(gaussian()), 1.0);
        assert_eq!(guided.epsilon(input).unwrap(), gaussian().epsilon(input).unwrap());
        let products = guided.epsilon_vjp(input, x.view()).unwrap();
        assert_eq!(products, gaussian().epsilon_vjp(input, x.view()).unwrap());
        let masks = ndarray::array![[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]];
        let dropped = guided.epsilon_dropout(input, &masks, 0.5).unwrap();
        assert_eq!(dropped, gaussian().epsilon_dropout(input, &masks, 0.5).unwrap());
    }

    #[test]
    fn dropout_masks_are_those_of_the_row_in_both_halves() {
        let (x, t, y) = (states(), [place(); 3], conditions());
        let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
        let mut guided = ClassifierFree::new(Box::new(gaussian()), 3.0);
        let masks = ndarray::array![[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]];
        let plain = guided.epsilon(input).unwrap();
        let dropped = guided.epsilon_dropout(input, &masks, 0.5).unwrap();
        for ((dropped, plain), mask) in dropped.iter().zip(&plain).zip(&masks) {
            assert!((dropped - plain * 2.0 * f32::from(*mask)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_network_without_conditions_is_refused_by_name() {
        let inner = GaussianDenoiser::new(Array3::zeros((1, 2, 2)), TAU).unwrap();
        let mut guided = ClassifierFree::new(Box::new(inner), 2.0);
        let x = states();
        let input = NetworkInput { x: x.view(), t: &[place(); 3], y: None };
        assert!(matches!(guided.epsilon(input), Err(ModelError::Shape { input: "y", .. })));
    }

    /// `epsilon = sin(k x)`, with `k = 1 + sample` under a condition and `k = 1/2` under the null.
    struct Wave(DenoiserSpec);

    impl Wave {
        fn wave_number(condition: Condition) -> f64 {
            if condition.is_null() { 0.5 } else { 1.0 + condition.sample().0 as f64 }
        }

        fn map(input: NetworkInput<'_>, f: impl Fn(f64, f64) -> f64) -> Array4<f32> {
            let mut out = input.x.to_owned();
            for (mut row, condition) in out.outer_iter_mut().zip(input.y.unwrap()) {
                let k = Self::wave_number(*condition);
                row.mapv_inplace(|x| nearest_f32(f(k, f64::from(x))));
            }
            out
        }
    }

    impl Denoiser for Wave {
        fn spec(&self) -> &DenoiserSpec {
            &self.0
        }

        fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
            Ok(Self::map(input, |k, x| libm::sin(k * x)))
        }

        fn epsilon_vjp(
            &mut self,
            input: NetworkInput<'_>,
            cotangent: ndarray::ArrayView4<'_, f32>,
        ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
            let slopes = Self::map(input, |k, x| k * libm::cos(k * x));
            Ok((self.epsilon(input)?, slopes * cotangent))
        }
    }

    #[test]
    fn products_are_the_finite_differences_of_the_guided_prediction() {
        let spec = GaussianDenoiser::new(Array3::zeros((1, 2, 2)), TAU).unwrap().spec().clone();
        let mut guided = ClassifierFree::new(Box::new(Wave(spec)), 4.0);
        let (x, t) = (states(), [place(); 3]);
        let y: Vec<Condition> = (0..3).map(|id| Condition::of_sample(SampleId(id))).collect();
        let input = NetworkInput { x: x.view(), t: &t, y: Some(&y) };
        let v = states().mapv(|x| 0.7 - x);
        let (epsilon, product) = guided.epsilon_vjp(input, v.view()).unwrap();
        assert_eq!(epsilon, guided.epsilon(input).unwrap());
        let h = 1e-2_f32;
        let mut shifted = |by: f32| {
            let moved = x.mapv(|x| x + by);
            guided.epsilon(NetworkInput { x: moved.view(), ..input }).unwrap()
        };
        // Each element depends on its own x alone.
        let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
        for ((got, slope), v) in product.iter().zip(&slope).zip(&v) {
            // Error of the difference: h^2 / 6 times the third derivative, at most 4 27 + 3 / 8.
            assert!((got - slope * v).abs() < 4e-3 * (1.0 + v.abs()), "{got} {slope} {v}");
        }
    }
}
