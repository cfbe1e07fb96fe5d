//! Batches of a block on their way to a part.

use std::time::Duration;

use ndarray::{Array4, Axis};

use crate::model::ModelError;
use crate::plan::ArmPlan;
use crate::store::records::{ImagePart, MethodScores};
use crate::units::{BlockId, ClassLabel, SampleId};

use crate::stage::StageError;

/// What one batch of an arm gave.
pub(in crate::stage) struct ArmBatch {
    /// Images `[b, 3, H, W]`.
    pub(in crate::stage) images: Array4<u8>,
    /// Classes, where the network asks for some.
    pub(in crate::stage) labels: Option<Vec<ClassLabel>>,
    /// What each method said of them.
    pub(in crate::stage) methods: Vec<MethodScores>,
    /// Evaluations per image that moved the trajectory.
    pub(in crate::stage) nfe_trajectory: u64,
    /// Time inside the network.
    pub(in crate::stage) network: Duration,
    /// Time of turning states into images.
    pub(in crate::stage) decode: Duration,
}

/// Batches of a block, put together. Every batch has the same methods.
#[derive(Default)]
pub(super) struct Gathered {
    images: Vec<Array4<u8>>,
    labels: Option<Vec<ClassLabel>>,
    methods: Vec<MethodScores>,
    nfe_trajectory: u64,
    network: Duration,
    decode: Duration,
}

impl Gathered {
    /// Time of turning states into images, so far.
    pub(super) fn decode(&self) -> Duration {
        self.decode
    }

    /// Adds the rows of one more batch.
    pub(super) fn add(&mut self, batch: ArmBatch) {
        self.images.push(batch.images);
        if let Some(labels) = batch.labels {
            self.labels.get_or_insert_default().extend(labels);
        }
        self.nfe_trajectory = batch.nfe_trajectory;
        self.network += batch.network;
        self.decode += batch.decode;
        for (index, method) in batch.methods.into_iter().enumerate() {
            let Some(known) = self.methods.get_mut(index) else {
                self.methods.push(method);
                continue;
            };
            known.extend(method);
        }
    }

    /// The part of a block: methods in the order of the plan, then what the plan does not name.
    ///
    /// # Errors
    /// Never for batches of one shape.
    pub(super) fn into_part(
        mut self,
        arm: &ArmPlan,
        (block, samples): (BlockId, Vec<SampleId>),
    ) -> Result<ImagePart, StageError> {
        let views: Vec<_> = self.images.iter().map(|images| images.view()).collect();
        let images = ndarray::concatenate(Axis(0), &views).map_err(|error| {
            ModelError::Runtime { context: "joining batches".into(), message: error.to_string() }
        })?;
        let order: Vec<&str> = arm.methods().collect();
        let place = |method: &MethodScores| order.iter().position(|name| *name == method.method);
        self.methods.sort_by_key(|method| place(method).unwrap_or(usize::MAX));
        Ok(ImagePart {
            block,
            arm: arm.name.clone(),
            samples,
            labels: self.labels,
            images,
            scores: self.methods,
            nfe_trajectory: self.nfe_trajectory,
            seconds: 0.0,
            network_seconds: self.network.as_secs_f64(),
            timed: None,
        })
    }
}
