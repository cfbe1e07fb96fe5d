//! Every estimator against the exact answer of the Gaussian denoiser.

use std::num::NonZeroUsize;

use ndarray::{Array3, Array4};

use super::*;
use crate::control::MeanSquaredEpsilon;
use crate::model::analytic::{GaussianDenoiser, MixtureDenoiser};
use crate::model::{Denoiser, NetworkInput};
use crate::noise::{NoiseKey, Purpose, standard_normal};
use crate::sampler::{ClipX0, x0_from_epsilon};
use crate::schedule::{NoiseLevel, NoisePoint, NoiseSchedule};
use crate::units::{StepIndex, Timestep};

const SEED: u64 = 11;
const WINDOW: Window = Window { start: 45, len: 4 };
const TAU: f64 = 0.3;

fn schedule() -> NoiseSchedule {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
}

fn point() -> StepPoint {
    let t = Timestep(80);
    StepPoint::new(StepIndex(45), schedule().at(t))
}

/// Places of every kind: variance-preserving, variance-exploding (EDM) and rectified flow.
fn points() -> [StepPoint; 3] {
    let of = |t, level| StepPoint::new(StepIndex(45), NoisePoint { t, level });
    [point(), of(0.6, NoiseLevel::exploding(0.6)), of(0.4, NoiseLevel::flow(0.4))]
}

/// `J` of the Gaussian denoiser.
fn slope(point: &StepPoint) -> f64 {
    let (a, s) = (point.a(), point.s());
    s / (a * a * TAU * TAU + s * s)
}

fn gaussian(side: usize) -> GaussianDenoiser {
    GaussianDenoiser::new(Array3::from_elem((1, side, side), 0.2), TAU).unwrap()
}

/// States, predictions and clean estimates of a batch.
struct Place {
    point: StepPoint,
    x: Array4<f32>,
    epsilon: Array4<f32>,
    x0_hat: Array4<f32>,
    samples: Vec<SampleId>,
    max_batch: NonZeroUsize,
}

impl Place {
    fn new(model: &mut dyn Denoiser, samples: &[u64], clip: ClipX0) -> Self {
        Self::at(point(), model, samples, clip)
    }

    fn at(point: StepPoint, model: &mut dyn Denoiser, samples: &[u64], clip: ClipX0) -> Self {
        let [c, h, w] = model.spec().shape;
        let samples: Vec<SampleId> = samples.iter().copied().map(SampleId).collect();
        let mut x = Array4::zeros((samples.len(), c, h, w));
        for (mut row, sample) in x.outer_iter_mut().zip(&samples) {
            let purpose = Purpose::Initial;
            let key = NoiseKey { seed: SEED, purpose, sample: *sample, step: 0, draw: 0 };
            standard_normal(key, row.as_slice_mut().unwrap());
        }
        let times = vec![point.place(); samples.len()];
        let epsilon = model.epsilon(NetworkInput { x: x.view(), t: &times, y: None }).unwrap();
        let x0_hat = x0_from_epsilon(&point, &x, &epsilon, clip);
        Self { point, x, epsilon, x0_hat, samples, max_batch: NonZeroUsize::MAX }
    }

    fn context(&self) -> StepContext<'_> {
        StepContext {
            point: self.point,
            x: self.x.view(),
            epsilon: self.epsilon.view(),
            x0_hat: self.x0_hat.view(),
            samples: &self.samples,
            conditions: None,
            seed: SEED,
            max_batch: self.max_batch,
        }
    }
}

fn mean(values: &Array4<f32>) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
}

#[test]
fn sample_variance_is_that_of_the_closed_form() {
    for point in points() {
        let mut model = gaussian(64);
        let place = Place::at(point, &mut model, &[0, 1], ClipX0::Never);
        let mut network = Network::new(&mut model);
        let mut estimator = SampleVariance::new(WINDOW, 5).unwrap();
        let map = estimator.estimate(&place.context(), &mut network).unwrap();
        // e_m = J (s n_m + const): variance (J s)^2; the mean of 8192 chi-squares of 4 degrees.
        let expected = (slope(&point) * point.s()).powi(2);
        let spread = f64::sqrt(2.0 / 4.0 / 8192.0);
        assert!((mean(&map) / expected - 1.0).abs() < 4.0 * spread, "{point:?}");
        assert_eq!(network.nfe().estimator, 10);
        assert_eq!(network.nfe().trajectory, 0);
    }
}

