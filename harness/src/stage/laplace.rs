//! Fitting a last-layer posterior (`BayesDiff`, arXiv:2310.11142): the diagonal empirical Fisher information over noised real
//! images, one pass, nothing kept but the sums.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use ndarray::{Array4, Axis};

use crate::graph::layer_gradient::FittedLayer;
use crate::model::bundle::{SelfTest, open_bundle, with_layer_gradient};
use crate::model::onnx::{OnnxDenoiser, RuntimeOptions};
use crate::model::{Denoiser, DenoiserSpec, Fisher, ModelError, NetworkInput};
use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal, uniform_below};
use crate::schedule::{NoisePoint, NoiseSchedule};
use crate::store::Provenance;
use crate::store::digest::ContentHasher;
use crate::store::laplace::LaplaceFile;
use crate::units::{SampleId, Timestep};

use super::open::identities;
use super::statistics::{ImageSource, StatisticsError};
use super::{Progress, StageError, Stop};

/// What is fitted on what.
#[derive(Clone, Copy, Debug)]
pub struct FitRequest<'a> {
    /// Folder of the bundle.
    pub bundle: &'a Path,
    /// Images, spread over the whole set; all of them where `None` or more than there are.
    pub n: Option<u64>,
    /// Seed of times and noise.
    pub seed: u64,
    /// Images of a network call, at most.
    pub batch: NonZeroUsize,
}

/// What a fit gave.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The information, and what it is of.
    pub file: LaplaceFile,
    /// What made it.
    pub provenance: Provenance,
}

/// Fits the last layer of a bundle: for each image one training time `t`, uniform over all of them, one noise `e`,
/// `x_t = a x_0 + s e`, and `g` the gradient of `sum (epsilon_hat(x_t, t) - e)^2`; `h = 1/2 sum g g`.
///
/// Image number `i` of `n` is number `i N / n` of the `N` of the set; its time and its noise are keyed by that number, so that
/// neither batch nor `n` moves them. Memory does not grow with `n`.
///
/// # Errors
/// [`StageError::Model`] for a bundle without a last layer, one that asks for classes or conditions, one whose times are not
/// counted; [`StageError::Images`] for images that do not fit it; [`StageError::Abandoned`] for a stop.
pub fn fit(
    request: &FitRequest<'_>,
    images: &mut dyn ImageSource,
    options: &RuntimeOptions,
    (progress, stop): (&dyn Progress, &Stop),
) -> Result<Fitted, StageError> {
    let identity = identities::identity(request.bundle)?;
    let opened = open_bundle(request.bundle, options, SelfTest::Run)?;
    let (schedule, spec) = (opened.schedule, opened.spec);
    let n_times = n_times(&schedule, &spec)?;
    let (mut denoiser, layer) = with_layer_gradient(opened.denoiser, request.bundle, options)?;
    let n_set = images.len() as u64;
    let n = request.n.unwrap_or(n_set).min(n_set);
    if n == 0 {
        let message = "there is no image to fit on: give 1 or more (-n)";
        return Err(StatisticsError::input(Path::new(images.name()), message).into());
    }
    let mut fisher = Fisher::of(&layer);
    let mut hasher = ContentHasher::default();
    progress.begin("fit-laplace", n, 0);
    let places: Vec<u64> = (0..n).map(|i| i * n_set / n).collect();
    for chunk in places.chunks(request.batch.get()) {
        if stop.requested() {
            let (stage, done) = ("fit-laplace", fisher.n_images);
            return Err(StageError::Abandoned { stage, done, total: n });
        }
        let batch = Noised::of(chunk, images, (&spec, &schedule, n_times), request.seed)?;
        for pixels in &batch.pixels {
            hasher.piece("image", pixels);
        }
        add(&mut fisher, &layer, &mut denoiser, &batch)?;
        progress.advance(chunk.len() as u64);
    }
    progress.end();
    finite(&fisher, &spec)?;
    let images = (images.name(), n_set, hasher.finish());
    let facts = facts(&layer, request.seed, images, n_times);
    let runtime = format!("onnxruntime {}", opened.provenance.runtime_version);
    let provenance = Provenance::new(runtime, opened.provenance.device);
    let Fisher { weight, bias, n_images } = fisher;
    let (model, model_files) = (identity.name, identity.files);
    Ok(Fitted {
        file: LaplaceFile { model, model_files, facts, n_images, weight, bias },
        provenance,
    })
}

