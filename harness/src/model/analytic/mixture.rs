//! The exact denoiser of a mixture of Gaussians: a network whose Jacobian is not constant.

use ndarray::{Array3, Array4, ArrayRef3, ArrayView4, Axis, Zip};

use super::{checked_levels, expect_shape, refused};
use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::noise::nearest_f32;
use crate::schedule::NoiseLevel;

/// The exact noise prediction for `x_0 ~ sum_k w_k N(mu_k, tau^2 I)`, with equal weights.
///
/// With `v = a^2 tau^2 + s^2`, responsibilities `r_k ~ exp(-|x - a mu_k|^2 / (2 v))` and
/// `m = sum_k r_k mu_k`:
///
/// ```text
/// epsilon(x) = s (x - a m) / v
/// J^T u      = (s / v) (u - (a^2 / v) sum_k r_k <mu_k - m, u> (mu_k - m))
/// ```
///
/// Sums run in f64 in the order of the elements, so a row never depends on its batch.
#[derive(Clone, Debug)]
pub struct MixtureDenoiser {
    spec: DenoiserSpec,
    means: Vec<Array3<f32>>,
    tau: f64,
}

/// The posterior of one row.
struct Posterior {
    responsibilities: Vec<f64>,
    mean: Array3<f64>,
    variance: f64,
}

impl MixtureDenoiser {
    /// The denoiser of the mixture of `N(mean, tau^2 I)` over `means`, each `[c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when there is no mean, their shapes differ, or `tau` is not positive.
    pub fn new(means: Vec<Array3<f32>>, tau: f64) -> Result<Self, ModelError> {
        let (c, h, w) = means.first().map_or((0, 0, 0), Array3::dim);
        let spec = DenoiserSpec {
            name: "analytic-mixture".to_owned(),
            shape: [c, h, w],
            n_classes: None,
            has_conditions: false,
            clip_x0: false,
            range: [-1.0, 1.0],
            dropout_mask_len: None,
            dropout_p: None,
            dropout_reason: None,
        };
        if means.is_empty() || means.iter().any(|mean| mean.dim() != (c, h, w)) {
            return Err(refused(&spec, "expected one or more means of one shape".to_owned()));
        }
        if !(tau > 0.0 && tau.is_finite()) {
            return Err(refused(&spec, format!("tau is {tau}, expected a positive number")));
        }
        Ok(Self { spec, means, tau })
    }

    fn posterior(&self, x: &ArrayRef3<f32>, level: NoiseLevel) -> Posterior {
        let (a, s) = (level.a(), level.s());
        let variance = a * a * self.tau * self.tau + s * s;
        let distance = |mean: &Array3<f32>| -> f64 {
            x.iter().zip(mean).map(|(x, m)| (f64::from(*x) - a * f64::from(*m)).powi(2)).sum()
        };
        let logits: Vec<f64> =
            self.means.iter().map(|mean| -distance(mean) / (2.0 * variance)).collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - top)).collect();
        let total: f64 = weights.iter().sum();
        let responsibilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let mut mean = Array3::<f64>::zeros(x.raw_dim());
        for (r, mu) in responsibilities.iter().zip(&self.means) {
            mean.zip_mut_with(mu, |sum, mu| *sum += r * f64::from(*mu));
        }
        Posterior { responsibilities, mean, variance }
    }

    /// `J^T u` of one row.
    fn pull_back(
        &self,
        posterior: &Posterior,
        level: NoiseLevel,
        cotangent: &ArrayRef3<f32>,
    ) -> Array3<f32> {
        let (a, s) = (level.a(), level.s());
        let v = posterior.variance;
        let mut out = cotangent.mapv(f64::from);
        for (r, mu) in posterior.responsibilities.iter().zip(&self.means) {
            let deviation =
                Zip::from(mu).and(&posterior.mean).map_collect(|mu, m| f64::from(*mu) - m);
            let dot: f64 = deviation.iter().zip(cotangent).map(|(d, u)| d * f64::from(*u)).sum();
            let factor = a * a / v * r * dot;
            out.zip_mut_with(&deviation, |out, d| *out -= factor * d);
        }
        out.mapv(|value| nearest_f32(s / v * value))
    }
}

