//! PNDM in its linear multistep form, PLMS (Liu et al. 2022, arXiv:2202.09778).

use ndarray::{Array4, ArrayView4, Zip};
use serde::{Deserialize, Serialize};

use super::edm_heun::mean_of;
use super::end::{final_fault, final_level};
use super::{
    Ask, ClipX0, FinalAlphaBar, Sampler, SamplerError, SamplerSettings, StepPoint, Walk,
    step_points,
};
use crate::fault::Fault;
use crate::model::ModelError;
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, NoiseLevel, TimeAxis, transfer};
use crate::units::StepIndex;

/// PNDM as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PndmSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: leading with offset 1, as latent models are sampled.
    #[serde(default = "leading")]
    pub grid: GridConfig,
    /// `alpha_bar` after the last step: that of the first training step, as latent models are sampled.
    #[serde(default = "first")]
    pub final_alpha_bar: FinalAlphaBar,
}

fn first() -> FinalAlphaBar {
    FinalAlphaBar::FirstTrainStep
}

fn leading() -> GridConfig {
    GridConfig::Leading { offset: 1 }
}

impl SamplerSettings for PndmSettings {
    fn n_steps(&self) -> u32 {
        self.n_steps
    }

    fn set_steps(&mut self, n_steps: u32) {
        self.n_steps = n_steps;
    }

    fn clip(&self, _clips: ClipX0) -> ClipX0 {
        ClipX0::Never
    }

    fn asks(&self) -> bool {
        true
    }

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        let mut faults = self.grid.faults(axis, self.n_steps);
        faults.extend(final_fault(self.final_alpha_bar, axis));
        faults
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(self.grid.places(walk.schedule, self.n_steps)?);
        let end = final_level(walk.schedule, self.final_alpha_bar)?;
        Ok(Box::new(Pndm { points, end, history: Vec::new() }))
    }
}

/// Pseudo linear multistep method: DDIM's deterministic move along a combination of the last four predictions (Eq. 12, with the
/// start of `skip_prk_steps` in other programs).
///
/// ```text
/// first step   (e_0 + e') / 2          e' asked where the plain step ends
/// second       (3 e_1 - e_0) / 2
/// third        (23 e_2 - 16 e_1 + 5 e_0) / 12
/// then         (55 e_i - 59 e_{i-1} + 37 e_{i-2} - 9 e_{i-3}) / 24
/// ```
///
/// One evaluation a step, two at the first.
#[derive(Clone, Debug)]
pub struct Pndm {
    points: Vec<StepPoint>,
    end: NoiseLevel,
    /// The last predictions, latest first.
    history: Vec<(StepIndex, Array4<f32>)>,
}

impl Pndm {
    /// Predictions of the steps right before `index`, latest first.
    fn before(&self, index: StepIndex, shape: &[usize]) -> Vec<&Array4<f32>> {
        let in_row = (1..)
            .zip(&self.history)
            .take_while(|(back, (at, e))| at.0 + back == index.0 && e.shape() == shape);
        in_row.map(|(_, (_, e))| e).collect()
    }

    /// The combination at step `index`.
    fn combined(&self, index: StepIndex, epsilon: ArrayView4<'_, f32>) -> Array4<f32> {
        let before = self.before(index, epsilon.shape());
        let weights: &[f64] = match before.len() {
            0 => &[1.0],
            1 => &[3.0 / 2.0, -1.0 / 2.0],
            2 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let mut sum = epsilon.mapv(|e| weights[0] * f64::from(e));
        for (weight, earlier) in weights[1..].iter().zip(before) {
            Zip::from(&mut sum).and(earlier).for_each(|sum, e| *sum += weight * f64::from(*e));
        }
        sum.mapv(nearest_f32)
    }
}

impl Sampler for Pndm {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    /// A step whose predecessor was not taken by this value is the first one of a trajectory, wherever it starts.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let now = self.point(index).level;
        let next = self.points.get(index.0 as usize + 1).map(StepPoint::place);
        let to = next.map_or(self.end, |next| next.level);
        let first = self.before(index, epsilon.shape()).is_empty();
        let direction = match next {
            Some(next) if first => {
                let ahead = transfer(&x, &epsilon, &now, &to);
                mean_of(&epsilon, &ask(ahead.view(), next)?)
            }
            _ => self.combined(index, epsilon),
        };
        if first {
            self.history.clear();
        }
        self.history.insert(0, (index, epsilon.to_owned()));
        self.history.truncate(3);
        Ok(transfer(&x, &direction, &now, &to))
    }
}
