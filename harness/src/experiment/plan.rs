//! Experiment and scale to plan: fill defaults, hash.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Experiment;
use crate::canonical::fingerprint;
use crate::config::FeaturesConfig;
use crate::extractor_id::ExtractorId;
use crate::fault::Fault;
use crate::plan::version::{EVALUATE_VERSION, FEATURES_VERSION, FILTERING_VERSION};
use crate::plan::{
    ArmPlan, ImagesIdentity, MapsPlan, ModelIdentity, NoiseLevel, PlanError, PosteriorIdentity,
    RealIdentity, ReferenceIdentity, Start, StartsIdentity, Work,
};
use crate::protocol::{ProtocolConfig, Scope};
use crate::schedule::TimeAxis;

/// Every resolved value of a run. Two runs with equal plans give equal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this file.
    pub format: u32,
    /// What fixes images, scores, maps and features.
    pub work: Work,
    /// What is computed of them.
    pub protocol: ProtocolConfig,
}

impl Deref for Plan {
    type Target = Work;

    fn deref(&self) -> &Work {
        &self.work
    }
}

/// All that a plan takes from files.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanInputs {
    /// The model.
    pub model: ModelIdentity,
    /// What the model's description says of it.
    pub facts: ModelFacts,
    /// The feature network, where the protocol compares sets of images.
    pub extractor: Option<ExtractorId>,
    /// The reference statistics, where the protocol holds images against some.
    pub reference: Option<ReferenceIdentity>,
    /// Real images, where the protocol starts from some.
    pub images: Option<ImagesIdentity>,
    /// Real images of the reference, where the scale draws some.
    pub real: Option<RealIdentity>,
    /// Posterior of the model's last layer, where the protocol looks at uncertain weights of a bundle.
    pub posterior: Option<PosteriorIdentity>,
    /// Starts, where the experiment takes them from a file.
    pub starts: Option<StartsIdentity>,
}

/// What decides, before any network is opened, whether an arm can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// What the times of its schedule are.
    pub axis: TimeAxis,
    /// `[c, h, w]` of its states.
    pub shape: [usize; 3],
    /// Number of classes.
    pub n_classes: Option<u32>,
    /// How real images become its states.
    pub encoding: Encoding,
}

/// How real images become states of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// They are states, but for their range.
    Pixels,
    /// By the encoder of a latent model.
    Encoder,
    /// Not at all: a latent model without one.
    Missing,
}

impl Plan {
    /// Resolves an experiment at a scale, and refuses what could not run.
    ///
    /// # Errors
    /// [`PlanError`] for an unknown scale, a reference of other features, and arms that the model cannot walk.
    pub fn resolve(
        experiment: &Experiment,
        scale: &str,
        inputs: PlanInputs,
    ) -> Result<Self, PlanError> {
        let sizes = experiment.scales.get(scale).ok_or_else(|| PlanError::UnknownScale {
            experiment: experiment.name.clone(),
            scale: scale.to_owned(),
            known: experiment.scales.keys().cloned().collect(),
        })?;
        check_reference(&inputs)?;
        let mut protocol = experiment.protocol.clone();
        protocol.fill(sizes);
        let arms = protocol.arms(Scope { common: experiment, scale: sizes });
        let (name, model) = (&experiment.name, &inputs.model.name);
        let faults: Vec<Fault> = arms.iter().flat_map(|arm| arm_faults(arm, &inputs)).collect();
        if !faults.is_empty() {
            let (experiment, model) = (name.clone(), model.clone());
            return Err(PlanError::Arms { experiment, model, faults });
        }
        let faults: Vec<Fault> = arms.iter().flat_map(|arm| image_faults(arm, &inputs)).collect();
        if !faults.is_empty() {
            let (experiment, model) = (name.clone(), model.clone());
            return Err(PlanError::Images { experiment, model, faults });
        }
        let work = Work {
            experiment: experiment.name.clone(),
            artefact: experiment.artefact.clone(),
            scale: scale.to_owned(),
            seed: experiment.seed,
            starts: inputs.starts,
            model: inputs.model,
            arms,
            block_size: sizes.block_size,
            extractor: inputs.extractor,
            generated: experiment.features.as_ref().and_then(FeaturesConfig::generated),
            reference: inputs.reference,
            images: inputs.images,
            real: inputs.real,
            posterior: inputs.posterior,
        };
        Ok(Self { format: 2, work, protocol })
    }

