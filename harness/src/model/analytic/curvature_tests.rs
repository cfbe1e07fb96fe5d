//! Eq. 9 and appendix A of arXiv:2412.00205 where the curvature is known: the identity, and what Algorithm 1 takes in its place.

use ndarray::{Array3, Array4};

use super::{GaussianDenoiser, MixtureDenoiser};
use crate::model::{Denoiser, NetworkInput};
use crate::schedule::{NoisePoint, NoiseSchedule};
use crate::units::Timestep;

/// Spread of each mode.
const TAU: f64 = 0.2;
/// Places of the modes.
const MODES: [f64; 2] = [-0.7, 0.7];
/// Step of the quadrature. Sums over a step that is small beside the width of a density are exact to rounding.
const STEP: f64 = 0.01;

fn at(t: u32) -> NoisePoint {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap().at(Timestep(t))
}

/// Places from -6 to 6.
fn grid() -> Vec<f64> {
    (-600..=600).map(|i| STEP * f64::from(i)).collect()
}

/// `epsilon` and its derivative at every place of one dimension.
fn predictions(model: &mut dyn Denoiser, places: &[f64], t: u32) -> Vec<(f64, f64)> {
    let column: Vec<f32> = places.iter().map(|x| crate::noise::nearest_f32(*x)).collect();
    let x = Array4::from_shape_vec((places.len(), 1, 1, 1), column).unwrap();
    let times = vec![at(t); places.len()];
    let input = NetworkInput { x: x.view(), t: &times, y: None };
    let ones = Array4::from_elem(x.raw_dim(), 1.0);
    let (epsilon, slope) = model.epsilon_vjp(input, ones.view()).unwrap();
    epsilon.iter().zip(&slope).map(|(e, j)| (f64::from(*e), f64::from(*j))).collect()
}

fn normal(x: f64, mean: f64, variance: f64) -> f64 {
    libm::exp(-(x - mean).powi(2) / (2.0 * variance)) / (std::f64::consts::TAU * variance).sqrt()
}

fn mixture() -> MixtureDenoiser {
    let mean = |at: &f64| Array3::from_elem((1, 1, 1), crate::noise::nearest_f32(*at));
    MixtureDenoiser::new(MODES.iter().map(mean).collect(), TAU).unwrap()
}

#[test]
fn the_expected_squared_score_is_minus_the_expected_curvature_and_that_of_epsilon_is_not() {
    for t in [60, 200, 480] {
        let (level, places) = (at(t).level, grid());
        let (a, s) = (level.a(), level.s());
        let variance = a * a * TAU * TAU + s * s;
        let (mut score, mut epsilon, mut curvature, mut whole) = (0.0, 0.0, 0.0, 0.0);
        for (x, (e, slope)) in places.iter().zip(predictions(&mut mixture(), &places, t)) {
            let q: f64 = MODES.iter().map(|mode| 0.5 * normal(*x, a * mode, variance)).sum();
            // grad log q = -epsilon / s, so the curvature of log q is -(d epsilon / d x) / s.
            score += STEP * q * (e / s).powi(2);
            epsilon += STEP * q * e.powi(2);
            curvature -= STEP * q * slope / s;
            whole += STEP * q;
        }
        assert!((whole - 1.0).abs() < 1e-9, "{whole}");
        assert!((score / -curvature - 1.0).abs() < 1e-5, "t = {t}: {score}, {curvature}");
        // Taken of epsilon, as the algorithm takes it, the number is another one: by s^2.
        assert!((epsilon / (-curvature * s * s) - 1.0).abs() < 1e-5, "t = {t}: {epsilon}");
    }
}

/// For `x_0 ~ N(mu, tau^2)`, with `v = a^2 tau^2 + s^2`, the curvature is `-1 / v` everywhere, and the variance of Algorithm 1,
/// even divided by `s^2`, is `s^2 / v^2`: it draws from `q(x_t | x0_hat)`, which is narrower than `q(x_t)`.
#[test]
fn the_variance_of_algorithm_1_over_s2_is_the_curvature_only_where_noise_rules() {
    let variance_over_s2 = |t: u32| {
        let level = at(t).level;
        let (a, s) = (level.a(), level.s());
        let mut model = GaussianDenoiser::new(Array3::from_elem((1, 1, 1), 0.1), TAU).unwrap();
        let x0_hat = 0.4;
        let places: Vec<f64> = grid().iter().map(|n| a * x0_hat + s * n).collect();
        let found = predictions(&mut model, &places, t);
        let mean_of = |power: i32| -> f64 {
            let terms = grid().into_iter().zip(&found);
            terms.map(|(n, (e, _))| STEP * normal(n, 0.0, 1.0) * e.powi(power)).sum()
        };
        let variance = mean_of(2) - mean_of(1).powi(2);
        (variance / (s * s), a * a * TAU * TAU + s * s, s * s)
    };
    for t in [60, 200, 480] {
        let (found, v, s2) = variance_over_s2(t);
        assert!((found / (s2 / (v * v)) - 1.0).abs() < 1e-4, "t = {t}: {found}");
        assert!(found * v < 1.0, "it stays below the curvature");
    }
    // Late in the walk it is a fraction of it, early nearly all.
    let share = |t: u32| {
        let (found, v, _) = variance_over_s2(t);
        found * v
    };
    assert!(share(20) < 0.5 && share(800) > 0.99, "{} {}", share(20), share(800));
}

/// At one clean estimate the variance is no property of `q(x_t)` at all: between two modes and on one of them it differs.
#[test]
fn the_variance_of_algorithm_1_depends_on_the_clean_estimate() {
    let t = 200;
    let (a, s) = (at(t).level.a(), at(t).level.s());
    let variance = |x0_hat: f64| {
        let places: Vec<f64> = grid().iter().map(|n| a * x0_hat + s * n).collect();
        let found = predictions(&mut mixture(), &places, t);
        let weights: Vec<f64> = grid().into_iter().map(|n| STEP * normal(n, 0.0, 1.0)).collect();
        let mean: f64 = weights.iter().zip(&found).map(|(w, (e, _))| w * e).sum();
        weights.iter().zip(&found).map(|(w, (e, _))| w * (e - mean).powi(2)).sum::<f64>()
    };
    let (between, on) = (variance(0.0), variance(0.7));
    assert!((between / on - 1.0).abs() > 0.2, "{between}, {on}");
}
