//! Fits and weight draws against closed forms.

use std::ops::Range;
use std::path::PathBuf;

use super::*;
use crate::exit::{Exit, Exits};
use crate::model::bundle::with_posterior;
use crate::model::{Network, WeightDraws, WeightLook};
use crate::stage::Silent;
use crate::units::NfeKind;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/models/ddpm-cifar10-small")
}

/// Images of waves.
struct Waves(usize);

impl ImageSource for Waves {
    fn name(&self) -> &'static str {
        "waves"
    }

    fn len(&self) -> usize {
        self.0
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let wave = |(n, c, y, x): (usize, usize, usize, usize)| {
            let phase = (range.start + n) as f64 + 0.3 * (c + 1) as f64 * x as f64 + 0.2 * y as f64;
            nearest_u8(127.5 + 100.0 * phase.sin())
        };
        Ok(Array4::from_shape_fn((range.len(), 3, 32, 32), wave))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "27 to 228")]
fn nearest_u8(value: f64) -> u8 {
    value as u8
}

fn fitted(n: u64, batch: usize) -> LaplaceFile {
    let bundle = shipped();
    let batch = NonZeroUsize::new(batch).unwrap();
    let request = FitRequest { bundle: &bundle, n: Some(n), seed: 3, batch };
    let listen: (&dyn Progress, &Stop) = (&Silent, &Stop::default());
    fit(&request, &mut Waves(9), &RuntimeOptions::default(), listen).unwrap().file
}

#[test]
fn a_fit_does_not_depend_on_its_batch_and_is_a_sum_over_images() {
    let three = fitted(3, 2);
    assert_eq!(fitted(3, 3), three);
    assert_eq!((three.n_images, three.facts["images_of"].as_str()), (3, "9"));
    // A 3 x 3 convolution from 64 to 12 channels, behind which pixels are laid out.
    assert_eq!((three.weight.len(), three.bias.as_ref().map(Vec::len)), (12 * 64 * 9, Some(12)));
    assert!(three.weight.iter().all(|h| *h > 0.0 && h.is_finite()));
    // Images 0, 3 and 6 of nine: the first of them alone is less.
    let one = fitted(1, 1);
    assert!(one.weight.iter().zip(&three.weight).all(|(one, three)| one <= three));
}

/// By autograd of PyTorch 2.15, on the network of `scripts/train/unet.py` with the shipped weights, the same three images,
/// and times and noise drawn again in NumPy by the table of docs/reimplement.md (`scripts/golden/laplace.py`). That network
/// is float32 too: over all 6,924 numbers the two differ by 3.7e-7 of the largest at most.
#[test]
fn the_information_is_that_of_autograd() {
    let file = fitted(3, 3);
    let bias = file.bias.unwrap_or_default();
    let all: Vec<f64> = file.weight.into_iter().chain(bias).collect();
    for (index, expected) in [
        (0, 0.7893),
        (1, 1.16654),
        (575, 0.202_737),
        (1000, 0.004_900_54),
        (2345, 0.078_503_5),
        (3456, 3.715_87),
        (4000, 0.582_623),
        (5000, 46.4394),
        (6000, 480.66),
        (6911, 2.175_63),
        (6912, 3.779_55),
        (6923, 89.706),
    ] {
        let (got, tolerance): (f64, f64) = (all[index], 1e-4 * expected + 1e-5);
        assert!((got - expected).abs() < tolerance, "{index}: {got}, expected {expected}");
    }
}

