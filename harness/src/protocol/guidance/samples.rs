//! What was measured of one arm.

use ndarray::ArrayView2;

use super::SweepCell;
use crate::protocol::RunFacts;
use crate::store::records::MetricRow;
use crate::units::Nfe;

/// What was measured of one arm.
#[derive(Clone, Debug)]
pub(super) struct ArmSamples<'a> {
    /// Kind of its rule.
    pub(super) kind: &'a str,
    /// Facts of the run and the arm.
    pub(super) facts: RunFacts,
    /// Features of its images, in the order of the starts.
    pub(super) features: ArrayView2<'a, f32>,
    /// Whether it is a baseline.
    pub(super) is_unguided: bool,
    /// Place in the sweep; `None` for listed arms.
    pub(super) cell: Option<SweepCell>,
    /// The `M` of its rule.
    pub(super) n_draws: Option<u32>,
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Evaluations per image that the rule asked for.
    pub(super) nfe: Nfe,
    /// Time inside the network over all images.
    pub(super) seconds: f64,
    /// How far the rule moved the predictions of each image.
    pub(super) displacement: &'a [f64],
    /// Published FID, where there is one for the arm.
    pub(super) paper: Option<f64>,
}

impl ArmSamples<'_> {
    pub(super) fn row(&self, metric: &str, value: f64) -> MetricRow {
        self.facts.row(self.kind, metric, Some(value)).over(self.features.nrows())
    }

    /// Place of the unguided arm of its sampler that has all its starts; `None` for an unguided one.
    pub(super) fn base_among(&self, arms: &[Self]) -> Option<usize> {
        let serves = |base: &Self| {
            base.is_unguided
                && base.facts.arm[1] == self.facts.arm[1]
                && base.features.nrows() >= self.features.nrows()
        };
        arms.iter().position(serves).filter(|_| !self.is_unguided)
    }

    /// Whether this arm is held against another one: two rules under one sampler, both listed, or cells of opposite lambda.
    pub(super) fn answers(&self, other: &Self) -> bool {
        let two_rules = !self.is_unguided && !other.is_unguided;
        let one_kind = match (self.cell, other.cell) {
            (None, None) => true,
            (Some(own), Some(its)) => {
                own.percentile.total_cmp(&its.percentile).is_eq()
                    && own.lambda.total_cmp(&-its.lambda).is_eq()
            }
            _ => false,
        };
        two_rules && one_kind && self.facts.arm[1] == other.facts.arm[1]
    }
}
