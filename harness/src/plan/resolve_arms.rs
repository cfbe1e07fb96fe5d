//! Arms of an experiment at a scale: defaults and the scale's own numbers filled in.

use crate::config::{
    ArmImages, DirectionConfig, EstimatorConfig, Experiment, GuidanceConfig, MaskConfig,
    ReconstructionConfig, RuleConfig, SamplerConfig, ScaleConfig,
};
use crate::uncertainty::Window;

use super::EstimatorPlan;
use super::arm::{ArmPlan, ArmTask, SweepCell};

/// Number of samples of an arm.
fn images(images: ArmImages, sizes: &ScaleConfig) -> u64 {
    match images {
        ArmImages::All => sizes.n_pool,
        // A scale without a subset is refused when the file is read.
        ArmImages::Subset => sizes.n_subset.unwrap_or(sizes.n_pool),
    }
}

/// The experiment's sampler with the scale's number of steps; an arm's own sampler keeps its own.
fn sampler(
    own: Option<&SamplerConfig>,
    experiment: &Experiment,
    sizes: &ScaleConfig,
) -> SamplerConfig {
    match (own, sizes.n_steps) {
        (Some(own), _) => own.clone(),
        (None, Some(n_steps)) => experiment.sampler.with_steps(n_steps),
        (None, None) => experiment.sampler.clone(),
    }
}

/// Arms of a reconstruction. Denoising starts at loop index `N / 2`.
pub(super) fn reconstruction(
    experiment: &Experiment,
    protocol: &ReconstructionConfig,
    sizes: &ScaleConfig,
) -> Vec<ArmPlan> {
    let arm = |arm: &crate::config::ReconstructionArm| {
        let sampler = sampler(arm.sampler.as_ref(), experiment, sizes);
        let n_steps = sampler.n_steps();
        let window = Window { start: n_steps / 2, len: n_steps - n_steps / 2 };
        let estimators = match &arm.estimators {
            Some(own) => estimators(experiment, own, window, None),
            None => estimators(experiment, &experiment.estimators, window, sizes.n_draws),
        };
        let task = ArmTask::Reconstruct { noise: arm.noise, late: protocol.late, estimators };
        ArmPlan { name: arm.name.clone(), n: images(arm.images, sizes), sampler, task }
    };
    protocol.arms.iter().map(arm).collect()
}

/// Arms of a guidance experiment, then the cells of its sweep.
pub(super) fn guidance(
    experiment: &Experiment,
    protocol: &GuidanceConfig,
    sizes: &ScaleConfig,
) -> Vec<ArmPlan> {
    let n_draws = sizes.n_draws.unwrap_or(experiment.preset.defaults().n_draws);
    let arm = |arm: &crate::config::GuidanceArm| ArmPlan {
        name: arm.name.clone(),
        n: images(arm.images, sizes),
        sampler: sampler(arm.sampler.as_ref(), experiment, sizes),
        task: ArmTask::Sample {
            rule: arm.rule.resolved(n_draws, sizes.n_threshold_images),
            cell: None,
        },
    };
    let mut arms: Vec<ArmPlan> = protocol.arms.iter().map(arm).collect();
    let Some(sweep) = &protocol.sweep else { return arms };
    for lambda in sweep.lambdas.iter().copied() {
        for percentile in sweep.percentiles.iter().copied() {
            let n_draws = Some(sweep.n_draws.unwrap_or(n_draws));
            let direction = DirectionConfig::Ascent;
            let (mask, window) = (MaskConfig::default(), None);
            let rule =
                RuleConfig::Gradient { lambda, percentile, mask, n_draws, direction, window };
            arms.push(ArmPlan {
                name: format!("sweep lambda={lambda} percentile={percentile}"),
                n: images(sweep.images, sizes),
                sampler: sampler(sweep.sampler.as_ref(), experiment, sizes),
                task: ArmTask::Sample { rule, cell: Some(SweepCell { lambda, percentile }) },
            });
        }
    }
    arms
}

fn estimators(
    experiment: &Experiment,
    configs: &[EstimatorConfig],
    window: Window,
    n_draws: Option<u32>,
) -> Vec<EstimatorPlan> {
    let defaults = experiment.preset.defaults();
    configs
        .iter()
        .map(|config| {
            let mut plan = EstimatorPlan::resolve(config, window, &defaults);
            plan.n_draws = n_draws.unwrap_or(plan.n_draws);
            plan
        })
        .collect()
}
