//! Several estimators at one place, sharing the network calls that they have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use ndarray::Array4;

use super::perturb::draws_of;
use super::{CleanEstimate, Estimator, Perturbation, StepContext, perturbed_predictions};
use crate::model::{ModelError, Network};
use crate::units::Nfe;

/// What one estimator said at one place, and what it would have cost alone.
#[derive(Clone, Debug)]
pub struct GroupEstimate {
    /// The map `U [b, c, h, w]`.
    pub map: Array4<f32>,
    /// Evaluations per image that the estimator used, shared or not.
    pub nfe: Nfe,
    /// Its share of the time inside the network.
    pub network_time: Duration,
}

/// Predictions that several estimators read.
struct Shared {
    stacked: Array4<f32>,
    n_draws: u32,
    evaluations_a_row: u64,
    time: Duration,
}

/// Runs every estimator whose window holds the step; `None` for the others.
///
/// Estimators over the same clean estimate read the same draws: one with M = 5 reads the first five
/// of the twenty that another asked for. Values are those of each estimator run alone, bit for bit.
///
/// # Errors
/// The first [`ModelError`] of the network or of an estimator.
pub fn estimate_group(
    estimators: &mut [Box<dyn Estimator>],
    context: &StepContext<'_>,
    network: &mut Network<'_>,
) -> Result<Vec<Option<GroupEstimate>>, ModelError> {
    let shared = shared_predictions(estimators, context, network)?;
    estimate(estimators, context, network, |estimator| from_shared(estimator, context, &shared))
}

/// Every estimator whose window holds the step: by `known` where that has it, else alone.
pub(super) fn estimate(
    estimators: &mut [Box<dyn Estimator>],
    context: &StepContext<'_>,
    network: &mut Network<'_>,
    known: impl Fn(&dyn Estimator) -> Option<GroupEstimate>,
) -> Result<Vec<Option<GroupEstimate>>, ModelError> {
    estimators
        .iter_mut()
        .map(|estimator| {
            if !estimator.window().contains(context.point.index) {
                return Ok(None);
            }
            match known(estimator.as_ref()) {
                Some(estimate) => Ok(Some(estimate)),
                None => alone(estimator.as_mut(), context, network).map(Some),
            }
        })
        .collect()
}

/// One set of predictions for each clean estimate that an estimator of this step asks for.
fn shared_predictions(
    estimators: &[Box<dyn Estimator>],
    context: &StepContext<'_>,
    network: &mut Network<'_>,
) -> Result<BTreeMap<CleanEstimate, Shared>, ModelError> {
    let mut wanted = BTreeMap::<CleanEstimate, u32>::new();
    let here = estimators.iter().filter(|e| e.window().contains(context.point.index));
    for statistic in here.filter_map(|e| e.as_perturbed()) {
        let perturbation = statistic.renoising().perturbation;
        let n_draws = wanted.entry(perturbation.clean).or_default();
        *n_draws = perturbation.n_draws.max(*n_draws);
    }
    let mut shared = BTreeMap::new();
    for (clean, n_draws) in wanted {
        let (before, evaluations_a_row) = (network.busy(), network.evaluations_a_row());
        let stacked = perturbed_predictions(context, network, Perturbation { n_draws, clean })?;
        shared.insert(
            clean,
            Shared {
                stacked,
                n_draws,
                evaluations_a_row,
                time: network.busy().saturating_sub(before),
            },
        );
    }
    Ok(shared)
}

fn from_shared(
    estimator: &dyn Estimator,
    context: &StepContext<'_>,
    shared: &BTreeMap<CleanEstimate, Shared>,
) -> Option<GroupEstimate> {
    let statistic = estimator.as_perturbed()?;
    let Perturbation { n_draws, clean } = statistic.renoising().perturbation;
    let source = shared.get(&clean)?;
    let draws = draws_of(&source.stacked, context.x.shape()[0]);
    let map = statistic.map(context, draws.get(..n_draws as usize)?);
    let estimator = u64::from(n_draws) * source.evaluations_a_row;
    let nfe = Nfe { estimator, ..Nfe::default() };
    let network_time = source.time * n_draws / source.n_draws.max(1);
    Some(GroupEstimate { map, nfe, network_time })
}

fn alone(
    estimator: &mut dyn Estimator,
    context: &StepContext<'_>,
    network: &mut Network<'_>,
) -> Result<GroupEstimate, ModelError> {
    let (nfe, busy) = (network.nfe(), network.busy());
    let map = estimator.estimate(context, network)?;
    let nfe = per_image(nfe, network.nfe(), context.x.shape()[0]);
    Ok(GroupEstimate { map, nfe, network_time: network.busy().saturating_sub(busy) })
}

/// Evaluations per image between two readings of the network's count.
pub(crate) fn per_image(before: Nfe, after: Nfe, b: usize) -> Nfe {
    let b = b.max(1) as u64;
    Nfe {
        trajectory: (after.trajectory - before.trajectory) / b,
        estimator: (after.estimator - before.estimator) / b,
        gradient: (after.gradient - before.gradient) / b,
    }
}