impl Denoiser for MixtureDenoiser {
    fn spec(&self) -> &DenoiserSpec {
        &self.spec
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let levels = checked_levels(&self.spec, &input)?;
        let mut out = input.x.to_owned();
        for (mut row, level) in out.axis_iter_mut(Axis(0)).zip(levels) {
            let posterior = self.posterior(&row, level);
            let (a, s, v) = (level.a(), level.s(), posterior.variance);
            row.zip_mut_with(&posterior.mean, |value, mean| {
                *value = nearest_f32(s / v * (f64::from(*value) - a * mean));
            });
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
        let rows = jtv.axis_iter_mut(Axis(0)).zip(input.x.axis_iter(Axis(0))).zip(levels);
        for ((mut out, x), level) in rows {
            let posterior = self.posterior(&x, level);
            let pulled = self.pull_back(&posterior, level, &out);
            out.assign(&pulled);
        }
        Ok((self.epsilon(input)?, jtv))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::analytic::GaussianDenoiser;
    use crate::schedule::{NoisePoint, NoiseSchedule};
    use crate::units::Timestep;

    fn at(t: u32) -> NoisePoint {
        NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap().at(Timestep(t))
    }

    fn ramp(scale: f32, shift: f32) -> Array3<f32> {
        Array3::from_shape_fn((1, 2, 2), |(_, i, j)| scale * (i as f32 - 0.5 * j as f32) + shift)
    }

    #[test]
    fn one_component_is_the_gaussian_denoiser() {
        let mean = ramp(0.4, 0.1);
        let mut mixture = MixtureDenoiser::new(vec![mean.clone()], 0.3).unwrap();
        let mut gaussian = GaussianDenoiser::new(mean, 0.3).unwrap();
        let x = Array4::from_elem((1, 1, 2, 2), 0.6);
        let input = NetworkInput { x: x.view(), t: &[at(200)], y: None };
        let (a, b) = (mixture.epsilon(input).unwrap(), gaussian.epsilon(input).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
        let u = Array4::from_elem((1, 1, 2, 2), -0.7);
        let (_, a) = mixture.epsilon_vjp(input, u.view()).unwrap();
        let (_, b) = gaussian.epsilon_vjp(input, u.view()).unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn vjp_equals_central_differences() {
        let means = vec![ramp(0.4, 0.1), ramp(-0.3, -0.2), ramp(0.1, 0.5)];
        let mut model = MixtureDenoiser::new(means, 0.3).unwrap();
        let x = Array4::from_shape_fn((1, 1, 2, 2), |(_, _, i, j)| 0.3 * i as f32 - 0.2 * j as f32);
        let u = Array4::from_shape_fn((1, 1, 2, 2), |(_, _, i, j)| 0.5 - i as f32 + 0.7 * j as f32);
        let t = [at(250)];
        let mut inner = |x: &Array4<f32>| -> f64 {
            let input = NetworkInput { x: x.view(), t: &t, y: None };
            let epsilon = model.epsilon(input).unwrap();
            epsilon.iter().zip(&u).map(|(e, u)| f64::from(*e) * f64::from(*u)).sum()
        };
        let mut differences = Vec::new();
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[[0, 0, i, j]] += 0.01;
            down[[0, 0, i, j]] -= 0.01;
            differences.push((inner(&up) - inner(&down)) / 0.02);
        }
        let input = NetworkInput { x: x.view(), t: &t, y: None };
        let (_, jtv) = model.epsilon_vjp(input, u.view()).unwrap();
        for (got, expected) in jtv.iter().zip(&differences) {
            assert!((f64::from(*got) - expected).abs() < 2e-4, "{got}, expected {expected}");
        }
    }

    #[test]
    fn means_of_different_shapes_are_refused() {
        let means = vec![Array3::zeros((1, 2, 2)), Array3::zeros((1, 2, 3))];
        assert!(MixtureDenoiser::new(means, 0.3).is_err());
        assert!(MixtureDenoiser::new(vec![], 0.3).is_err());
    }
}
