//! The maps that masks are taken of, and their recording along unguided trajectories.

use ndarray::{Array4, ArrayView4};

use super::Guidance;
use crate::model::{ModelError, Network};
use crate::uncertainty::{
    Perturbation, StepContext, Window, draws_of, mean_square_about, perturbed_predictions,
    variance_over_draws,
};

/// The map `U [b, c, h, w]` that a rule holds against its thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskStatistic {
    /// Variance over the draws (ddof 1): the gradient rule.
    #[serde(rename = "sample_var")]
    SampleVariance,
    /// Variance (ddof 1) over the draws and `epsilon_t`: the posterior rule.
    VarianceWithPrediction,
    /// Mean square about `epsilon_t`: the second-order rule.
    Centered,
}

impl MaskStatistic {
    /// Name, as in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SampleVariance => "sample_var",
            Self::VarianceWithPrediction => "variance_with_prediction",
            Self::Centered => "centered",
        }
    }

    /// The map of predictions `e_m`, one `[b, c, h, w]` a draw, beside `epsilon_t`.
    pub fn map(self, draws: &[ArrayView4<'_, f32>], epsilon: ArrayView4<'_, f32>) -> Array4<f32> {
        match self {
            Self::SampleVariance => variance_over_draws(draws),
            Self::VarianceWithPrediction => {
                let with: Vec<ArrayView4<'_, f32>> =
                    draws.iter().copied().chain([epsilon]).collect();
                variance_over_draws(&with)
            }
            Self::Centered => mean_square_about(draws, &epsilon),
        }
    }
}

/// Keeps the map of every step and changes nothing: what a set of thresholds is made of.
///
/// The maps are those that a rule of the same statistic sees on the unguided trajectory.
#[derive(Clone, Debug)]
pub struct MapRecorder {
    statistic: MaskStatistic,
    perturbation: Perturbation,
    maps: Vec<Array4<f32>>,
}

impl MapRecorder {
    /// An empty record.
    pub fn new(statistic: MaskStatistic, perturbation: Perturbation) -> Self {
        Self { statistic, perturbation, maps: Vec::new() }
    }

    /// One map `[b, c, h, w]` a step, in the order of the steps.
    pub fn into_maps(self) -> Vec<Array4<f32>> {
        self.maps
    }
}

impl Guidance for MapRecorder {
    fn name(&self) -> &'static str {
        "thresholds"
    }

    fn window(&self) -> Option<Window> {
        None
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let stacked = perturbed_predictions(context, network, self.perturbation)?;
        let draws = draws_of(&stacked, context.x.shape()[0]);
        self.maps.push(self.statistic.map(&draws, context.epsilon));
        Ok(context.epsilon.to_owned())
    }
}
