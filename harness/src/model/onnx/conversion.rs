//! From what a network predicts to `epsilon_hat`.

use ndarray::{Array4, ArrayView4, Axis};

use crate::config::Prediction;
use crate::schedule::NoiseSchedule;
use crate::units::Timestep;

/// `epsilon_hat = output * a + x_t * b`, with `a`, `b` by prediction and training time.
///
/// With `x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) epsilon` every prediction that is in use
/// is such a line in the output, which also gives the vector-Jacobian product:
/// `J_eps^T v = J_out^T (a v) + b v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    a: f64,
    b: f64,
}

impl Line {
    /// The line of `prediction` at `t`.
    pub(super) fn at(prediction: Prediction, schedule: &NoiseSchedule, t: Timestep) -> Self {
        let alpha_bar = schedule.alpha_bar(t);
        let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        match prediction {
            Prediction::Epsilon => Self { a: 1.0, b: 0.0 },
            Prediction::X0 => Self { a: -signal / noise, b: 1.0 / noise },
            Prediction::V => Self { a: signal, b: noise },
            Prediction::Score => Self { a: -noise, b: 0.0 },
        }
    }
}

/// Turns outputs into `epsilon_hat` in place. Rows of `epsilon` networks are not touched.
pub(super) fn to_epsilon(output: &mut Array4<f32>, x: &ArrayView4<'_, f32>, lines: &[Line]) {
    for ((mut row, x), line) in output.outer_iter_mut().zip(x.outer_iter()).zip(lines) {
        if *line != (Line { a: 1.0, b: 0.0 }) {
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

/// Adds `b v` to `J_out^T (a v)`.
pub(super) fn add_direct(jtv: &mut Array4<f32>, cotangent: &ArrayView4<'_, f32>, lines: &[Line]) {
    for ((mut row, v), line) in jtv.outer_iter_mut().zip(cotangent.outer_iter()).zip(lines) {
        let direct = Line { a: 1.0, b: line.b };
        row.zip_mut_with(&v, |value, v| *value = direct.apply(*value, *v));
    }
}

impl Line {
    /// In f64, rounded once: x0 prediction at small `t` subtracts nearly equal numbers.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the last step")]
    fn apply(self, output: f32, x: f32) -> f32 {
        (f64::from(output) * self.a + f64::from(x) * self.b) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, to_epsilon};
    use crate::config::Prediction;
    use crate::schedule::NoiseSchedule;
    use crate::units::Timestep;
    use ndarray::Array4;

    #[expect(clippy::cast_possible_truncation, reason = "what a network gets is f32")]
    fn single(value: f64) -> f32 {
        value as f32
    }

    #[test]
    fn every_prediction_of_the_true_noise_gives_the_true_noise() {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        let (x0, epsilon) = (0.3_f64, -1.2_f64);
        for t in [0, 10, 500, 999].map(Timestep) {
            let alpha_bar = schedule.alpha_bar(t);
            let (a, s) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
            let x_t = a * x0 + s * epsilon;
            let predictions = [
                (Prediction::Epsilon, epsilon),
                (Prediction::X0, x0),
                (Prediction::V, a * epsilon - s * x0),
                (Prediction::Score, -epsilon / s),
            ];
            for (prediction, value) in predictions {
                let mut output = Array4::from_elem((1, 1, 1, 1), single(value));
                let x = Array4::from_elem((1, 1, 1, 1), single(x_t));
                to_epsilon(&mut output, &x.view(), &[Line::at(prediction, &schedule, t)]);
                let error = (f64::from(output[[0, 0, 0, 0]]) - epsilon).abs();
                // x0 at t = 0: the inputs' own f32 rounding (6e-8) is divided by s = 0.01.
                assert!(error < 2e-5, "{prediction:?} at {t}: {error}");
            }
        }
    }
}