/// Adds the images of a batch.
fn add(
    fisher: &mut Fisher,
    layer: &FittedLayer,
    denoiser: &mut OnnxDenoiser,
    batch: &Noised,
) -> Result<(), ModelError> {
    let input = NetworkInput { x: batch.x.view(), t: &batch.t, y: None };
    for part in denoiser.layer_gradients(input, batch.noise.view())? {
        let arrays = (part.features.view(), part.gradient.view());
        fisher.add(layer, arrays, part.n).map_err(|error| ModelError::Runtime {
            context: denoiser.spec().name.clone(),
            message: error.to_string(),
        })?;
    }
    Ok(())
}

/// What a fit is of, beside the model.
fn facts(
    fitted: &FittedLayer,
    seed: u64,
    (images, n_set, sha256): (&str, u64, String),
    n_times: u32,
) -> BTreeMap<String, String> {
    let layer = &fitted.layer;
    let facts = [
        ("layer", layer.node.clone()),
        ("operator", layer.op.clone()),
        ("weights", format!("{:?}", layer.weight_shape)),
        ("images", images.to_owned()),
        ("images_of", n_set.to_string()),
        ("images_sha256", sha256),
        ("seed", seed.to_string()),
        ("times", format!("one an image, uniform over 0..{n_times}")),
        (
            "fisher",
            "1/2 sum g g, g the gradient of the sum of squared errors of an image".to_owned(),
        ),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Number of training times.
fn n_times(schedule: &NoiseSchedule, spec: &DenoiserSpec) -> Result<u32, ModelError> {
    let refuse = |reason: &str| {
        let (model, reason) = (spec.name.clone(), reason.to_owned());
        ModelError::NotApplicable { method: "fit-laplace", model, reason }
    };
    if spec.n_classes.is_some() || spec.has_conditions {
        return Err(refuse("it asks for classes or conditions, which a fit does not feed"));
    }
    schedule.n_train_steps().ok_or_else(|| {
        refuse("its times are not counted, and times of a fit are uniform over training steps")
    })
}

/// An information that is not finite is the network's fault, and nobody's posterior.
fn finite(fisher: &Fisher, spec: &DenoiserSpec) -> Result<(), ModelError> {
    let all = || fisher.weight.iter().chain(fisher.bias.iter().flatten());
    let n = all().filter(|value| !value.is_finite()).count();
    if n == 0 {
        return Ok(());
    }
    let (model, total) = (spec.name.clone(), all().count());
    Err(ModelError::NotFinite { model, n, total, t: None, rows: Vec::new() })
}

/// A batch of real images, noised.
struct Noised {
    x: Array4<f32>,
    noise: Array4<f32>,
    t: Vec<NoisePoint>,
    /// One entry an image.
    pixels: Vec<Vec<u8>>,
}

impl Noised {
    fn of(
        places: &[u64],
        images: &mut dyn ImageSource,
        (spec, schedule, n_times): (&DenoiserSpec, &NoiseSchedule, u32),
        seed: u64,
    ) -> Result<Self, StageError> {
        let [c, h, w] = spec.shape;
        let [low, high] = spec.range.map(f64::from);
        let mut x = Array4::zeros((places.len(), c, h, w));
        let mut noise = x.clone();
        let (mut t, mut pixels) = (Vec::new(), Vec::new());
        let mut e = vec![0.0; c * h * w];
        let rows = x.axis_iter_mut(Axis(0)).zip(noise.axis_iter_mut(Axis(0)));
        for ((mut row, mut noise), place) in rows.zip(places) {
            let index = usize::try_from(*place).unwrap_or(usize::MAX);
            let image = images.read(index..index.saturating_add(1))?;
            if image.shape() != [1, c, h, w] {
                let message = format!(
                    "images are {:?}, {} takes {:?}: give images of its size (latent models have no encoder here)",
                    &image.shape()[1..],
                    spec.name,
                    spec.shape
                );
                return Err(StatisticsError::input(images.name().as_ref(), message).into());
            }
            let key = |draw| {
                let (purpose, sample) = (Purpose::Fit, SampleId(*place));
                NoiseKey { seed, purpose, sample, step: 0, draw }
            };
            let at = schedule.at(Timestep(uniform_below(key(0), n_times)));
            standard_normal(key(1), &mut e);
            let (a, s) = (at.level.a(), at.level.s());
            for (((value, noise), byte), e) in row.iter_mut().zip(&mut noise).zip(&image).zip(&e) {
                let x0 = nearest_f32(f64::from(*byte) / (255.0 / (high - low)) + low);
                *value = nearest_f32(a * f64::from(x0) + s * f64::from(*e));
                *noise = *e;
            }
            t.push(at);
            pixels.push(image.iter().copied().collect());
        }
        Ok(Self { x, noise, t, pixels })
    }
}

#[cfg(test)]
mod tests {
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
                let phase =
                    (range.start + n) as f64 + 0.3 * (c + 1) as f64 * x as f64 + 0.2 * y as f64;
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
        assert_eq!(
            (three.weight.len(), three.bias.as_ref().map(Vec::len)),
            (12 * 64 * 9, Some(12))
        );
        assert!(three.weight.iter().all(|h| *h > 0.0 && h.is_finite()));
        // Images 0, 3 and 6 of nine: the first of them alone is less.
        let one = fitted(1, 1);
        assert!(one.weight.iter().zip(&three.weight).all(|(one, three)| one <= three));
    }

    /// By autograd of PyTorch 2.15, on the network of `scripts/train/unet.py` with the shipped weights, the same three images,
    /// and times and noise drawn again in NumPy by the table of docs/reimplement.md. That network is float32 too: over all 6,924
    /// numbers the two differ by 2.4e-6 of the largest at most.
    #[test]
    fn the_information_is_that_of_autograd() {
        let file = fitted(3, 3);
        let bias = file.bias.unwrap_or_default();
        let all: Vec<f64> = file.weight.into_iter().chain(bias).collect();
        for (index, expected) in [
            (0, 98.683),
            (1, 502.41),
            (575, 168.836),
            (1000, 0.372_216),
            (2345, 3.753_85),
            (3456, 135.626),
            (4000, 389.086),
            (5000, 5310.47),
            (6000, 1323.27),
            (6911, 304.716),
            (6912, 189.942),
            (6923, 172.594),
        ] {
            let (got, tolerance): (f64, f64) = (all[index], 1e-4 * expected + 1e-3);
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
        let exact =
            network.epsilon_predictive(NfeKind::Trajectory, input, WeightLook::Exact).unwrap();
        let n = 200;
        let draws = WeightDraws { seed: 1, step: 0, first: 0, n };
        let look = WeightLook::Draws(draws);
        let drawn = network.epsilon_predictive(NfeKind::Estimator, input, look).unwrap();
        // One evaluation a row, however many weights are looked at.
        assert_eq!((network.nfe().trajectory, network.nfe().estimator), (2, 2));
        let map = denoiser.epsilon(input).unwrap();
        let all =
            exact.mean.iter().zip(&exact.variance).zip(drawn.mean.iter().zip(&drawn.variance));
        for (((mean, variance), (drawn, spread)), map) in all.zip(&map) {
            let sigma = f64::from(*variance).sqrt();
            assert!(sigma > 0.0);
            assert!((mean - map).abs() < 1e-5, "{mean} and {map}");
            // A mean of 200 normals within six of its standard errors, a variance within six of its own.
            let se = sigma / f64::from(n).sqrt();
            assert!(f64::from((drawn - map).abs()) < 6.0 * se, "{drawn} of {map} ± {se}");
            let ratio = f64::from(*spread) / (sigma * sigma);
            assert!((ratio - 1.0).abs() < 6.0 * (2.0 / f64::from(n - 1)).sqrt(), "{ratio}");
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
}