#[test]
fn sample_variance_of_known_draws_is_exact() {
    let mut model = gaussian(2);
    let place = Place::new(&mut model, &[5], ClipX0::Never);
    let mut network = Network::new(&mut model);
    let map =
        SampleVariance::new(WINDOW, 3).unwrap().estimate(&place.context(), &mut network).unwrap();
    let draws: Vec<[f32; 4]> = (0..3)
        .map(|draw| {
            let mut n = [0.0; 4];
            let purpose = Purpose::Perturb;
            let sample = SampleId(5);
            standard_normal(NoiseKey { seed: SEED, purpose, sample, step: 45, draw }, &mut n);
            n
        })
        .collect();
    for (element, got) in map.iter().enumerate() {
        let n: Vec<f64> = draws.iter().map(|draw| f64::from(draw[element])).collect();
        let center = n.iter().sum::<f64>() / 3.0;
        let scatter: f64 = n.iter().map(|n| (n - center).powi(2)).sum();
        let expected = (slope(&point()) * point().s()).powi(2) * scatter / 2.0;
        assert!((f64::from(*got) / expected - 1.0).abs() < 1e-5, "{got}, expected {expected}");
    }
}

/// `U_centered = (M - 1) / M U_sample_var + (mean e - epsilon_t)^2`, on a network that is not linear.
#[test]
fn centered_is_the_population_variance_plus_the_squared_shift() {
    let means = vec![
        Array3::from_elem((1, 8, 8), 0.5),
        Array3::from_shape_fn((1, 8, 8), |(_, i, _)| 0.1 * i as f32 - 0.4),
    ];
    for point in points() {
        let mut model = MixtureDenoiser::new(means.clone(), 0.2).unwrap();
        let place = Place::at(point, &mut model, &[3, 8, 9], ClipX0::Unit);
        let mut network = Network::new(&mut model);
        let context = place.context();
        let perturbation = Perturbation { n_draws: 5, clean: CleanEstimate::FollowSampler };
        let stacked = perturbed_predictions(&context, &mut network, perturbation).unwrap();
        let average = mean_over_draws(&perturb::draws_of(&stacked, 3));
        let variance =
            SampleVariance::new(WINDOW, 5).unwrap().estimate(&context, &mut network).unwrap();
        let centered =
            CenteredVariance::new(WINDOW, 5).unwrap().estimate(&context, &mut network).unwrap();
        for (((got, variance), mean), e) in
            centered.iter().zip(&variance).zip(&average).zip(&place.epsilon)
        {
            let expected = 0.8 * f64::from(*variance) + (mean - f64::from(*e)).powi(2);
            assert!((f64::from(*got) - expected).abs() < 1e-6 * (1.0 + expected), "{point:?}");
        }
    }
}

#[test]
fn clean_estimates_differ_where_the_sampler_clips() {
    let mut model = gaussian(8);
    let place = Place::new(&mut model, &[1], ClipX0::Unit);
    let unclipped = Perturbation { n_draws: 1, clean: CleanEstimate::Unclipped };
    let followed = Perturbation { n_draws: 1, clean: CleanEstimate::FollowSampler };
    let a = perturbed_states(&place.context(), unclipped);
    let b = perturbed_states(&place.context(), followed);
    let clipped: Vec<bool> = place.x0_hat.iter().map(|x0| x0.abs() >= 1.0).collect();
    assert!(clipped.contains(&true) && clipped.contains(&false));
    for ((a, b), clipped) in a.iter().zip(&b).zip(&clipped) {
        assert_eq!((a - b).abs() > 1e-6, *clipped);
    }
}

#[test]
fn second_order_code_measures_the_energy_of_the_image() {
    let mut model = gaussian(8);
    let place = Place::new(&mut model, &[1], ClipX0::Never);
    let mut network = Network::new(&mut model);
    let mut estimator = Dpm2CenteredCode::new(WINDOW, 2).unwrap();
    let map = estimator.estimate(&place.context(), &mut network).unwrap();
    let (a, s, j) = (point().a(), point().s(), slope(&point()));
    let mut draws = [[0.0_f32; 64]; 2];
    for (draw, n) in (0..).zip(&mut draws) {
        let purpose = Purpose::Perturb;
        let key = NoiseKey { seed: SEED, purpose, sample: SampleId(1), step: 45, draw };
        standard_normal(key, n);
    }
    for (element, (got, (x, x0))) in map.iter().zip(place.x.iter().zip(&place.x0_hat)).enumerate() {
        let (x, x0) = (f64::from(*x), f64::from(*x0));
        let prediction = |n: f32| j * (x - s * x0 + s * f64::from(n) - a * f64::from(0.2_f32));
        let expected =
            draws.iter().map(|n| (prediction(n[element]) - x0).powi(2)).sum::<f64>() / 2.0;
        assert!((f64::from(*got) - expected).abs() < 1e-5 * (1.0 + expected));
    }
}

