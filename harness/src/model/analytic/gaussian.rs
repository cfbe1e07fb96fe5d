//! The exact denoiser of Gaussian data.

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis};

use super::{checked_levels, expect_shape, refused};
use crate::model::{
    Condition, Denoiser, DenoiserSpec, ModelError, NetworkInput, Predictive, WeightLook,
};
use crate::noise::{NoiseKey, nearest_f32, standard_normal};
use crate::schedule::NoiseLevel;

/// The exact noise prediction for `x_0 ~ N(mu, tau^2 I)`:
///
/// ```text
/// epsilon(x) = J (x - a mu)        J = s / (a^2 tau^2 + s^2)
/// ```
///
/// at any noise level `x = a x_0 + s n`: it is exact for variance-preserving, variance-exploding and flow models alike.
/// The Jacobian is `J I`, so at a fixed `x0_hat` the perturbed predictions have variance `s^4 / (a^2 tau^2 + s^2)^2` in
/// every element.
///
/// With classes, the mean of class `y` is `mu + y class_shift`, that of the null `mu`. With dropout, an output element is
/// multiplied by `mask / (1 - p)`: its variance over masks is `epsilon^2 p / (1 - p)`.
#[derive(Clone, Debug)]
pub struct GaussianDenoiser {
    spec: DenoiserSpec,
    mean: Array3<f32>,
    tau: f64,
    class_shift: f32,
    bias_variance: Option<f64>,
}

impl GaussianDenoiser {
    /// The denoiser of `N(mean, tau^2 I)`, unconditional, without dropout. `mean` is `[c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] unless `tau` is positive and finite.
    ///
    /// # Examples
    /// ```
    /// use dubench::model::analytic::GaussianDenoiser;
    /// use dubench::model::{Denoiser, NetworkInput};
    /// use dubench::schedule::NoiseSchedule;
    /// use dubench::units::Timestep;
    /// use ndarray::{Array3, Array4};
    ///
    /// let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000)?;
    /// let mut model = GaussianDenoiser::new(Array3::zeros((1, 2, 2)), 1.0)?;
    /// let x = Array4::ones((1, 1, 2, 2));
    /// let t = [schedule.at(Timestep(500))];
    /// let epsilon = model.epsilon(NetworkInput { x: x.view(), t: &t, y: None })?;
    /// // tau = 1 makes every marginal N(0, 1): epsilon = s_t x.
    /// assert!((epsilon[[0, 0, 1, 1]] - (1.0_f32 - 0.077_797).sqrt()).abs() < 1e-5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(mean: Array3<f32>, tau: f64) -> Result<Self, ModelError> {
        let (c, h, w) = mean.dim();
        let spec = DenoiserSpec {
            name: "analytic-gaussian".to_owned(),
            shape: [c, h, w],
            n_classes: None,
            has_conditions: false,
            clip_x0: false,
            range: [-1.0, 1.0],
            dropout_mask_len: None,
            dropout_p: None,
            dropout_reason: None,
        };
        if !(tau > 0.0 && tau.is_finite()) {
            return Err(refused(&spec, format!("tau is {tau}, expected a positive number")));
        }
        Ok(Self { spec, mean, tau, class_shift: 0.0, bias_variance: None })
    }

    /// The same with `n_classes` classes whose means lie `class_shift` apart.
    #[must_use]
    pub fn with_classes(mut self, n_classes: u32, class_shift: f32) -> Self {
        self.spec.n_classes = Some(n_classes);
        self.class_shift = class_shift;
        self
    }

    /// The same with one dropout element an output element.
    #[must_use]
    pub fn with_dropout(mut self) -> Self {
        self.spec.dropout_mask_len = Some(self.mean.len());
        self
    }

    /// The same with a posterior over its last layer: one bias for all elements, of this variance.
    #[must_use]
    pub fn with_bias_variance(mut self, variance: f64) -> Self {
        self.bias_variance = Some(variance);
        self
    }

    /// The same with clipping of `x0_hat` asked of samplers.
    #[must_use]
    pub fn with_clip_x0(mut self) -> Self {
        self.spec.clip_x0 = true;
        self
    }

    fn certain(&self, method: &'static str) -> ModelError {
        let (model, reason) = (
            self.spec.name.clone(),
            "it was built without uncertain weights: set model.bias_variance".to_owned(),
        );
        ModelError::NotApplicable { method, model, reason }
    }

    /// `J` of a noise level.
    fn slope(&self, level: NoiseLevel) -> f64 {
        let (a, s) = (level.a(), level.s());
        s / (a * a * self.tau * self.tau + s * s)
    }

    fn shift_of(&self, conditions: Option<&[Condition]>, row: usize) -> f64 {
        let condition = conditions.and_then(|conditions| conditions.get(row));
        let condition = condition.filter(|condition| !condition.is_null());
        let label = condition.and_then(|condition| condition.label()).map_or(0, |label| label.0);
        f64::from(self.class_shift) * f64::from(label)
    }
}

