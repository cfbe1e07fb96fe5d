//! What a plan costs, before anything is run: evaluations, operations, bytes.
//!
//! # Why a dry run?
//! Estimators share draws, samplers ask inside a step, guidance doubles a batch, rules skip steps. A formula for all of that would
//! be a second harness that is wrong in other places. So one image of every arm goes through the code that makes images, over
//! a network that answers zeros and counts what it is asked ([`Counting`]).

mod bytes;
mod counting;
mod dry_run;
mod operations;
#[cfg(test)]
mod tests;

pub use counting::{Answers, Counting, Evaluations, Tally};
pub use operations::Operations;

use serde::Serialize;

use super::open::{OpenModel, models};
use super::{Run, Silent, StageError, Stop};
use crate::experiment::{Experiment, Plan};
use crate::model::bundle::SelfTest;
use crate::model::onnx::RuntimeOptions;
use crate::plan::{ArmPlan, ThresholdSet};

/// What one image of an arm, or of a set of thresholds, costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmCost {
    /// Arm, threshold set, or the real images.
    pub name: String,
    /// Images of it.
    pub n_images: u64,
    /// Evaluations of the network for one image.
    pub evaluations: Evaluations,
    /// Operations for one image: network, encoder, decoder, feature network; null where they are not known.
    pub operations: Option<u64>,
    /// Bytes of one image in the work folder before compression, its maps and features with it; null where the size of a
    /// decoded image is not known.
    pub bytes: Option<u64>,
}

/// What a plan costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Arm by arm, then the sets of thresholds, then real images.
    pub arms: Vec<ArmCost>,
    /// The networks.
    pub networks: Operations,
}

impl Cost {
    /// Evaluations of all images.
    pub fn evaluations(&self) -> u64 {
        self.arms.iter().map(|arm| arm.n_images * arm.evaluations.all()).sum()
    }

    /// Vector-Jacobian products of all images.
    pub fn products(&self) -> u64 {
        self.arms.iter().map(|arm| arm.n_images * arm.evaluations.reverse()).sum()
    }

    /// Operations of all images; `None` where those of one are not known.
    pub fn operations(&self) -> Option<u64> {
        self.arms.iter().map(|arm| Some(arm.n_images * arm.operations?)).sum()
    }

    /// Bytes of all images in the work folder, before compression.
    pub fn bytes(&self) -> Option<u64> {
        self.arms.iter().map(|arm| Some(arm.n_images * arm.bytes?)).sum()
    }

    /// Seconds on a device that makes so many evaluations of one image a second. Everything else is taken at the same operations a
    /// second; where these are not known, a product counts as one evaluation more and the other networks as nothing.
    pub fn seconds_at_evaluations(&self, a_second: f64) -> f64 {
        match (self.operations(), self.networks.forward) {
            (Some(all), Some(forward)) if forward > 0 => all as f64 / (a_second * forward as f64),
            _ => (self.evaluations() + self.products()) as f64 / a_second,
        }
    }
}

/// Counts what a plan costs. The model is opened, and asked nothing.
///
/// # Errors
/// [`StageError`] for a model that cannot be opened, and where an arm cannot be walked.
pub fn cost(
    experiment: &Experiment,
    plan: &Plan,
    options: &RuntimeOptions,
) -> Result<Cost, StageError> {
    let model = models::open_model_as(experiment, plan, options, SelfTest::Skip)?;
    let state = model.denoiser.spec().shape;
    let networks = Operations::of(experiment, plan, options)?;
    let (mut model, tally) = dry_run::exchange(model);
    let (stop, layout) = (Stop::default(), super::run::layout(plan, std::path::Path::new("")));
    let run = Run::in_memory(plan, layout, (&stop, &Silent));
    let sizes = bytes::Sizes { state, image: networks.image, features: bytes::features(plan) };
    let known = Known { run: &run, networks: &networks, tally: &tally, sizes };
    let mut arms = known.arms(&mut model)?;
    arms.extend(known.sets(&mut model)?);
    arms.extend(plan.real.as_ref().map(|real| ArmCost {
        name: "real images".to_owned(),
        n_images: real.n,
        evaluations: Evaluations::default(),
        operations: networks.extractor,
        bytes: Some(sizes.features),
    }));
    Ok(Cost { arms, networks })
}

/// What the dry runs of a plan need beside its model.
struct Known<'a> {
    run: &'a Run<'a>,
    networks: &'a Operations,
    tally: &'a Tally,
    sizes: bytes::Sizes,
}

impl Known<'_> {
    fn arms(&self, model: &mut OpenModel) -> Result<Vec<ArmCost>, StageError> {
        let cost = |arm: &ArmPlan| {
            let batch = dry_run::arm(self.run, model, arm)?;
            let evaluations = self.tally.take();
            Ok(ArmCost {
                name: arm.name.clone(),
                n_images: arm.n,
                evaluations,
                operations: self.networks.of_image(arm, evaluations),
                bytes: self.sizes.of_image(&batch),
            })
        };
        self.run.plan.arms.iter().map(cost).collect()
    }

    fn sets(&self, model: &mut OpenModel) -> Result<Vec<ArmCost>, StageError> {
        let cost = |(index, set): (usize, ThresholdSet)| {
            dry_run::set(self.run, model, &set)?;
            let evaluations = self.tally.take();
            Ok(ArmCost {
                name: format!("thresholds {}", index + 1),
                n_images: set.n_images,
                evaluations,
                operations: self.networks.of_evaluations(evaluations),
                bytes: Some(self.sizes.of_maps(u64::from(set.sampler.n_steps()))),
            })
        };
        self.run.plan.threshold_sets().into_iter().enumerate().map(cost).collect()
    }
}
