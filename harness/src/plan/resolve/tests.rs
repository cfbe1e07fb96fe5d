//! Plans: what fills them, what moves them.

use std::path::Path;

use super::*;
use crate::config::NoiseLevel;
use crate::plan::ArmTask;

pub(crate) const TINY: &str = include_str!("../tiny.yaml");

pub(crate) fn tiny_experiment() -> Experiment {
    Experiment::parse(Path::new("tiny.yaml"), TINY).unwrap()
}

pub(crate) fn tiny_inputs(experiment: &Experiment) -> PlanInputs {
    PlanInputs {
        model: ModelIdentity::of_config("analytic", &experiment.model),
        extractor: Some(ExtractorId {
            name: "pixels".into(),
            sha256: "0".repeat(64),
            preprocess: "grid-2".into(),
            dim: 12,
            output: Some("features".into()),
            input_size: Some(8),
        }),
        reference: ReferenceIdentity {
            dataset: "toy".into(),
            sha256: "1".repeat(64),
            n: Some(100),
            dim: 12,
            extractor: None,
        },
    }
}

pub(crate) fn tiny_plan() -> Plan {
    let experiment = tiny_experiment();
    let inputs = tiny_inputs(&experiment);
    Plan::resolve(&experiment, "smoke", inputs, PlanOptions::default()).unwrap()
}

/// A plan with three arms: eight images, and four in each of the others.
pub(crate) fn tiny_reconstruction_plan() -> Plan {
    let text = include_str!("../tiny_reconstruction.yaml");
    let experiment = Experiment::parse(Path::new("tiny.yaml"), text).unwrap();
    let inputs = PlanInputs { extractor: None, ..tiny_inputs(&experiment) };
    Plan::resolve(&experiment, "smoke", inputs, PlanOptions::default()).unwrap()
}

#[test]
fn a_scale_sets_steps_and_draws_of_arms_that_have_none_of_their_own() {
    let plan = tiny_reconstruction_plan();
    let facts: Vec<(u32, u32, u32, u32)> = plan
        .arms
        .iter()
        .map(|arm| {
            let ArmTask::Reconstruct { estimators, .. } = &arm.task else { panic!() };
            let first = &estimators[0];
            (arm.sampler.n_steps(), first.n_draws, first.window.start, first.window.len)
        })
        .collect();
    assert_eq!(facts, [(20, 3, 10, 10), (20, 3, 10, 10), (20, 5, 10, 10)]);
}

#[test]
fn a_guidance_plan_has_its_arms_then_the_cells_of_its_sweep() {
    let text = include_str!("../tiny_guidance.yaml");
    let experiment = Experiment::parse(Path::new("tiny.yaml"), text).unwrap();
    let inputs = tiny_inputs(&experiment);
    let plan = Plan::resolve(&experiment, "smoke", inputs, PlanOptions::default()).unwrap();
    let names: Vec<&str> = plan.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names[..3], ["unguided", "gradient", "posterior"]);
    assert_eq!(names[8], "sweep lambda=0.1 percentile=0.5");
    assert_eq!((names.len(), plan.n_pool), (12, 2 * 24 + 10 * 16));
    let draws = plan.arms.iter().filter_map(|arm| match &arm.task {
        ArmTask::Sample { rule, .. } => rule.n_draws(),
        ArmTask::Reconstruct { .. } => None,
    });
    assert_eq!(draws.collect::<Vec<_>>(), [3; 10]);
}

#[test]
fn arms_and_their_images_move_the_parts() {
    let plan = tiny_reconstruction_plan();
    let mut others = vec![plan.clone(); 3];
    others[0].arms[2].n += 4;
    let ArmTask::Reconstruct { noise, .. } = &mut others[1].arms[0].task else { panic!() };
    *noise = NoiseLevel::HalfT;
    others[2].reference.sha256 = "7".repeat(64);
    for other in others {
        assert_ne!(other.generate_id(), plan.generate_id());
        assert_ne!(other.id(), plan.id());
    }
}

#[test]
fn the_preset_fills_what_the_file_leaves_out() {
    let plan = tiny_plan();
    let names: Vec<&str> = plan.methods().collect();
    assert_eq!(names, ["sample_var", "centered", "total_variation", "mean_squared_epsilon"]);
    assert_eq!(plan.estimators[0].n_draws, 5);
    assert_eq!((plan.estimators[0].window.start, plan.estimators[0].window.len), (45, 4));
    assert_eq!((plan.estimators[1].window.start, plan.estimators[1].window.len), (40, 2));
}