/// The bias of a draw, around 0.
fn drawn_bias(variance: f64, key: NoiseKey) -> f64 {
    let mut z = [0.0];
    standard_normal(key, &mut z);
    variance.sqrt() * f64::from(z[0])
}

/// Mean and variance of a bias around 0.
fn bias_moments(variance: f64, look: WeightLook) -> (f64, f64) {
    let WeightLook::Draws(draws) = look else { return (0.0, variance) };
    let biases: Vec<f64> = draws.keys().map(|key| drawn_bias(variance, key)).collect();
    let n = biases.len() as f64;
    let mean = biases.iter().sum::<f64>() / n;
    (mean, biases.iter().map(|bias| (bias - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

impl Denoiser for GaussianDenoiser {
    fn spec(&self) -> &DenoiserSpec {
        &self.spec
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let levels = checked_levels(&self.spec, &input)?;
        let mut out = input.x.to_owned();
        for (row, (mut values, level)) in out.axis_iter_mut(Axis(0)).zip(levels).enumerate() {
            let (a, slope) = (level.a(), self.slope(level));
            let shift = self.shift_of(input.y, row);
            values.zip_mut_with(&self.mean, |value, mean| {
                *value = nearest_f32(slope * (f64::from(*value) - a * (f64::from(*mean) + shift)));
            });
        }
        Ok(out)
    }

    fn epsilon_predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        let variance = self.bias_variance.ok_or_else(|| self.certain("bayesdiff"))?;
        let mut mean = self.epsilon(input)?;
        let (moved, variance) = bias_moments(variance, look);
        mean.mapv_inplace(|value| nearest_f32(f64::from(value) + moved));
        let variance = Array4::from_elem(mean.dim(), nearest_f32(variance));
        Ok(Predictive { mean, variance })
    }

    fn epsilon_drawn(
        &mut self,
        input: NetworkInput<'_>,
        key: NoiseKey,
    ) -> Result<Array4<f32>, ModelError> {
        let method = "a draw of last-layer weights";
        let variance = self.bias_variance.ok_or_else(|| self.certain(method))?;
        let bias = drawn_bias(variance, key);
        Ok(self.epsilon(input)?.mapv(|value| nearest_f32(f64::from(value) + bias)))
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        let Some(len) = self.spec.dropout_mask_len else {
            return Err(ModelError::NotApplicable {
                method: "mc_dropout",
                model: self.spec.name.clone(),
                reason: "it was built without dropout".to_owned(),
            });
        };
        expect_shape(&self.spec, "masks", masks.shape(), &[input.x.shape()[0], len])?;
        let mut out = self.epsilon(input)?;
        for (value, mask) in out.iter_mut().zip(masks) {
            *value *= f32::from(*mask) / (1.0 - p);
        }
        Ok(out)
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        expect_shape(&self.spec, "cotangent", cotangent.shape(), input.x.shape())?;
        let levels = checked_levels(&self.spec, &input)?;
        let mut jtv = cotangent.to_owned();
        for (mut row, level) in jtv.axis_iter_mut(Axis(0)).zip(levels) {
            let slope = self.slope(level);
            row.mapv_inplace(|v| nearest_f32(slope * f64::from(v)));
        }
        Ok((self.epsilon(input)?, jtv))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{NoisePoint, NoiseSchedule};
    use crate::units::{ClassLabel, Timestep};

    fn at(t: u32) -> NoisePoint {
        NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap().at(Timestep(t))
    }

    #[test]
    fn epsilon_is_the_posterior_mean_of_the_noise() {
        let mut model = GaussianDenoiser::new(Array3::from_elem((1, 1, 2), 0.5), 0.3).unwrap();
        let x = Array4::from_elem((1, 1, 1, 2), 0.9);
        let (a2, t2) = (at(100).level.a2(), 0.3_f64 * 0.3);
        let expected =
            (1.0 - a2).sqrt() * (f64::from(0.9_f32) - 0.5 * a2.sqrt()) / (a2 * t2 + 1.0 - a2);
        let got = model.epsilon(NetworkInput { x: x.view(), t: &[at(100)], y: None }).unwrap();
        assert!((f64::from(got[[0, 0, 0, 1]]) - expected).abs() < 1e-6);
    }

    /// `x = a x_0 + s n` of independent Gaussians: `E[n | x] = s (x - a mu) / (a^2 tau^2 + s^2)`, here from the joint
    /// covariance of EDM and flow levels, where neither `a` nor `s` follows from the other.
    #[test]
    fn it_is_exact_at_levels_of_any_kind() {
        let mut model = GaussianDenoiser::new(Array3::from_elem((1, 1, 1), 0.5), 0.3).unwrap();
        let x = Array4::from_elem((1, 1, 1, 1), 0.9);
        for (level, a, s) in
            [(NoiseLevel::exploding(2.5), 1.0, 2.5), (NoiseLevel::flow(0.3), 0.7, 0.3)]
        {
            let t = [NoisePoint { t: s, level }];
            let got = model.epsilon(NetworkInput { x: x.view(), t: &t, y: None }).unwrap();
            let expected = s * (f64::from(0.9_f32) - 0.5 * a) / (a * a * 0.09 + s * s);
            assert!((f64::from(got[[0, 0, 0, 0]]) - expected).abs() < 1e-6, "{level:?}");
        }
    }

    #[test]
    fn classes_shift_the_mean_and_must_be_given() {
        let model = GaussianDenoiser::new(Array3::zeros((1, 1, 1)), 0.3).unwrap();
        let mut model = model.with_classes(3, 0.2);
        let x = Array4::zeros((2, 1, 1, 1));
        let t = [at(40); 2];
        let input = |y| NetworkInput { x: x.view(), t: &t, y };
        let labels = Condition::of_classes(&[ClassLabel(0), ClassLabel(2)]);
        let out = model.epsilon(input(Some(&labels))).unwrap();
        assert!(out[[0, 0, 0, 0]].abs() < 1e-9);
        assert!(out[[1, 0, 0, 0]] < -0.1);
        assert!(matches!(model.epsilon(input(None)), Err(ModelError::Shape { input: "y", .. })));
        let wrong = Condition::of_classes(&[ClassLabel(0), ClassLabel(3)]);
        let message = model.epsilon(input(Some(&wrong))).unwrap_err().to_string();
        assert!(message.contains("class 3 of a model of 3 classes"), "{message}");
    }

    #[test]
    fn wrong_inputs_are_refused_by_name() {
        let mut model = GaussianDenoiser::new(Array3::zeros((1, 2, 2)), 1.0).unwrap();
        let x = Array4::zeros((2, 1, 2, 3));
        let bad = NetworkInput { x: x.view(), t: &[at(0); 2], y: None };
        assert!(matches!(model.epsilon(bad), Err(ModelError::Shape { input: "x", .. })));
        let x = Array4::zeros((1, 1, 2, 2));
        let input = NetworkInput { x: x.view(), t: &[at(0)], y: None };
        let refused = model.epsilon_dropout(input, &Array2::zeros((1, 4)), 0.5);
        assert!(matches!(refused, Err(ModelError::NotApplicable { method: "mc_dropout", .. })));
        assert!(GaussianDenoiser::new(Array3::zeros((1, 1, 1)), 0.0).is_err());
    }
}
