//! Guidance of networks whose answers are known.

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