#[test]
fn every_field_moves_the_plan_id() {
    let plan = tiny_plan();
    let value = serde_json::to_value(&plan).unwrap();
    let fields = value.as_object().unwrap();
    let mut ids = std::collections::BTreeSet::from([plan.id()]);
    for key in fields.keys().filter(|key| *key != "format") {
        let mut other = plan.clone();
        match key.as_str() {
            "experiment" => other.experiment.push('x'),
            "artefact" => other.artefact.push('x'),
            "scale" => other.scale.push('x'),
            "seed" => other.seed += 1,
            "model" => *other.model.files.values_mut().next().unwrap() = "f".repeat(64),
            "sampler" => {
                let SamplerConfig::Ddim { n_steps, .. } = &mut other.sampler else { panic!() };
                *n_steps += 1;
            }
            "estimators" => other.estimators[0].n_draws += 1,
            "controls" => drop(other.controls.pop()),
            "n_pool" => other.n_pool += 1,
            "n_keep" => other.n_keep += 1,
            "block_size" => other.block_size += 1,
            "extractor" => other.extractor.as_mut().unwrap().sha256 = "2".repeat(64),
            "reference" => other.reference.sha256 = "2".repeat(64),
            "protocol" => {
                let ProtocolConfig::Filtering { n_random, .. } = &mut other.protocol else {
                    panic!()
                };
                *n_random += 1;
            }
            unknown => panic!("field {unknown} has no case here: add one"),
        }
        assert!(ids.insert(other.id()), "{key} does not move the plan id");
    }
}

#[test]
fn evaluation_settings_leave_images_and_features_alone() {
    let plan = tiny_plan();
    let mut other = plan.clone();
    other.n_keep -= 1;
    other.reference.sha256 = "3".repeat(64);
    assert_ne!(other.id(), plan.id());
    assert_eq!(other.generate_id(), plan.generate_id());
    assert_eq!(other.features_id(), plan.features_id());
    other.extractor.as_mut().unwrap().preprocess.push('x');
    assert_eq!(other.generate_id(), plan.generate_id());
    assert_ne!(other.features_id(), plan.features_id());
}

#[test]
fn a_limit_keeps_the_proportion() {
    assert_eq!(limited(2048, 1707, Some(48)), Ok((48, 40)));
    assert_eq!(limited(2048, 1707, Some(9999)), Ok((2048, 1707)));
    let error = limited(2048, 1707, Some(4)).unwrap_err();
    assert_eq!(error, PlanError::Limit { limit: 4, n_keep: 3, least: 5 });
    assert_eq!(limited(2048, 1707, Some(5)), Ok((5, 4)));
}

#[test]
fn an_unknown_scale_is_answered_with_the_known_ones() {
    let experiment = tiny_experiment();
    let inputs = tiny_inputs(&experiment);
    let error = Plan::resolve(&experiment, "huge", inputs, PlanOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "tiny: no scale \"huge\"; there are mini, smoke");
}

#[test]
fn a_reference_of_other_features_is_refused_by_field() {
    let experiment = tiny_experiment();
    let refused = |change: &dyn Fn(&mut ReferenceIdentity)| {
        let mut inputs = tiny_inputs(&experiment);
        inputs.reference.extractor.clone_from(&inputs.extractor);
        change(&mut inputs.reference);
        Plan::resolve(&experiment, "smoke", inputs, PlanOptions::default()).err()
    };
    let field = |error| match error {
        Some(PlanError::Reference { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(field(refused(&|reference| reference.dim = 64)), "dimension");
    let other = |change: fn(&mut ExtractorId)| {
        field(refused(&|reference| change(reference.extractor.as_mut().unwrap())))
    };
    assert_eq!(other(|extractor| extractor.preprocess.push('x')), "preprocessing");
    assert_eq!(other(|extractor| extractor.sha256.push('x')), "network sha256");
    assert_eq!(other(|extractor| extractor.output = Some("logits".into())), "network output");
    assert_eq!(other(|extractor| extractor.input_size = Some(9)), "network input size");
    // Statistics of early versions do not say, and are not refused for it.
    let silent = |reference: &mut ReferenceIdentity| {
        let extractor = reference.extractor.as_mut().unwrap();
        (extractor.output, extractor.input_size) = (None, None);
    };
    assert_eq!(refused(&silent), None);
}

#[test]
fn a_plan_survives_its_own_json() {
    let plan = tiny_plan();
    let text = serde_json::to_string(&plan).unwrap();
    let again: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert_eq!(again.id(), plan.id());
}
