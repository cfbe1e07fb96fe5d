//! Batches of a block on their way to a part.

use std::collections::BTreeMap;
use std::time::Duration;

use ndarray::{Array4, Axis};

use crate::model::ModelError;
use crate::plan::{Block, ControlRule, Plan};
use crate::protocol::controls::total_variation;
use crate::store::records::{Array3Map, ImagePart, MethodScores};
use crate::units::{ClassLabel, Nfe};

use super::StageError;
use super::trajectory::BatchOutcome;

/// What one batch of an arm gave.
pub(super) struct ArmBatch {
    /// Images `[b, 3, H, W]`.
    pub(super) images: Array4<u8>,
    /// What each method said of them.
    pub(super) methods: Vec<MethodScores>,
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Time inside the network.
    pub(super) network_seconds: f64,
}

/// Batches of a block, put together.
#[derive(Default)]
pub(super) struct Gathered {
    images: Vec<Array4<u8>>,
    methods: Vec<MethodScores>,
    nfe_trajectory: u64,
    network: Duration,
}

impl Gathered {
    /// Adds the rows of one more batch.
    pub(super) fn add(&mut self, outcome: BatchOutcome, images: Array4<u8>) {
        self.images.push(images);
        self.nfe_trajectory = outcome.nfe.trajectory;
        self.network += outcome.network_time;
        for (index, method) in outcome.methods.into_iter().enumerate() {
            let maps = method.map.axis_iter(Axis(0)).map(|map| {
                let map: Array3Map = map.to_owned().insert_axis(Axis(0));
                map
            });
            let maps: Vec<Array3Map> = maps.collect();
            let seconds = method.network_time.as_secs_f64();
            match self.methods.get_mut(index) {
                Some(known) => {
                    known.score.extend(method.score);
                    known.map.get_or_insert_default().extend(maps);
                    known.network_seconds += seconds;
                }
                None => self.methods.push(MethodScores {
                    method: method.name,
                    score: method.score,
                    map: Some(maps),
                    nfe: method.nfe,
                    network_seconds: seconds,
                }),
            }
        }
    }

    /// The part of a block, and the scores that images have without a network.
    ///
    /// # Errors
    /// Never for batches of one shape.
    pub(super) fn into_part(
        self,
        plan: &Plan,
        block: &Block,
        labels: Option<Vec<ClassLabel>>,
    ) -> Result<ImagePart, StageError> {
        let views: Vec<_> = self.images.iter().map(|images| images.view()).collect();
        let images = ndarray::concatenate(Axis(0), &views).map_err(|error| {
            ModelError::Runtime { context: "joining batches".into(), message: error.to_string() }
        })?;
        let mut by_name: BTreeMap<String, MethodScores> =
            self.methods.into_iter().map(|method| (method.method.clone(), method)).collect();
        for control in plan.controls.iter().filter(|c| c.rule == ControlRule::TotalVariation {}) {
            by_name.insert(control.name.clone(), total_variation_of(&control.name, &images));
        }
        Ok(ImagePart {
            block: block.id,
            samples: block.sample_ids(),
            labels,
            images,
            // Plan order; what the model cannot serve is not among them.
            scores: plan.methods().filter_map(|name| by_name.remove(name)).collect(),
            nfe_trajectory: self.nfe_trajectory,
            seconds: 0.0,
            network_seconds: self.network.as_secs_f64(),
        })
    }
}

fn total_variation_of(name: &str, images: &Array4<u8>) -> MethodScores {
    MethodScores {
        method: name.to_owned(),
        score: images.axis_iter(Axis(0)).map(total_variation).collect(),
        map: None,
        nfe: Nfe::default(),
        network_seconds: 0.0,
    }
}
