//! Whole steps in one call: which steps of a plan, and that they have the bits of separate calls.

use std::num::NonZeroUsize;

use ndarray::Array4;

use super::OpenModel;
use crate::experiment::Plan;
use crate::model::{DenoiserSpec, ModelError, Network, StepKind};
use crate::plan::ArmPlan;
use crate::sampler::{ClipX0, Sampler, Walk};
use crate::schedule::NoiseSchedule;
use crate::stage::StageError;
use crate::stage::generate::starts::initial_states;
use crate::stage::generate::trajectory::{BatchRequest, Calls, Seen, see};
use crate::uncertainty::{Estimator, EstimatorPlan, draws_in_one_call};
use crate::units::{SampleId, StepIndex};

/// Images of the comparison: odd, so that the last call of a step has fewer.
const IMAGES: u64 = 3;

/// Why a plan, or a model, has no step that one call makes.
pub(super) fn refusal(model: &str, reason: impl Into<String>) -> StageError {
    let (method, model) = ("--step-graph on", model.to_owned());
    ModelError::NotApplicable { method, model, reason: reason.into() }.into()
}

/// An arm of which some steps are made in one call.
#[derive(Debug)]
pub(super) struct Stepped<'a> {
    arm: &'a ArmPlan,
    /// First loop index at which somebody re-noises.
    index: StepIndex,
    kind: StepKind,
}

/// Arms with estimators that re-noise, and the kinds of their steps.
///
/// # Errors
/// [`ModelError::NotApplicable`] for a plan none of whose steps can be one call, and for arms of which only some could be: by
/// the name of what stands in the way.
pub(super) fn stepped<'a>(
    plan: &'a Plan,
    (spec, schedule): (&DenoiserSpec, &NoiseSchedule),
) -> Result<Vec<Stepped<'a>>, StageError> {
    let refuse = |reason: String| refusal(&spec.name, format!("{reason}: leave it out"));
    if plan.protocol.needs().times_are_evidence() {
        return Err(refuse(
            "the wall times of separate calls are what this experiment asks for".into(),
        ));
    }
    let mut all = Vec::new();
    for arm in &plan.arms {
        let in_arm = |reason: &str| refuse(format!("arm {}: {reason}", arm.name));
        let clips = ClipX0::of_model(spec);
        let sampler =
            arm.sampler.build(&Walk { schedule, clips, seed: plan.seed, samples: &[] })?;
        let estimators = watchers(arm)?;
        for index in (0..sampler.n_steps()).map(StepIndex) {
            let found = draws_in_one_call(&estimators, index).map_err(|reason| in_arm(&reason))?;
            let Some(n_draws) = found else { continue };
            let kind = kind_of(arm, sampler.as_ref(), n_draws).map_err(|reason| in_arm(&reason))?;
            if all
                .iter()
                .all(|known: &Stepped<'_>| known.arm.name != arm.name || known.kind != kind)
            {
                all.push(Stepped { arm, index, kind });
            }
        }
    }
    if all.is_empty() {
        return Err(refuse(
            "nobody re-noises (sample_var, centered), so no step asks for draws".into(),
        ));
    }
    Ok(all)
}

/// The kind of a step of `arm` with so many draws.
///
/// # Errors
/// What keeps it from being made in one call.
fn kind_of(arm: &ArmPlan, sampler: &dyn Sampler, n_draws: u32) -> Result<StepKind, String> {
    if n_draws < 2 {
        return Err("a variance needs two draws or more".to_owned());
    }
    if arm.guide.is_some() {
        return Err("its rule rewrites the prediction before the sampler steps by it".to_owned());
    }
    sampler.step_kind(n_draws).ok_or_else(|| {
        let sampler = arm.sampler.kind();
        format!("{sampler} is neither DDIM without noise nor DPM-Solver++(2M)")
    })
}

