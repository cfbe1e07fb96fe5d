//! From what a network predicts to `epsilon_hat`.

use ndarray::{Array4, ArrayView4, Axis};

use crate::config::Prediction;
use crate::noise::nearest_f32;
use crate::schedule::NoiseLevel;

/// `epsilon_hat = output(c_in x) * a + x * b`, with `a`, `b`, `c_in` by prediction and noise level.
///
/// With `x = a x_0 + s epsilon` every prediction that is in use is such a line in the output, which also gives the
/// vector-Jacobian product: `J_eps^T v = c_in J_out^T (a v) + b v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    a: f64,
    b: f64,
    c_in: f64,
}

impl Line {
    /// The line of `prediction` at a noise level; `sigma_data` is that of EDM's raw network.
    pub(super) fn at(prediction: Prediction, level: &NoiseLevel, sigma_data: f64) -> Self {
        let (signal, noise) = (level.a(), level.s());
        let (a, b) = match prediction {
            Prediction::Epsilon => (1.0, 0.0),
            Prediction::X0 | Prediction::Denoised => (-signal / noise, 1.0 / noise),
            Prediction::V => {
                let norm = level.a2() + level.s2();
                (signal / norm, noise / norm)
            }
            Prediction::Score => (-noise, 0.0),
            Prediction::Velocity => {
                let norm = signal + noise;
                (signal / norm, 1.0 / norm)
            }
            Prediction::EdmRaw => return Self::edm_raw(noise, sigma_data),
        };
        Self { a, b, c_in: 1.0 }
    }

    /// `epsilon = (x - D) / sigma` with `D = c_skip x + c_out F(c_in x)` (Table 1, arXiv:2206.00364).
    fn edm_raw(sigma: f64, data: f64) -> Self {
        let total = sigma * sigma + data * data;
        let c_in = 1.0 / total.sqrt();
        // c_out / sigma = data c_in, and (1 - c_skip) / sigma = sigma / total.
        Self { a: -data * c_in, b: sigma / total, c_in }
    }
}

/// `c_in x`, where that is not `x` itself.
pub(super) fn scaled_input(x: &ArrayView4<'_, f32>, lines: &[Line]) -> Option<Array4<f32>> {
    if lines.iter().all(|line| line.c_in == 1.0) {
        return None;
    }
    let mut scaled = x.to_owned();
    for (mut row, line) in scaled.axis_iter_mut(Axis(0)).zip(lines) {
        row.mapv_inplace(|value| nearest_f32(line.c_in * f64::from(value)));
    }
    Some(scaled)
}

/// Turns outputs into `epsilon_hat` in place. Rows of `epsilon` networks are not touched.
pub(super) fn to_epsilon(output: &mut Array4<f32>, x: &ArrayView4<'_, f32>, lines: &[Line]) {
    for ((mut row, x), line) in output.outer_iter_mut().zip(x.outer_iter()).zip(lines) {
        if *line != (Line { a: 1.0, b: 0.0, c_in: 1.0 }) {
            row.zip_mut_with(&x, |value, x| *value = line.apply(*value, *x));
        }
    }
}

/// Scales each row of `cotangent` by its `a`: what the network's own reverse pass takes.
pub(super) fn output_cotangent(cotangent: &ArrayView4<'_, f32>, lines: &[Line]) -> Array4<f32> {
    let mut scaled = cotangent.to_owned();
    for (mut row, line) in scaled.axis_iter_mut(Axis(0)).zip(lines) {
        row.mapv_inplace(|value| line.apply(value, 0.0));
    }
    scaled
}

/// Adds `b v` to `c_in J_out^T (a v)`.
pub(super) fn add_direct(jtv: &mut Array4<f32>, cotangent: &ArrayView4<'_, f32>, lines: &[Line]) {
    for ((mut row, v), line) in jtv.outer_iter_mut().zip(cotangent.outer_iter()).zip(lines) {
        let direct = Line { a: line.c_in, ..*line };
        row.zip_mut_with(&v, |value, v| *value = direct.apply(*value, *v));
    }
}

/// What outputs are held against, and the weights of their residuals, so that `weight (output - target)` is the gradient of
/// `sum (epsilon_hat - e)^2` with respect to the output: `(e - b x) / a` and `2 a^2`.
pub(super) fn residual_target(
    e: &ArrayView4<'_, f32>,
    x: &ArrayView4<'_, f32>,
    lines: &[Line],
) -> (Array4<f32>, Array4<f32>) {
    let (mut target, mut weight) = (e.to_owned(), e.to_owned());
    for (index, line) in lines.iter().enumerate() {
        let mut row = target.index_axis_mut(Axis(0), index);
        row.zip_mut_with(&x.index_axis(Axis(0), index), |value, x| {
            *value = nearest_f32((f64::from(*value) - line.b * f64::from(*x)) / line.a);
        });
        weight.index_axis_mut(Axis(0), index).fill(nearest_f32(2.0 * line.a * line.a));
    }
    (target, weight)
}

