//! What is kept of every single step: scores, and maps where somebody wants to look at them.

use ndarray::{ArrayView4, Axis};

use super::keep::{Keep, SummedMaps};
use crate::store::records::{MethodScores, Span};
use crate::uncertainty::{Estimator, GroupEstimate, StepContext};

/// Whether the maps of single steps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maps {
    /// `[c, h, w]` of each.
    Kept,
    /// Scores alone.
    Dropped,
}

/// Sums over the window as [`SummedMaps`], and the score of every step of it.
#[derive(Debug)]
pub(super) struct StepMaps {
    names: Vec<String>,
    summed: SummedMaps,
    maps: Maps,
    steps: Vec<MethodScores>,
}

impl StepMaps {
    /// Empty books for trajectories from `x [b, c, h, w]`.
    pub(super) fn new(
        estimators: &[Box<dyn Estimator>],
        x: ArrayView4<'_, f32>,
        maps: Maps,
    ) -> Self {
        let names = estimators.iter().map(|estimator| estimator.name().to_owned()).collect();
        Self { names, summed: SummedMaps::new(estimators, x), maps, steps: Vec::new() }
    }
}

impl Keep for StepMaps {
    /// Sums run in the order channels, rows, columns.
    fn see(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]) {
        self.summed.see(context, estimates);
        for (name, estimate) in self.names.iter().zip(estimates) {
            let Some(GroupEstimate { map, nfe, network_time }) = estimate else { continue };
            let rows = || map.axis_iter(Axis(0));
            self.steps.push(MethodScores {
                method: name.clone(),
                span: Span::Step(context.point.index.0),
                score: rows().map(|u| u.iter().map(|u| f64::from(*u)).sum()).collect(),
                map: (self.maps == Maps::Kept).then(|| rows().map(|u| u.to_owned()).collect()),
                nfe: *nfe,
                network_seconds: network_time.as_secs_f64(),
            });
        }
    }

    fn close(&mut self) -> Vec<MethodScores> {
        let mut methods = self.summed.close();
        methods.append(&mut self.steps);
        methods
    }
}