/// Kinds of the steps, each once.
pub(super) fn kinds(stepped: &[Stepped<'_>]) -> Vec<StepKind> {
    let mut kinds: Vec<StepKind> = Vec::new();
    for kind in stepped.iter().map(|one| one.kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Makes one step of each kind in both ways: graphs that are optimised as a whole may round otherwise, and digits would move.
///
/// # Errors
/// [`ModelError::NotApplicable`] where a bit differs; those of the network.
pub(super) fn require_equal_bits(
    stepped: &[Stepped<'_>],
    plan: &Plan,
    model: &mut OpenModel,
) -> Result<(), StageError> {
    let spec = model.denoiser.spec().clone();
    let samples: Vec<SampleId> = (0..IMAGES).map(SampleId).collect();
    let conditions = spec.some_conditions(samples.len());
    let x = initial_states(plan.seed, &samples, spec.shape);
    let request = BatchRequest {
        seed: plan.seed,
        samples: &samples,
        conditions: conditions.as_deref(),
        x: x.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::MAX,
        before_step: None,
    };
    for one in stepped {
        let walk = Walk {
            schedule: &model.schedule,
            clips: ClipX0::of_model(&spec),
            seed: plan.seed,
            samples: &samples,
        };
        let mut sampler = one.arm.sampler.build(&walk)?;
        let index = before(sampler.as_mut(), one.index, &x);
        // Those that ask for something else ask alone in both ways.
        let mut estimators = watchers(one.arm)?;
        estimators.retain(|estimator| estimator.as_perturbed().is_some());
        let network = &mut Network::new(model.denoiser.as_mut());
        let mut seen = |calls, sampler: &dyn Sampler| {
            see(&request, (&x, index, calls), (&mut estimators, sampler), network)
        };
        let together = seen(Calls::AsTheNetworkHas, sampler.as_ref())?;
        let apart = seen(Calls::Separate, sampler.as_ref())?;
        let mut no_more = |_: ndarray::ArrayView4<'_, f32>, _| Err(asked(&spec.name));
        let next = sampler.step(index, x.view(), apart.epsilon.view(), &mut no_more)?;
        compare(&spec.name, &together, (&apart, &next))?;
    }
    Ok(())
}

/// Lets a rule that goes by its last prediction have one; the index of the step.
fn before(sampler: &mut dyn Sampler, index: StepIndex, x: &Array4<f32>) -> StepIndex {
    if sampler.update(index).is_some() {
        return index;
    }
    let index = StepIndex(index.0.max(1));
    sampler.stepped(StepIndex(index.0 - 1), x);
    index
}

fn asked(model: &str) -> ModelError {
    let message = "a sampler of whole steps asked for another prediction".to_owned();
    ModelError::Runtime { context: model.to_owned(), message }
}

fn compare(
    model: &str,
    together: &Seen,
    (apart, next): (&Seen, &Array4<f32>),
) -> Result<(), StageError> {
    let Some(moved) = &together.next else {
        return Err(refusal(model, "the step of its own test was not made in one call"));
    };
    let mut pairs = vec![
        ("prediction", &together.epsilon, &apart.epsilon),
        ("x0_hat", &together.x0_hat, &apart.x0_hat),
        ("next state", moved, next),
    ];
    let estimates = together.estimates.iter().flatten().zip(apart.estimates.iter().flatten());
    pairs.extend(estimates.map(|(one, other)| ("map of an estimator", &one.map, &other.map)));
    for (what, one, other) in pairs {
        let differs = one.iter().zip(other).filter(|(a, b)| a.to_bits() != b.to_bits());
        let far = differs.map(|(a, b)| (a - b).abs()).reduce(f32::max);
        if let Some(far) = far {
            return Err(refusal(
                model,
                format!(
                    "on this device the {what} of one call differs from that of separate calls by up to {far:e}, and digits may not move: leave it out"
                ),
            ));
        }
    }
    Ok(())
}

fn watchers(arm: &ArmPlan) -> Result<Vec<Box<dyn Estimator>>, StageError> {
    Ok(arm.watch.iter().map(EstimatorPlan::build).collect::<Result<Vec<_>, _>>()?)
}
