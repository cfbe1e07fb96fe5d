//! Where trajectories begin: noise, noised images and classes, each by seed and sample id alone.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use ndarray::{Array4, ArrayRef4, ArrayView4, Axis, concatenate};

use crate::model::{Condition, DenoiserSpec, ModelError};
use crate::noise::{NoiseKey, Purpose, nearest_f32, standard_normal, uniform_below};
use crate::plan::{ArmPlan, NoiseLevel, Start};
use crate::sampler::{Sampler, StepPoint};
use crate::schedule::{NoiseSchedule, ScheduleError};
use crate::units::{ClassLabel, SampleId, StepIndex, Timestep};

use super::trajectory::BatchRequest;
use crate::stage::StageError;
use crate::stage::open::{OpenModel, inputs};
use crate::stage::statistics::StatisticsError;
use crate::store::starts::StartsFile;

/// Start of a batch: its samples, with their states and classes.
#[derive(Clone, Debug)]
pub struct Starts<'a> {
    seed: u64,
    samples: &'a [SampleId],
    labels: Option<Vec<ClassLabel>>,
    conditions: Option<Vec<Condition>>,
    states: Array4<f32>,
    start: StepIndex,
    /// `[3, H, W]` of the real images that the states were made of.
    original: Option<[usize; 3]>,
}

impl<'a> Starts<'a> {
    /// The starts of an arm.
    ///
    /// # Errors
    /// [`StageError::Images`] for real images that cannot be read or do not fit the model.
    pub fn of(
        arm: &ArmPlan,
        (seed, samples): (u64, &'a [SampleId]),
        sampler: &dyn Sampler,
        model: &mut OpenModel,
    ) -> Result<Self, StageError> {
        let spec = model.denoiser.spec().clone();
        let Start::Images { noise } = arm.start else {
            let std = model.schedule.start_std(&sampler.point(StepIndex(0)).level);
            return match &model.starts {
                None => Ok(Self::from_noise((seed, samples), &spec, std)),
                Some(file) => Self::from_file(file, (seed, samples), &spec, std),
            };
        };
        let (x0, original) = originals(model, &spec, samples)?;
        let n_steps = sampler.n_steps();
        let start = StepIndex(n_steps / 2);
        let point = noised_at(noise, sampler.point(start), &model.schedule, n_steps)?;
        let labels =
            spec.n_classes.map(|n| classes_of(model, (&spec.name, n), samples)).transpose()?;
        let conditions = spec.conditions(samples, labels.as_deref());
        let starts = Self::from_images((seed, samples), &x0, (&point, start));
        Ok(Self { labels, conditions, original: Some(original), ..starts })
    }

    /// Pure noise of standard deviation `std` ([`NoiseSchedule::start_std`]) at the first step, and a class where the network
    /// asks for one. Every arm of a plan begins here.
    pub fn from_noise(
        (seed, samples): (u64, &'a [SampleId]),
        spec: &DenoiserSpec,
        std: f64,
    ) -> Self {
        let labels = spec.n_classes.map(|n| initial_labels(seed, samples, n));
        let mut states = initial_states(seed, samples, spec.shape);
        // By 1 nothing moves: every float is itself.
        states.mapv_inplace(|z| nearest_f32(std * f64::from(z)));
        let conditions = spec.conditions(samples, labels.as_deref());
        let start = StepIndex(0);
        Self { seed, samples, labels, conditions, states, start, original: None }
    }

    /// As [`Self::from_noise`], with the noise and the classes that a file has for the samples.
    ///
    /// # Errors
    /// [`StageError::Store`] for a file that does not have them.
    fn from_file(
        file: &StartsFile,
        (seed, samples): (u64, &'a [SampleId]),
        spec: &DenoiserSpec,
        std: f64,
    ) -> Result<Self, StageError> {
        let mut states = file.states(samples)?;
        states.mapv_inplace(|z| nearest_f32(std * f64::from(z)));
        let absent = StageError::Absent { what: "class of a start" };
        let labels = match spec.n_classes {
            None => None,
            Some(_) => Some(file.classes_of(samples).ok_or(absent)?),
        };
        let conditions = spec.conditions(samples, labels.as_deref());
        let start = StepIndex(0);
        Ok(Self { seed, samples, labels, conditions, states, start, original: None })
    }

    /// The same samples from these states `[b, c, h, w]` at the first step.
    #[must_use]
    pub fn with_states(mut self, states: Array4<f32>) -> Self {
        self.states = states;
        self
    }

    /// The same samples with these classes.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<ClassLabel>, spec: &DenoiserSpec) -> Self {
        self.conditions = spec.conditions(self.samples, Some(&labels));
        self.labels = Some(labels);
        self
    }

    /// Images `x0 [b, c, h, w]` in the model's range, noised to `point`; the walk goes on from step `start`.
    pub fn from_images(
        (seed, samples): (u64, &'a [SampleId]),
        x0: &ArrayRef4<f32>,
        (point, start): (&StepPoint, StepIndex),
    ) -> Self {
        let states = noised_references(point, x0, (seed, samples));
        Self { seed, samples, labels: None, conditions: None, states, start, original: None }
    }

    /// States `[b, c, h, w]`.
    pub fn states(&self) -> ArrayView4<'_, f32> {
        self.states.view()
    }

    /// Classes, where the network asks for some.
    pub fn labels(&self) -> Option<Vec<ClassLabel>> {
        self.labels.clone()
    }

    /// Refuses reconstructions `[b, 3, H, W]` of another size than their originals.
    ///
    /// # Errors
    /// [`ModelError::Shape`].
    pub fn fit(&self, images: &Array4<u8>, model: &DenoiserSpec) -> Result<(), ModelError> {
        let got = images.shape()[1..].to_vec();
        match self.original {
            Some(original) if got != original => Err(ModelError::Shape {
                model: model.name.clone(),
                input: "images to rebuild",
                got: original.to_vec(),
                expected: got,
            }),
            _ => Ok(()),
        }
    }

    /// The request of a walk from here.
    pub fn request<'b>(
        &'b self,
        max_batch: NonZeroUsize,
        before_step: &'b dyn Fn(StepIndex) -> Result<(), ModelError>,
    ) -> BatchRequest<'b> {
        BatchRequest {
            seed: self.seed,
            samples: self.samples,
            conditions: self.conditions.as_deref(),
            x: self.states.view(),
            start: self.start,
            max_batch,
            before_step: Some(before_step),
        }
    }
}

