//! Bytes of an image in the work folder.

use ndarray::Array3;

use super::dry_run::SIDE;
use crate::experiment::Plan;
use crate::stage::generate::ArmBatch;

/// Sizes that a dry run, whose states are small, does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// `[c, h, w]` of the states.
    pub(super) state: [usize; 3],
    /// `[3, H, W]` of the images, where it is known.
    pub(super) image: Option<[usize; 3]>,
    /// Bytes of the features of an image.
    pub(super) features: u64,
}

/// Bytes of the features of an image of a plan: f32; 0 where it has none.
pub(super) fn features(plan: &Plan) -> u64 {
    plan.extractor.as_ref().map_or(0, |extractor| 4 * extractor.dim as u64)
}

impl Sizes {
    /// Pixels of a state for each pixel of the dry run.
    fn scaled(&self, map: &Array3<f32>) -> u64 {
        let planes = map.len() / (SIDE * SIDE);
        (planes * self.state[1] * self.state[2]) as u64
    }

    /// Image, scores, maps and features.
    pub(super) fn of_image(&self, batch: &ArmBatch) -> Option<u64> {
        let pixels: usize = self.image?.iter().product();
        let maps = batch.methods.iter().flat_map(|method| method.map.iter().flatten());
        let maps: u64 = maps.map(|map| 4 * self.scaled(map)).sum();
        Some(pixels as u64 + 8 * batch.methods.len() as u64 + maps + self.features)
    }

    /// Maps of one image of a threshold set: one a step.
    pub(super) fn of_maps(&self, n_steps: u64) -> u64 {
        4 * n_steps * self.state.iter().product::<usize>() as u64
    }
}
