//! Guidance against exact gradients, finite differences and its own promises.

use std::num::NonZeroUsize;

use ndarray::{Array3, Array4, Axis};

use super::*;
use crate::model::analytic::{GaussianDenoiser, MixtureDenoiser};
use crate::model::{Denoiser, NetworkInput};
use crate::sampler::{
    ClipX0, Ddim, DpmSolverPp2m, FinalAlphaBar, Sampler, StepPoint, x0_from_epsilon,
};
use crate::schedule::{NoiseLevel, NoisePoint, NoiseSchedule, TimestepGrid};
use crate::stage::generate::starts::initial_states;
use crate::stage::generate::trajectory::{BatchOutcome, BatchRequest, run_batch};
use crate::uncertainty::{
    CleanEstimate, Perturbation, draws_of, mean_over_draws, perturbed_predictions,
};
use crate::units::{Nfe, SampleId, StepIndex, Timestep};

const SEED: u64 = 77;
const TAU: f64 = 0.3;
const FIVE: Perturbation = Perturbation { n_draws: 5, clean: CleanEstimate::FollowSampler };

fn schedule() -> NoiseSchedule {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
}

fn point() -> StepPoint {
    let t = Timestep(260);
    StepPoint::new(StepIndex(36), schedule().at(t))
}

/// Places of every kind: variance-preserving, variance-exploding (EDM) and rectified flow.
fn points() -> [StepPoint; 3] {
    let of = |t, level| StepPoint::new(StepIndex(36), NoisePoint { t, level });
    [point(), of(0.8, NoiseLevel::exploding(0.8)), of(0.5, NoiseLevel::flow(0.5))]
}

fn gaussian() -> GaussianDenoiser {
    GaussianDenoiser::new(Array3::from_elem((3, 4, 4), 0.2), TAU).unwrap()
}

fn mixture() -> MixtureDenoiser {
    let wave = |shift: f32| {
        Array3::from_shape_fn((3, 4, 4), |(c, i, j)| 0.1 * (c as f32 - i as f32) + shift * j as f32)
    };
    MixtureDenoiser::new(vec![wave(0.2), wave(-0.1), wave(0.05)], 0.25).unwrap()
}

/// A batch at one place.
struct Place {
    point: StepPoint,
    x: Array4<f32>,
    epsilon: Array4<f32>,
    x0_hat: Array4<f32>,
    samples: Vec<SampleId>,
}

impl Place {
    fn new(model: &mut dyn Denoiser, ids: &[u64], clip: ClipX0) -> Self {
        Self::at(point(), model, ids, clip)
    }

    fn at(point: StepPoint, model: &mut dyn Denoiser, ids: &[u64], clip: ClipX0) -> Self {
        let samples: Vec<SampleId> = ids.iter().copied().map(SampleId).collect();
        let x = initial_states(SEED, &samples, model.spec().shape);
        let times = vec![point.place(); ids.len()];
        let epsilon = model.epsilon(NetworkInput { x: x.view(), t: &times, y: None }).unwrap();
        let x0_hat = x0_from_epsilon(&point, &x, &epsilon, clip);
        Self { point, x, epsilon, x0_hat, samples }
    }

    /// The same place with another prediction at the same state.
    fn at_epsilon(&self, epsilon: Array4<f32>, clip: ClipX0) -> Self {
        let x0_hat = x0_from_epsilon(&self.point, &self.x, &epsilon, clip);
        let (point, x, samples) = (self.point, self.x.clone(), self.samples.clone());
        Self { point, x, epsilon, x0_hat, samples }
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
            max_batch: NonZeroUsize::new(4).unwrap(),
        }
    }
}

#[test]
fn sample_variance_gradient_of_the_gaussian_is_zero() {
    for point in points() {
        let mut model = gaussian();
        let place = Place::at(point, &mut model, &[0, 1, 2], ClipX0::Never);
        let mut network = Network::new(&mut model);
        let setting = (GuidedStatistic::SampleVariance, FIVE);
        let gradient = variance_gradient(&place.context(), &mut network, setting).unwrap();
        assert!(gradient.score.iter().all(|g| g.abs() < 1e-6), "{point:?}");
        assert!(gradient.u.iter().any(|u| *u > 0.01));
        assert_eq!(network.nfe(), Nfe { trajectory: 0, estimator: 3 * 10, gradient: 3 * 5 });
    }
}