/// `x_T ~ N(0, I)`, one row a sample: `[b, c, h, w]`.
pub fn initial_states(seed: u64, samples: &[SampleId], shape: [usize; 3]) -> Array4<f32> {
    let [c, h, w] = shape;
    let mut states = Array4::zeros((samples.len(), c, h, w));
    let mut noise = vec![0.0; c * h * w];
    for (row, sample) in states.axis_iter_mut(Axis(0)).zip(samples) {
        let purpose = Purpose::Initial;
        let key = NoiseKey { seed, purpose, sample: *sample, step: 0, draw: 0 };
        standard_normal(key, &mut noise);
        row.into_iter().zip(&noise).for_each(|(value, z)| *value = *z);
    }
    states
}

/// One uniform class a sample; empty where there is no class.
pub fn initial_labels(seed: u64, samples: &[SampleId], n_classes: u32) -> Vec<ClassLabel> {
    let label = |sample: &SampleId| {
        let purpose = Purpose::Label;
        uniform_below(NoiseKey { seed, purpose, sample: *sample, step: 0, draw: 0 }, n_classes)
    };
    let samples = if n_classes == 0 { &[] } else { samples };
    samples.iter().map(|sample| ClassLabel(label(sample))).collect()
}

/// Reference images noised to a place on the trajectory: `x = a x_0 + s n`, with the `n` that
/// [`initial_states`] gives to the sample. `x0` is `[b, c, h, w]` in the model's range.
pub fn noised_references(
    point: &StepPoint,
    x0: &ArrayRef4<f32>,
    (seed, samples): (u64, &[SampleId]),
) -> Array4<f32> {
    let (_, c, h, w) = x0.dim();
    let (a, s) = (point.a(), point.s());
    let mut states = initial_states(seed, samples, [c, h, w]);
    states.zip_mut_with(x0, |n, x0| *n = nearest_f32(a * f64::from(*x0) + s * f64::from(*n)));
    states
}

/// Real images as clean states `[b, c, h, w]`, by the encoder where there is one; and their `[3, H, W]`.
fn originals(
    model: &mut OpenModel,
    spec: &DenoiserSpec,
    samples: &[SampleId],
) -> Result<(Array4<f32>, [usize; 3]), StageError> {
    let source = model.images.as_mut().ok_or(StageError::Absent { what: "set of real images" })?;
    let images = samples.iter().map(|sample| source.read(place(*sample)));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let name: &Path = source.name().as_ref();
    let images = concatenate(Axis(0), &views)
        .map_err(|_| StatisticsError::input(name, "images of several sizes: give some of one"))?;
    let [low, high] = spec.range.map(f64::from);
    let x0 = images.mapv(|byte| nearest_f32(f64::from(byte) / (255.0 / (high - low)) + low));
    let (_, c, h, w) = x0.dim();
    if let Some(encoder) = &mut model.encoder {
        return Ok((encoder.encode(x0.view())?, [c, h, w]));
    }
    if spec.shape != [c, h, w] {
        let (name, shape) = (&spec.name, spec.shape);
        let message = format!(
            "images are [{c}, {h}, {w}], {name} takes {shape:?}: give images of its size, and to a latent model an encoder (task.encoder of model.yaml)"
        );
        return Err(StatisticsError::input(source.name().as_ref(), message).into());
    }
    Ok((x0, [c, h, w]))
}

/// Classes of real images, one a sample.
fn classes_of(
    model: &mut OpenModel,
    takes: (&str, u32),
    samples: &[SampleId],
) -> Result<Vec<ClassLabel>, StageError> {
    let source = model.images.as_mut().ok_or(StageError::Absent { what: "set of real images" })?;
    let mut all = Vec::with_capacity(samples.len());
    for sample in samples {
        all.extend(inputs::classes(source.as_mut(), place(*sample), takes)?);
    }
    Ok(all)
}

/// Place of a sample's image in its set.
fn place(sample: SampleId) -> Range<usize> {
    let index = usize::try_from(sample.0).unwrap_or(usize::MAX);
    index..index.saturating_add(1)
}

/// Where on the noise schedule the images are put; the walk starts at `start` whatever it is.
pub(super) fn noised_at(
    noise: NoiseLevel,
    start: StepPoint,
    schedule: &NoiseSchedule,
    n_steps: u32,
) -> Result<StepPoint, ScheduleError> {
    let steps = || {
        let what = "noise: half_t, authors_code";
        let error = ScheduleError::NoTrainSteps { what, remedy: "use noise: match" };
        schedule.n_train_steps().ok_or(error)
    };
    let t = match noise {
        NoiseLevel::Match => return Ok(start),
        NoiseLevel::HalfT => Timestep(steps()? / 2),
        NoiseLevel::AuthorsCode => Timestep((n_steps / 2).min(steps()? - 1)),
    };
    Ok(StepPoint::new(start.index, schedule.at(t)))
}
