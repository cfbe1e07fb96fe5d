//! Operations and memory of the networks of a plan.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::counting::Evaluations;
use crate::config::{FeaturesConfig, ModelConfig};
use crate::experiment::{Experiment, Plan};
use crate::model::bundle::work::{BundleWork, bundle_work};
use crate::model::onnx::RuntimeOptions;
use crate::model::onnx::operations::extractor_operations;
use crate::plan::{ArmPlan, Start};
use crate::stage::StageError;
use crate::stage::open::inputs;

/// Operations of one image in each network (two a multiply-add), and memory. Null is not known, or not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// A prediction.
    pub forward: Option<u64>,
    /// What a vector-Jacobian product costs beside its prediction.
    pub reverse: Option<u64>,
    /// From a state to an image; 0 for pixels.
    pub decoder: Option<u64>,
    /// From an image to a state; 0 where no arm begins at images, and for pixels.
    pub encoder: Option<u64>,
    /// Features of an image; 0 where nobody asks.
    pub extractor: Option<u64>,
    /// Why something is not known.
    pub unknown: Vec<String>,
    /// Bytes of the files of the model.
    pub weight_bytes: u64,
    /// Bytes that one more image adds to a call.
    pub bytes_per_image: Option<NonZeroUsize>,
    /// The same of a vector-Jacobian product, where the plan asks for some.
    pub bytes_per_product: Option<NonZeroUsize>,
    /// `[3, H, W]` of an image.
    pub image: Option<[usize; 3]>,
}

impl Operations {
    /// Looks into the graphs of a plan.
    ///
    /// # Errors
    /// [`StageError`] for files that cannot be read, and where the runtime or the cache cannot be had.
    pub(super) fn of(
        experiment: &Experiment,
        plan: &Plan,
        options: &RuntimeOptions,
    ) -> Result<Self, StageError> {
        let config = experiment.model_of(inputs::scale_of(experiment, &plan.scale)?);
        let gradients = plan.watches_gradients() || !plan.gradient_draws().is_empty();
        let mut own = match config {
            ModelConfig::Bundle { path, .. } => {
                Self::of_bundle(bundle_work(&experiment.resolve(path), gradients, options)?)
            }
            ModelConfig::Analytic(gaussian) => {
                Self::without("a model with a closed form has no graph", Some(gaussian.shape))
            }
            ModelConfig::Pipeline(_) => {
                Self::without("graphs of a pipeline are not looked into", None)
            }
        };
        let begins = plan.arms.iter().any(|arm| matches!(arm.start, Start::Images { .. }));
        if !begins {
            own.encoder = Some(0);
        }
        let sizes = inputs::scale_of(experiment, &plan.scale)?;
        own.extractor = match experiment.features_of(sizes) {
            Some(FeaturesConfig::Clip { .. }) if plan.extractor.is_some() => {
                own.unknown.push("graphs of CLIP are not looked into".to_owned());
                None
            }
            Some(FeaturesConfig::Extractor { path, .. }) if plan.extractor.is_some() => {
                match extractor_operations(&experiment.resolve(path), options)? {
                    Ok(n) => Some(n),
                    Err(reason) => {
                        own.unknown.push(reason);
                        None
                    }
                }
            }
            _ => Some(0),
        };
        Ok(own)
    }

    fn without(reason: &str, image: Option<[usize; 3]>) -> Self {
        Self { unknown: vec![reason.to_owned()], image, ..Self::default() }
    }

    fn of_bundle(work: BundleWork) -> Self {
        let BundleWork { forward, decoder, encoder, weight_bytes, image, .. } = work;
        let mut unknown = Vec::new();
        let mut known =
            |work: Result<u64, String>| work.map_err(|reason| unknown.push(reason)).ok();
        let (reverse, forward) = match forward {
            Ok(work) => (Ok(work.reverse), Ok(work.forward)),
            Err(reason) => (Err(reason.clone()), Err(reason)),
        };
        Self {
            forward: known(forward),
            reverse: reverse.ok(),
            decoder: known(decoder),
            encoder: known(encoder),
            extractor: None,
            weight_bytes,
            bytes_per_image: work.bytes_per_image,
            bytes_per_product: work.bytes_per_product,
            image,
            unknown,
        }
    }

    /// Operations of the denoiser.
    pub(super) fn of_evaluations(&self, evaluations: Evaluations) -> Option<u64> {
        let back = match evaluations.reverse() {
            0 => 0,
            n => n * self.reverse?,
        };
        Some(evaluations.all() * self.forward? + back)
    }

    /// Operations of one image of an arm, from its start to its features.
    pub(super) fn of_image(&self, arm: &ArmPlan, evaluations: Evaluations) -> Option<u64> {
        let begins = matches!(arm.start, Start::Images { .. });
        let start = if begins { self.encoder? } else { 0 };
        Some(start + self.of_evaluations(evaluations)? + self.decoder? + self.extractor?)
    }
}