    /// SHA-256 of the canonical JSON of everything above.
    pub fn id(&self) -> String {
        let (generate, versions) = (self.generate_id(), (EVALUATE_VERSION, FEATURES_VERSION));
        match self.protocol {
            ProtocolConfig::Filtering(_) => {
                fingerprint(&(versions.0, versions.1, FILTERING_VERSION, generate, self))
            }
            _ => fingerprint(&(versions.0, versions.1, generate, self)),
        }
    }
}

/// Refuses statistics of other features than those that are taken, and of images that the model does not make.
fn check_reference(inputs: &PlanInputs) -> Result<(), PlanError> {
    let Some(reference) = &inputs.reference else { return Ok(()) };
    if let Some(extractor) = &inputs.extractor {
        reference.check(extractor)?;
    }
    check_size(reference, &inputs.model.name, inputs.facts)
}

/// Refuses statistics of images of a size that the model does not make. The images of a latent model are a whole number of times
/// as large as its states, by its decoder, which nobody has opened yet.
fn check_size(
    reference: &ReferenceIdentity,
    model: &str,
    facts: ModelFacts,
) -> Result<(), PlanError> {
    let Some([height, width]) = reference.image_size else { return Ok(()) };
    let [_, h, w] = facts.shape.map(|side| side as u64);
    let (fits, expected) = match facts.encoding {
        Encoding::Pixels => ([height, width] == [h, w], format!("{h} x {w}")),
        Encoding::Encoder | Encoding::Missing => (
            height % h == 0 && width % w == 0 && height / h == width / w,
            format!("some whole number of times {h} x {w}"),
        ),
    };
    if fits {
        return Ok(());
    }
    let (dataset, got) = (reference.dataset.clone(), [height, width]);
    Err(PlanError::ReferenceSize { dataset, got, model: model.to_owned(), expected })
}

/// What keeps an arm from running on the model.
fn arm_faults(arm: &ArmPlan, inputs: &PlanInputs) -> Vec<Fault> {
    let key = format!("arm {}", arm.name);
    let facts = inputs.facts;
    let few = inputs.starts.as_ref().filter(|starts| starts.n < arm.n);
    let few = few.map(|starts| {
        let message = format!("the file has {} starts, {} are asked for", starts.n, arm.n);
        Fault::new(format!("{key}: starts"), message)
    });
    let sampler = format!("{key}: sampler");
    let mut faults: Vec<Fault> =
        arm.sampler.faults(facts.axis).into_iter().map(|f| f.below(&sampler)).chain(few).collect();
    let misfit = arm.guide.as_ref().and_then(|rule| rule.misfit(facts.axis));
    faults.extend(misfit.map(|message| Fault::new(format!("{key}: rule"), message)));
    if facts.axis.n_train_steps().is_none() {
        faults.extend(counted_steps(arm).map(|(field, what)| {
            let has = facts.axis.words();
            let message = format!("{what} counts training steps, and the model has {has}");
            Fault::new(format!("{key}: {field}"), message)
        }));
    }
    faults
}

/// What of an arm counts training steps.
fn counted_steps(arm: &ArmPlan) -> impl Iterator<Item = (&'static str, String)> {
    let noise = match arm.start {
        Start::Images { noise } if noise != NoiseLevel::Match => Some(noise.as_str().to_owned()),
        Start::Images { .. } | Start::Noise {} => None,
    };
    let late = match arm.maps {
        MapsPlan::Channels { late } => {
            Some(format!("the late window {}..={}", late.last, late.first))
        }
        MapsPlan::Summed {} | MapsPlan::Steps {} | MapsPlan::StepMaps {} => None,
    };
    noise.map(|what| ("start.noise", what)).into_iter().chain(late.map(|what| ("late", what)))
}

/// What keeps the images from being an arm's truth.
fn image_faults(arm: &ArmPlan, inputs: &PlanInputs) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (Start::Images { .. }, Some(images)) = (&arm.start, &inputs.images) else { return faults };
    let key = format!("arm {}", arm.name);
    let shape = inputs.facts.shape;
    let message = match inputs.facts.encoding {
        Encoding::Pixels if images.dim != shape.iter().product::<usize>() => Some(format!(
            "images of {} have {} elements, the model's states {shape:?}: give images of its size",
            images.dataset, images.dim
        )),
        Encoding::Missing => Some(
            "its states are latents, and it has no encoder: name one as task.encoder of model.yaml"
                .to_owned(),
        ),
        Encoding::Pixels | Encoding::Encoder => None,
    };
    faults.extend(message.map(|message| Fault::new(format!("{key}: start"), message)));
    if images.n < arm.n {
        let message =
            format!("{} has {} images, {} are asked for", images.dataset, images.n, arm.n);
        faults.push(Fault::new(format!("{key}: n"), message));
    }
    faults
}