#[test]
fn dropout_variance_is_that_of_the_closed_form() {
    for point in points() {
        let mut model = gaussian(64).with_dropout();
        let place = Place::at(point, &mut model, &[0, 1, 2], ClipX0::Never);
        let mut network = Network::new(&mut model);
        let mut estimator = McDropout::new(WINDOW, 8, 0.5).unwrap();
        let map = estimator.estimate(&place.context(), &mut network).unwrap();
        // e_m = epsilon mask / (1 - p): variance epsilon^2 p / (1 - p), here epsilon^2.
        let expected = mean(&place.epsilon.mapv(|e| e * e));
        assert!((mean(&map) / expected - 1.0).abs() < 0.03, "{} of {expected}", mean(&map));
        assert_eq!(network.nfe().estimator, 24);
    }
}

#[test]
fn control_is_the_squared_prediction_and_costs_nothing() {
    let mut model = gaussian(4);
    let place = Place::new(&mut model, &[0], ClipX0::Never);
    let mut network = Network::new(&mut model);
    let map = MeanSquaredEpsilon::new(WINDOW).estimate(&place.context(), &mut network).unwrap();
    assert_eq!(map, place.epsilon.mapv(|e| e * e));
    assert_eq!(network.nfe(), crate::units::Nfe::default());
}

fn zoo() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(SampleVariance::new(WINDOW, 5).unwrap()),
        Box::new(CenteredVariance::new(WINDOW, 3).unwrap()),
        Box::new(SampleVariance::new(WINDOW, 2).unwrap().named("sample_var_m2")),
        Box::new(
            SampleVariance::new(WINDOW, 4).unwrap().with_clean_estimate(CleanEstimate::Unclipped),
        ),
        Box::new(McDropout::new(WINDOW, 3, 0.5).unwrap()),
        Box::new(MeanSquaredEpsilon::new(WINDOW)),
        Box::new(SampleVariance::new(Window { start: 10, len: 2 }, 5).unwrap().named("early")),
    ]
}

#[test]
fn a_group_shares_calls_and_changes_no_value() {
    let mut model = gaussian(4).with_dropout();
    let place = Place::new(&mut model, &[0, 1], ClipX0::Unit);
    let mut network = Network::new(&mut model);
    let grouped = estimate_group(&mut zoo(), &place.context(), &mut network).unwrap();
    // The largest M of each clean estimate, and MC-Dropout: (5 + 4 + 3) rows an image.
    assert_eq!(network.nfe().estimator, 2 * (5 + 4 + 3));
    let nfe: Vec<_> = grouped.iter().map(|g| g.as_ref().map(|g| g.nfe.estimator)).collect();
    assert_eq!(nfe, [Some(5), Some(3), Some(2), Some(4), Some(3), Some(0), None]);
    for (estimator, grouped) in zoo().iter_mut().zip(&grouped) {
        if let Some(grouped) = grouped {
            let alone = estimator.estimate(&place.context(), &mut network).unwrap();
            assert_eq!(alone, grouped.map, "{}", estimator.name());
        }
    }
}

#[test]
fn batch_and_micro_batch_change_no_bit() {
    let mut model = gaussian(4).with_dropout();
    let all = Place::new(&mut model, &[4, 5, 6, 7, 8], ClipX0::Unit);
    let mut few = Place::new(&mut model, &[7, 4], ClipX0::Unit);
    few.max_batch = NonZeroUsize::new(3).unwrap();
    let mut network = Network::new(&mut model);
    let whole = estimate_group(&mut zoo(), &all.context(), &mut network).unwrap();
    let part = estimate_group(&mut zoo(), &few.context(), &mut network).unwrap();
    for (whole, part) in whole.iter().flatten().zip(part.iter().flatten()) {
        for (row_of_part, row_of_whole) in [(0, 3), (1, 0)] {
            let [a, b] = [(part, row_of_part), (whole, row_of_whole)]
                .map(|(estimate, row)| estimate.map.index_axis(ndarray::Axis(0), row).to_owned());
            assert_eq!(a, b);
        }
    }
}

#[test]
fn impossible_estimators_are_refused_with_the_remedy() {
    let message = SampleVariance::new(WINDOW, 1).unwrap_err().to_string();
    assert!(message.contains("set n_draws of the estimator to 2 or more"), "{message}");
    assert!(CenteredVariance::new(WINDOW, 0).is_err());
    assert!(McDropout::new(WINDOW, 5, 1.0).is_err());
    assert!(McDropout::new(WINDOW, 5, f32::NAN).is_err());
    assert_eq!(
        Window { start: 3, len: 0 }.check(50),
        Err(EstimatorError::EmptyWindow { start: 3 })
    );
    assert!(Window { start: u32::MAX, len: u32::MAX }.check(50).is_err());
    let mut model = gaussian(2);
    let place = Place::new(&mut model, &[0], ClipX0::Never);
    let mut network = Network::new(&mut model);
    let refused = McDropout::new(WINDOW, 5, 0.5).unwrap().estimate(&place.context(), &mut network);
    assert!(matches!(refused, Err(ModelError::NotApplicable { method: "mc_dropout", .. })));
}
