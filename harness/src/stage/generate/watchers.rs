//! Those who look on while a batch walks, and what is kept of what they say.

use ndarray::{Array4, ArrayView4};

use super::keep::{ChannelMaps, Ends, Keep, SummedMaps};
use super::keep_steps::{Maps, StepMaps};
use super::negatives::Negatives;
use crate::control::{Control, ImageScore};
use crate::plan::{ArmPlan, MapsPlan};
use crate::stage::StageError;
use crate::stage::open::OpenModel;
use crate::stage::settings::not_applicable;
use crate::store::records::MethodScores;
use crate::uncertainty::{Estimator, EstimatorPlan, GroupEstimate, StepContext};

/// Estimators and controls of an arm that the model can serve.
pub(super) struct Watchers {
    pub(super) estimators: Vec<Box<dyn Estimator>>,
    pub(super) record: Record,
}

impl Watchers {
    /// For trajectories from `x [b, c, h, w]`.
    pub(super) fn of(
        arm: &ArmPlan,
        model: &OpenModel,
        x: ArrayView4<'_, f32>,
    ) -> Result<Self, StageError> {
        let absent = not_applicable(std::slice::from_ref(arm), model.denoiser.spec());
        let served = arm.watch.iter().filter(|plan| !absent.contains_key(&plan.name));
        let mut estimators = served.map(EstimatorPlan::build).collect::<Result<Vec<_>, _>>()?;
        let (mut ends, mut images) = (Ends::default(), Vec::new());
        for control in &arm.controls {
            match control.rule.build() {
                Control::Trajectory(watcher) => estimators.push(watcher),
                Control::Ends(map) => ends.watch(&control.name, map),
                Control::Image(score) => images.push((control.name.clone(), score)),
            }
        }
        let negatives = Negatives::new(arm, &estimators, x.dim().0);
        let keep = keep(arm.maps, &estimators, x);
        Ok(Self { estimators, record: Record { ends, keep, negatives, images } })
    }
}

/// What an arm keeps of its maps.
fn keep(
    maps: MapsPlan,
    estimators: &[Box<dyn Estimator>],
    x: ArrayView4<'_, f32>,
) -> Box<dyn Keep> {
    let names = || estimators.iter().map(|e| e.name().to_owned()).collect();
    match maps {
        MapsPlan::Summed {} => Box::new(SummedMaps::new(estimators, x)),
        MapsPlan::Channels { late } => Box::new(ChannelMaps::new(names(), late)),
        MapsPlan::Steps {} => Box::new(StepMaps::new(estimators, x, Maps::Dropped)),
        MapsPlan::StepMaps {} => Box::new(StepMaps::new(estimators, x, Maps::Kept)),
    }
}

/// What is kept of a batch, by what it is taken from: the ends of the walk, the maps of its steps, the images.
pub(super) struct Record {
    ends: Ends,
    keep: Box<dyn Keep>,
    negatives: Negatives,
    images: Vec<(String, ImageScore)>,
}

impl Record {
    /// Adds one step.
    pub(super) fn see(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]) {
        self.ends.see(context);
        self.keep.see(context, estimates);
        self.negatives.see(estimates);
    }

    /// Scores and maps of the batch, which ended at `x0` and was decoded to `images`.
    pub(super) fn close(
        mut self,
        x0: ArrayView4<'_, f32>,
        images: &Array4<u8>,
    ) -> Vec<MethodScores> {
        let mut methods = self.keep.close();
        methods.extend(self.negatives.close());
        methods.extend(self.ends.close(x0));
        let of_images = |(name, score)| MethodScores::of_images(name, score, images);
        methods.extend(self.images.into_iter().map(of_images));
        methods
    }
}
