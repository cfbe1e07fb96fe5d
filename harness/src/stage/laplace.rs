//! Fitting a last-layer posterior (`BayesDiff`, arXiv:2310.11142): the diagonal empirical Fisher information over noised real
//! images, one pass, nothing kept but the sums.

#[cfg(test)]
mod tests;

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