#[test]
fn centered_gradient_of_the_gaussian_is_that_of_the_closed_form() {
    for point in points() {
        let mut model = gaussian();
        let place = Place::at(point, &mut model, &[0, 1, 2], ClipX0::Never);
        let mut network = Network::new(&mut model);
        let context = place.context();
        let setting = (GuidedStatistic::Centered, FIVE);
        let gradient = variance_gradient(&context, &mut network, setting).unwrap();
        let stacked = perturbed_predictions(&context, &mut network, FIVE).unwrap();
        let mean = mean_over_draws(&draws_of(&stacked, 3));
        let (a, s) = (point.a(), point.s());
        let slope = s / (a * a * TAU * TAU + s * s);
        for ((got, e), mean) in gradient.score.iter().zip(&place.epsilon).zip(&mean) {
            let expected = 2.0 * (1.0 + s * slope) * (f64::from(*e) - mean);
            assert!((got - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{got} {expected}");
        }
    }
}

/// Sum of `U` over one image as a function of `epsilon_t`, the draws and `x_t` fixed.
fn total_u(place: &Place, setting: (GuidedStatistic, Perturbation)) -> f64 {
    let mut model = mixture();
    let mut network = Network::new(&mut model);
    let gradient = variance_gradient(&place.context(), &mut network, setting).unwrap();
    gradient.u.iter().map(|u| f64::from(*u)).sum()
}

#[test]
fn gradients_of_the_mixture_equal_central_differences() {
    let directions: [fn(usize) -> f32; 3] = [
        |k| if k % 3 == 0 { 1.0 } else { -0.5 },
        |k| (k as f32 * 0.7).sin(),
        |k| if k == 17 { 1.0 } else { 0.0 },
    ];
    for statistic in [GuidedStatistic::SampleVariance, GuidedStatistic::Centered] {
        let kinds = points().map(|point| (point, ClipX0::Never));
        for (point, clip) in kinds.into_iter().chain([(point(), ClipX0::Unit)]) {
            let setting = (statistic, FIVE);
            let place = Place::at(point, &mut mixture(), &[4], clip);
            let mut model = mixture();
            let mut network = Network::new(&mut model);
            let gradient = variance_gradient(&place.context(), &mut network, setting).unwrap();
            for direction in directions {
                let step = 0.01_f32;
                let moved = |sign: f32| {
                    let mut epsilon = place.epsilon.clone();
                    for (k, e) in epsilon.iter_mut().enumerate() {
                        *e += sign * step * direction(k);
                    }
                    total_u(&place.at_epsilon(epsilon, clip), setting)
                };
                let expected = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(step));
                let elements = gradient.score.iter().enumerate();
                let got: f64 = elements.map(|(k, g)| g * f64::from(direction(k))).sum();
                assert!(
                    (got - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                    "{statistic:?} {point:?} {clip:?}: {got}, expected {expected}"
                );
            }
        }
    }
}

/// The mixture with a fused variance gradient, made of its own products one sample at a time.
struct Fused(MixtureDenoiser);

impl Denoiser for Fused {
    fn spec(&self) -> &crate::model::DenoiserSpec {
        self.0.spec()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        self.0.epsilon(input)
    }

    fn epsilon_vjp(
        &mut self,
        _: NetworkInput<'_>,
        _: ndarray::ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        panic!("the fused graph is there")
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<(Array4<f32>, Array4<f32>)>, ModelError> {
        let (m, t) = (n_draws as usize, input.t);
        let (mut variances, mut gradients) = (Vec::new(), Vec::new());
        for start in (0..t.len()).step_by(m) {
            let x = input.x.slice(ndarray::s![start..start + m, .., .., ..]);
            let draws = NetworkInput { x, t: &t[start..start + m], y: None };
            let e = self.0.epsilon(draws)?;
            let mean = e.mean_axis(Axis(0)).unwrap();
            let deviation = &e - &mean;
            variances.push(deviation.mapv(|d| d * d).sum_axis(Axis(0)) / (m as f32 - 1.0));
            let cotangent = deviation * (2.0 / (m as f32 - 1.0));
            gradients.push(self.0.epsilon_vjp(draws, cotangent.view())?.1.sum_axis(Axis(0)));
        }
        let stack = |rows: &[Array3<f32>]| {
            let views: Vec<_> = rows.iter().map(|row| row.view()).collect();
            ndarray::stack(Axis(0), &views).unwrap()
        };
        Ok(Some((stack(&variances), stack(&gradients))))
    }
}

#[test]
fn a_fused_graph_gives_the_gradient_of_the_products_whatever_the_batch() {
    let place = Place::new(&mut mixture(), &[3, 1, 8], ClipX0::Never);
    let setting = (GuidedStatistic::SampleVariance, FIVE);
    let mut plain = mixture();
    let expected =
        variance_gradient(&place.context(), &mut Network::new(&mut plain), setting).unwrap();
    for max_batch in [1, 5, 11, 64] {
        let mut model = Fused(mixture());
        let mut network = Network::new(&mut model);
        let max_batch = NonZeroUsize::new(max_batch).unwrap();
        let context = StepContext { max_batch, ..place.context() };
        let got = variance_gradient(&context, &mut network, setting).unwrap();
        assert_eq!(network.nfe(), Nfe { trajectory: 0, estimator: 15, gradient: 15 });
        let largest = expected.score.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
        assert!(largest > 1e-3);
        for (got, expected) in got.score.iter().zip(&expected.score) {
            assert!((got - expected).abs() < 1e-5 * largest, "{got}, expected {expected}");
        }
        for (got, expected) in got.u.iter().zip(&expected.u) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
    }
}

#[test]
fn only_masked_elements_move_and_they_move_uphill() {
    let place = Place::new(&mut mixture(), &[0, 1], ClipX0::Never);
    let mut model = mixture();
    let mut network = Network::new(&mut model);
    let setting = (GuidedStatistic::SampleVariance, FIVE);
    let gradient = variance_gradient(&place.context(), &mut network, setting).unwrap();
    let mask = MaskRule::per_image(0.9).unwrap();
    let marks = mask.mask(point().index, &gradient.u).unwrap();
    let mut rule = GradientGuidance::new(5, 0.05, mask.clone()).unwrap();
    let up = rule.rewrite(&place.context(), &mut network).unwrap();
    let mut rule = GradientGuidance::new(5, 0.05, mask).unwrap().with_direction(Direction::Descent);
    let down = rule.rewrite(&place.context(), &mut network).unwrap();
    assert_eq!(marks.iter().filter(|mark| **mark).count(), 2 * 5); // 10 % of 48 elements
    for ((((up, down), e), mark), g) in
        up.iter().zip(&down).zip(&place.epsilon).zip(&marks).zip(&gradient.score)
    {
        let expected = if *mark { 0.05 * g } else { 0.0 };
        assert!((f64::from(up - e) - expected).abs() < 1e-6);
        assert!((f64::from(down - e) + expected).abs() < 1e-6);
    }
    let before = total_u(&place, setting);
    let after = total_u(&place.at_epsilon(up, ClipX0::Never), setting);
    let below = total_u(&place.at_epsilon(down, ClipX0::Never), setting);
    assert!(after > before && below < before, "{below} {before} {after}");
}

#[test]
fn posterior_shrinks_by_the_stated_factor() {
    let place = Place::new(&mut mixture(), &[0, 1], ClipX0::Never);
    let mut model = mixture();
    let mut network = Network::new(&mut model);
    let everything = || MaskRule::per_image(0.0).unwrap();
    let mut rule = PosteriorGuidance::new(3, everything()).unwrap();
    let got = rule.rewrite(&place.context(), &mut network).unwrap();
    let window = Window { start: 36, len: 1 };
    let mut code = authors_code::posterior(3, everything(), window).unwrap();
    let code = code.rewrite(&place.context(), &mut network).unwrap();
    let three = Perturbation { n_draws: 3, ..FIVE };
    let stacked = perturbed_predictions(&place.context(), &mut network, three).unwrap();
    let draws = draws_of(&stacked, 2);
    let mut n_equal = 0;
    for at in [[0, 0, 0, 0], [0, 2, 3, 1], [1, 1, 2, 2], [1, 2, 0, 3]] {
        let e: Vec<f64> = draws.iter().map(|draw| f64::from(draw[at])).collect();
        let four: Vec<f64> = e.iter().copied().chain([f64::from(place.epsilon[at])]).collect();
        let center = four.iter().sum::<f64>() / 4.0;
        let u = four.iter().map(|v| (v - center).powi(2)).sum::<f64>() / 3.0;
        let shrink = 1.0 / (3.0 / u + 1.0 / point().level.a2()) / u;
        let expected = shrink * e.iter().sum::<f64>();
        let close = |got: f32, expected: f64| (f64::from(got) - expected).abs() < 1e-5;
        n_equal += usize::from(close(got[at], expected) && close(code[at], shrink * e[2]));
    }
    assert!(n_equal >= 3, "at most the smallest U of an image is not above the 0-quantile");
}

#[test]
fn second_order_steps_by_u_with_fair_signs() {
    let ids: Vec<u64> = (0..50).collect();
    let place = Place::new(&mut mixture(), &ids, ClipX0::Never);
    let mut model = mixture();
    let mut network = Network::new(&mut model);
    let mut rule = SecondOrderGuidance::new(5, 1.0, MaskRule::per_image(0.5).unwrap()).unwrap();
    let got = rule.rewrite(&place.context(), &mut network).unwrap();
    let setting = (GuidedStatistic::Centered, FIVE);
    let u = variance_gradient(&place.context(), &mut network, setting).unwrap().u;
    let (mut ups, mut downs) = (0, 0);
    for ((got, e), u) in got.iter().zip(&place.epsilon).zip(&u) {
        let step = got - e;
        assert!(step == 0.0 || (step.abs() - u).abs() < 1e-5);
        ups += i32::from(step > 0.0);
        downs += i32::from(step < 0.0);
    }
    assert_eq!(ups + downs, 50 * 24);
    assert!((ups - downs).abs() < 140, "{ups} up, {downs} down"); // 4 standard deviations
}

#[test]
fn loop_index_alpha_all_but_removes_the_perturbation() {
    let mut place = Place::new(&mut mixture(), &[0], ClipX0::Never);
    place.point.index = StepIndex(0);
    let mut model = mixture();
    let mut network = Network::new(&mut model);
    let rule = || GradientGuidance::new(5, 1.0, MaskRule::per_image(0.5).unwrap()).unwrap();
    let rule = || rule().with_statistic(GuidedStatistic::SampleVariance);
    let honest = rule().rewrite(&place.context(), &mut network).unwrap();
    let quirk = authors_code::LoopIndexAlpha::new(Box::new(rule()), schedule(), ClipX0::Never);
    let mut quirk = quirk.unwrap();
    let quirky = quirk.rewrite(&place.context(), &mut network).unwrap();
    let size = |moved: &Array4<f32>| -> f32 {
        moved.iter().zip(&place.epsilon).map(|(a, b)| (a - b).abs()).sum()
    };
    assert!(size(&quirky) > 0.0 && size(&quirky) < 0.05 * size(&honest));
    assert_eq!(quirk.name(), "gradient_loop_index_alpha");
}

/// On the Gaussian `d (sum U) / d x_t` is known: `J` times the gradient for `epsilon_t`, plus
/// `J 2 (mean e - epsilon_t)` by way of `x_hat`, plus the stray `J / (c h w)`.
#[test]
fn authors_gradient_is_that_of_the_closed_form() {
    let mut model = gaussian();
    let place = Place::new(&mut model, &[0, 1], ClipX0::Never);
    let mut network = Network::new(&mut model);
    let mask = MaskRule::per_image(0.5).unwrap();
    let window = Window { start: 36, len: 1 };
    let mut rule = authors_code::AuthorsGradient::new((5, 1.0, 4), mask.clone(), window).unwrap();
    let got = rule.rewrite(&place.context(), &mut network).unwrap();
    let setting = (GuidedStatistic::Centered, FIVE);
    let u = variance_gradient(&place.context(), &mut network, setting).unwrap().u;
    let marks = mask.mask(point().index, &u).unwrap();
    let stacked = perturbed_predictions(&place.context(), &mut network, FIVE).unwrap();
    let mean = mean_over_draws(&draws_of(&stacked, 2));
    let (a, s) = (point().a(), point().s());
    let slope = s / (a * a * TAU * TAU + s * s);
    for (((got, e), mean), mark) in got.iter().zip(&place.epsilon).zip(&mean).zip(&marks) {
        let gap = f64::from(*e) - mean;
        let through = slope * (2.0 * (1.0 + s * slope) * gap + 1.0 / 48.0);
        let expected = if *mark { (through - 2.0 * slope * gap) / 4.0 } else { 0.0 };
        assert!((f64::from(got - e) - expected).abs() < 2e-6, "{} {expected}", got - e);
    }
}

fn guided_run(ids: &[u64], sampler: &mut dyn Sampler, max_batch: usize) -> BatchOutcome {
    let mut model = mixture();
    let samples: Vec<SampleId> = ids.iter().copied().map(SampleId).collect();
    let x = initial_states(SEED, &samples, model.spec().shape);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: None,
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::new(max_batch).unwrap(),
        before_step: None,
    };
    let mask = MaskRule::per_image(0.9).unwrap();
    let rule = GradientGuidance::new(3, 1.0, mask).unwrap();
    let mut rule = rule.with_window(Window { start: 1, len: 3 });
    let mut network = Network::new(&mut model);
    run_batch(&request, sampler, (&mut [], &mut |_, _| ()), Some(&mut rule), &mut network).unwrap()
}

#[test]
fn guided_trajectories_do_not_depend_on_the_batch() {
    let ddim = || -> Box<dyn Sampler> {
        let grid = TimestepGrid::leading(1000, 8, 0).unwrap();
        Box::new(Ddim::new(&schedule(), &grid, ClipX0::Unit, FinalAlphaBar::One).unwrap())
    };
    let solver = || -> Box<dyn Sampler> {
        let grid = TimestepGrid::dpm_linspace(1000, 8).unwrap();
        Box::new(DpmSolverPp2m::new(&schedule(), &grid).unwrap())
    };
    let samplers: [&dyn Fn() -> Box<dyn Sampler>; 2] = [&ddim, &solver];
    for sampler in samplers {
        let whole = guided_run(&[0, 1, 2, 3, 4, 5, 6], sampler().as_mut(), 5);
        // 8 steps; 3 guided ones with 3 draws, each evaluated once and once more in its reverse pass.
        assert_eq!(whole.nfe, Nfe { trajectory: 8, estimator: 3 * 6, gradient: 3 * 3 });
        for row in 0..7_u8 {
            let alone = guided_run(&[u64::from(row)], sampler().as_mut(), 64).x0;
            let of_whole = whole.x0.index_axis(Axis(0), usize::from(row));
            let bits = |v: &f32| v.to_bits();
            assert!(alone.iter().map(bits).eq(of_whole.iter().map(bits)));
        }
    }
}

#[test]
fn impossible_rules_are_refused_with_the_remedy() {
    let mask = MaskRule::per_image(0.95).unwrap();
    let message = GradientGuidance::new(1, 1.0, mask.clone()).unwrap_err().to_string();
    assert!(message.contains("set guidance.n_draws to 2 or more"), "{message}");
    assert!(GradientGuidance::new(5, f64::NAN, mask.clone()).is_err());
    assert!(PosteriorGuidance::new(0, mask.clone()).is_err());
    let window = Window { start: 0, len: 3 };
    let empty = authors_code::AuthorsGradient::new((5, 0.1, 0), mask, window);
    assert_eq!(empty.unwrap_err(), GuidanceError::EmptyBatch);
}