/// Turns variances of outputs into those of `epsilon_hat`: times `a^2`.
pub(super) fn scale_variance(variance: &mut Array4<f32>, lines: &[Line]) {
    for (mut row, line) in variance.axis_iter_mut(Axis(0)).zip(lines) {
        row.mapv_inplace(|value| nearest_f32(line.a * line.a * f64::from(value)));
    }
}

impl Line {
    /// Factors of the output and of the state.
    pub(super) fn factors(&self) -> (f64, f64) {
        (self.a, self.b)
    }

    /// In f64, rounded once: x0 prediction at small `t` subtracts nearly equal numbers.
    fn apply(self, output: f32, x: f32) -> f32 {
        nearest_f32(f64::from(output) * self.a + f64::from(x) * self.b)
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, add_direct, output_cotangent, scaled_input, to_epsilon};
    use crate::config::Prediction;
    use crate::noise::nearest_f32;
    use crate::schedule::{NoiseLevel, NoiseSchedule};
    use crate::units::Timestep;
    use ndarray::Array4;

    const DATA: f64 = 0.5;

    fn one(value: f64) -> Array4<f32> {
        Array4::from_elem((1, 1, 1, 1), nearest_f32(value))
    }

    fn levels() -> Vec<NoiseLevel> {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        let steps = [0, 10, 500, 999].map(|t| schedule.at(Timestep(t)).level);
        let exploding = [0.01, 1.0, 40.0].map(NoiseLevel::exploding);
        let flow = [0.02, 0.5, 0.9].map(NoiseLevel::flow);
        steps.into_iter().chain(exploding).chain(flow).collect()
    }

    #[test]
    fn every_prediction_of_the_true_noise_gives_the_true_noise() {
        let (x0, epsilon) = (0.3_f64, -1.2_f64);
        for level in levels() {
            let (a, s) = (level.a(), level.s());
            let x = a * x0 + s * epsilon;
            let total = s * s + DATA * DATA;
            let raw = (x0 - DATA * DATA / total * x) * total.sqrt() / (s * DATA);
            let predictions = [
                (Prediction::Epsilon, epsilon),
                (Prediction::X0, x0),
                (Prediction::Denoised, x0),
                (Prediction::V, a * epsilon - s * x0),
                (Prediction::Score, -epsilon / s),
                (Prediction::Velocity, epsilon - x0),
                (Prediction::EdmRaw, raw),
            ];
            for (prediction, value) in predictions {
                if prediction == Prediction::EdmRaw && a < 1.0 {
                    continue;
                }
                let mut output = one(value);
                to_epsilon(&mut output, &one(x).view(), &[Line::at(prediction, &level, DATA)]);
                let error = (f64::from(output[[0, 0, 0, 0]]) - epsilon).abs();
                // x0 at s = 0.01: the inputs' own f32 rounding (6e-8) is divided by s.
                assert!(error < 2e-5, "{prediction:?} at {level:?}: {error}");
            }
        }
    }

    /// A network that answers `g x` of what it is fed: `epsilon = (a g c_in + b) x`, and its product is that factor times `v`.
    #[test]
    fn products_follow_the_line_at_every_level() {
        let (x, v, g) = (0.7, -0.4, 0.3);
        for level in levels() {
            for prediction in [
                Prediction::X0,
                Prediction::V,
                Prediction::Score,
                Prediction::Velocity,
                Prediction::EdmRaw,
            ] {
                let lines = [Line::at(prediction, &level, DATA)];
                let fed = scaled_input(&one(x).view(), &lines).unwrap_or(one(x));
                let mut epsilon = fed.mapv(|x| nearest_f32(g * f64::from(x)));
                to_epsilon(&mut epsilon, &one(x).view(), &lines);
                let factor = f64::from(epsilon[[0, 0, 0, 0]]) / f64::from(nearest_f32(x));
                let cotangent = output_cotangent(&one(v).view(), &lines);
                let mut product = cotangent.mapv(|v| nearest_f32(g * f64::from(v)));
                add_direct(&mut product, &one(v).view(), &lines);
                let (got, expected) = (f64::from(product[[0, 0, 0, 0]]), factor * v);
                let close = 1e-5 * (1.0 + expected.abs());
                assert!((got - expected).abs() < close, "{prediction:?} {level:?}");
            }
        }
    }
}