#[test]
fn the_predictive_variance_of_draws_is_that_of_the_closed_form() {
    let file = fitted(4, 4);
    let options = RuntimeOptions::default();
    let folder = shipped();
    let opened = open_bundle(&folder, &options, SelfTest::Skip).unwrap();
    let fisher = Fisher { weight: file.weight, bias: file.bias, n_images: file.n_images };
    let mut denoiser =
        with_posterior(opened.denoiser, &folder, (&fisher, (1.0, 1.0)), &options).unwrap();
    let x = Array4::from_shape_fn((2, 3, 32, 32), |(n, c, y, x)| {
        nearest_f32((0.1 * (n + 1) as f64 * x as f64 + c as f64 + 0.2 * y as f64).sin())
    });
    let t = [opened.schedule.at(Timestep(100)), opened.schedule.at(Timestep(700))];
    let input = NetworkInput { x: x.view(), t: &t, y: None };
    let mut network = Network::new(&mut denoiser);
    let exact = network.epsilon_predictive(NfeKind::Trajectory, input, WeightLook::Exact).unwrap();
    let n = 200;
    let draws = WeightDraws { seed: 1, step: 0, first: 0, n };
    let look = WeightLook::Draws(draws);
    let drawn = network.epsilon_predictive(NfeKind::Estimator, input, look).unwrap();
    // One evaluation a row, however many weights are looked at.
    assert_eq!((network.nfe().trajectory, network.nfe().estimator), (2, 2));
    let map = denoiser.epsilon(input).unwrap();
    let all = exact.mean.iter().zip(&exact.variance).zip(drawn.mean.iter().zip(&drawn.variance));
    for (((mean, variance), (drawn, spread)), map) in all.zip(&map) {
        let sigma = f64::from(*variance).sqrt();
        assert!(sigma > 0.0);
        assert!((mean - map).abs() < 1e-5, "{mean} and {map}");
        assert_drawn((*drawn, *spread), n, (*map, sigma));
    }
    // A prediction under one draw is one of those that the mean is of.
    let two = WeightDraws { n: 2, ..draws };
    let mean = network_of(&mut denoiser, input, WeightLook::Draws(two));
    let [first, second] =
        [0, 1].map(|at| denoiser.epsilon_drawn(input, two.keys().nth(at).unwrap()).unwrap());
    assert_ne!(first, second);
    for ((one, other), mean) in first.iter().zip(&second).zip(&mean) {
        assert!((0.5 * (one + other) - mean).abs() < 1e-6, "{one}, {other}, {mean}");
    }
    // Other draws, other answers: the weights are drawn, and by key.
    let other = WeightLook::Draws(WeightDraws { first: n, n: 2, ..draws });
    let again = network_of(&mut denoiser, input, other);
    assert_ne!(again, drawn.mean);
    assert_eq!(again, network_of(&mut denoiser, input, other));
}

/// The mean of `n` normals within six of its standard errors, their variance within six of its own.
fn assert_drawn((drawn, spread): (f32, f32), n: u32, (mean, sigma): (f32, f64)) {
    let se = sigma / f64::from(n).sqrt();
    assert!(f64::from((drawn - mean).abs()) < 6.0 * se, "{drawn} of {mean} ± {se}");
    let ratio = f64::from(spread) / (sigma * sigma);
    assert!((ratio - 1.0).abs() < 6.0 * (2.0 / f64::from(n - 1)).sqrt(), "{ratio}");
}

fn network_of(
    denoiser: &mut dyn Denoiser,
    input: NetworkInput<'_>,
    look: WeightLook,
) -> Array4<f32> {
    Network::new(denoiser).epsilon_predictive(NfeKind::Trajectory, input, look).unwrap().mean
}

#[test]
fn a_posterior_of_another_layer_is_refused() {
    let options = RuntimeOptions::default();
    let opened = open_bundle(&shipped(), &options, SelfTest::Skip).unwrap();
    let fisher = Fisher { weight: vec![1.0; 5], bias: None, n_images: 1 };
    let scales = (1.0, 1.0);
    let error =
        with_posterior(opened.denoiser, &shipped(), (&fisher, scales), &options).unwrap_err();
    assert_eq!(error.exit(), Exit::Input);
    assert!(error.to_string().contains("of 5 weights and 0 biases"), "{error}");
}
