//! Plans: what fills them, what moves them.

use std::path::Path;

use super::plan::{Encoding, ModelFacts};
use super::*;
use crate::model::ExtractorId;
use crate::plan::{ImagesIdentity, ModelIdentity, NoiseLevel, PlanError, ReferenceIdentity, Start};
use crate::protocol::ProtocolConfig;
use crate::schedule::TimeAxis;

pub(crate) const TINY: &str = include_str!("tiny.yaml");

pub(crate) fn tiny_experiment() -> Experiment {
    Experiment::parse(Path::new("tiny.yaml"), TINY).unwrap()
}

pub(crate) fn tiny_inputs(experiment: &Experiment) -> PlanInputs {
    let needs = experiment.protocol.needs();
    PlanInputs {
        model: ModelIdentity::of_config("analytic", &experiment.model),
        facts: ModelFacts {
            axis: TimeAxis::Steps(1000),
            shape: [3, 8, 8],
            n_classes: None,
            encoding: Encoding::Pixels,
        },
        extractor: needs.features.then(|| ExtractorId {
            name: "pixels".into(),
            sha256: "0".repeat(64),
            preprocess: "grid-2".into(),
            dim: 12,
            output: Some("features".into()),
            input_size: Some(8),
        }),
        reference: needs.statistics.then(|| ReferenceIdentity {
            dataset: "toy".into(),
            sha256: "1".repeat(64),
            n: Some(100),
            dim: 12,
            extractor: None,
            image_size: None,
        }),
        images: needs.images.map(|dataset| ImagesIdentity {
            dataset: dataset.into(),
            sha256: "2".repeat(64),
            n: 20,
            dim: 192,
            latent: None,
        }),
        real: None,
        posterior: None,
        starts: None,
    }
}

fn plan_of(text: &str) -> Plan {
    let experiment = Experiment::parse(Path::new("tiny.yaml"), text).unwrap();
    let inputs = tiny_inputs(&experiment);
    Plan::resolve(&experiment, "smoke", inputs).unwrap()
}

pub(crate) fn tiny_plan() -> Plan {
    plan_of(TINY)
}

/// A plan with three arms: eight images, and four in each of the others.
pub(crate) fn tiny_reconstruction_plan() -> Plan {
    plan_of(include_str!("tiny_reconstruction.yaml"))
}

/// A plan whose masks take their thresholds from generated sets.
pub(crate) fn tiny_thresholds_plan() -> Plan {
    plan_of(include_str!("tiny_thresholds.yaml"))
}

#[test]
fn a_scale_sets_steps_and_draws_of_arms_that_have_none_of_their_own() {
    let plan = tiny_reconstruction_plan();
    let facts: Vec<(u32, u32, u32, u32)> = plan
        .arms
        .iter()
        .map(|arm| {
            let first = &arm.watch[0];
            (arm.sampler.n_steps(), first.n_draws, first.window.start, first.window.len)
        })
        .collect();
    assert_eq!(facts, [(20, 3, 10, 10), (20, 3, 10, 10), (20, 5, 10, 10)]);
}

#[test]
fn a_guidance_plan_has_its_arms_then_the_cells_of_its_sweep() {
    let plan = plan_of(include_str!("tiny_guidance.yaml"));
    let names: Vec<&str> = plan.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names[..3], ["unguided", "gradient", "posterior"]);
    assert_eq!(names[8], "sweep lambda=0.1 percentile=0.5");
    assert_eq!((names.len(), plan.n_images()), (12, 2 * 24 + 10 * 16));
    let rules = plan.arms.iter().filter_map(|arm| arm.guide.as_ref());
    let draws = rules.filter_map(|rule| rule.values().n_draws);
    assert_eq!(draws.collect::<Vec<_>>(), [3; 10]);
}

#[test]
fn arms_and_their_images_move_the_parts() {
    let plan = tiny_reconstruction_plan();
    let mut others = vec![plan.clone(); 3];
    others[0].work.arms[2].n += 4;
    others[1].work.arms[0].start = Start::Images { noise: NoiseLevel::HalfT };
    others[2].work.images.as_mut().unwrap().sha256 = "7".repeat(64);
    for other in others {
        assert_ne!(other.generate_id(), plan.generate_id());
        assert_ne!(other.id(), plan.id());
    }
}

#[test]
fn the_preset_fills_what_the_file_leaves_out() {
    let plan = tiny_plan();
    let arm = &plan.arms[0];
    let names: Vec<&str> = arm.methods().collect();
    assert_eq!(names, ["sample_var", "centered", "total_variation", "mean_squared_epsilon"]);
    assert_eq!(arm.watch[0].n_draws, 5);
    assert_eq!((arm.watch[0].window.start, arm.watch[0].window.len), (45, 4));
    assert_eq!((arm.watch[1].window.start, arm.watch[1].window.len), (40, 2));
}

#[test]
fn every_field_moves_the_plan_id() {
    let plan = tiny_plan();
    let value = serde_json::to_value(&plan.work).unwrap();
    let fields = value.as_object().unwrap();
    let mut ids = std::collections::BTreeSet::from([plan.id()]);
    for key in fields.keys() {
        let mut other = plan.clone();
        let work = &mut other.work;
        match key.as_str() {
            "experiment" => work.experiment.push('x'),
            "artefact" => work.artefact.push('x'),
            "scale" => work.scale.push('x'),
            "seed" => work.seed += 1,
            "model" => *work.model.files.values_mut().next().unwrap() = "f".repeat(64),
            "arms" => work.arms[0].watch[0].n_draws += 1,
            "block_size" => work.block_size += 1,
            "extractor" => work.extractor.as_mut().unwrap().sha256 = "2".repeat(64),
            "reference" => work.reference.as_mut().unwrap().sha256 = "2".repeat(64),
            "images" => work.images = tiny_reconstruction_plan().work.images,
            unknown => panic!("field {unknown} has no case here: add one"),
        }
        assert!(ids.insert(other.id()), "{key} does not move the plan id");
    }
    let mut other = plan.clone();
    let ProtocolConfig::Filtering(filter) = &mut other.protocol else { panic!() };
    filter.n_random += 1;
    assert!(ids.insert(other.id()), "the protocol does not move the plan id");
}

#[test]
fn every_field_of_an_arm_moves_the_parts() {
    let plan = tiny_plan();
    let value = serde_json::to_value(&plan.arms[0]).unwrap();
    let mut ids = std::collections::BTreeSet::from([plan.generate_id()]);
    for key in value.as_object().unwrap().keys() {
        let mut other = plan.clone();
        let arm = &mut other.work.arms[0];
        match key.as_str() {
            "name" => arm.name.push('x'),
            "n" => arm.n += 1,
            "start" => arm.start = Start::Images { noise: NoiseLevel::Match },
            "sampler" => arm.sampler = arm.sampler.with_steps(49),
            "watch" => drop(arm.watch.pop()),
            "controls" => drop(arm.controls.pop()),
            "maps" => arm.maps = tiny_reconstruction_plan().arms[0].maps,
            "guide" => arm.guide = tiny_thresholds_plan().arms[1].guide.clone(),
            unknown => panic!("field {unknown} has no case here: add one"),
        }
        assert!(ids.insert(other.generate_id()), "{key} does not move the parts");
    }
}

#[test]
fn evaluation_settings_leave_images_and_features_alone() {
    let plan = tiny_plan();
    let mut other = plan.clone();
    let ProtocolConfig::Filtering(filter) = &mut other.protocol else { panic!() };
    filter.n_keep -= 1;
    other.work.reference.as_mut().unwrap().sha256 = "3".repeat(64);
    assert_ne!(other.id(), plan.id());
    assert_eq!(other.generate_id(), plan.generate_id());
    assert_eq!(other.features_id(), plan.features_id());
    other.work.extractor.as_mut().unwrap().preprocess.push('x');
    assert_eq!(other.generate_id(), plan.generate_id());
    assert_ne!(other.features_id(), plan.features_id());
}

#[test]
fn what_could_not_run_is_refused_where_it_is_planned() {
    let text = TINY.replace("n_steps: 50}", "n_steps: 50, grid: {kind: dpm_linspace}}");
    let experiment = Experiment::parse(Path::new("tiny.yaml"), &text).unwrap();
    let mut inputs = tiny_inputs(&experiment);
    assert!(Plan::resolve(&experiment, "smoke", inputs.clone()).is_ok());
    inputs.facts.axis = TimeAxis::Steps(50);
    let error = Plan::resolve(&experiment, "smoke", inputs).unwrap_err();
    insta::assert_snapshot!(error, @"tiny on analytic: arm pool: sampler.n_steps: timestep grid (dpm_linspace): n_steps is 50, expected 1..=49 of 50 training steps: set sampler.n_steps to 49 or less");
}

/// Grids, noise levels and late windows that count training steps need a model that has some.
#[test]
fn what_counts_training_steps_is_refused_on_a_model_without() {
    let text = include_str!("tiny_reconstruction.yaml");
    let experiment = Experiment::parse(Path::new("tiny.yaml"), text).unwrap();
    let mut inputs = tiny_inputs(&experiment);
    inputs.facts.axis = TimeAxis::Sigma;
    let error = Plan::resolve(&experiment, "smoke", inputs).unwrap_err().to_string();
    for part in [
        "arm corrected: sampler.grid: grid leading is for training steps, and the model has sigmas",
        "arm corrected: late: the late window 20..=80 counts training steps",
        "arm half_t: start.noise: half_t counts training steps",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn images_that_do_not_fit_the_model_are_refused_where_they_are_planned() {
    let text = include_str!("tiny_reconstruction.yaml");
    let experiment = Experiment::parse(Path::new("tiny.yaml"), text).unwrap();
    let refused = |change: fn(&mut PlanInputs)| {
        let mut inputs = tiny_inputs(&experiment);
        change(&mut inputs);
        Plan::resolve(&experiment, "smoke", inputs).unwrap_err().to_string()
    };
    let latent = refused(|inputs| inputs.facts.encoding = Encoding::Missing);
    assert!(latent.contains("name one as task.encoder of model.yaml"), "{latent}");
    assert!(refused(|inputs| inputs.facts.shape = [3, 4, 4]).contains("have 192 elements"));
    let few = refused(|inputs| inputs.images.as_mut().unwrap().n = 5);
    assert!(few.contains("has 5 images, 8 are asked for"), "{few}");
}

#[test]
fn an_unknown_scale_is_answered_with_the_known_ones() {
    let experiment = tiny_experiment();
    let inputs = tiny_inputs(&experiment);
    let error = Plan::resolve(&experiment, "huge", inputs).unwrap_err();
    assert_eq!(error.to_string(), "tiny: no scale \"huge\"; there are mini, smoke");
}

#[test]
fn a_reference_of_other_features_is_refused_by_field() {
    let experiment = tiny_experiment();
    let refused = |change: &dyn Fn(&mut ReferenceIdentity)| {
        let mut inputs = tiny_inputs(&experiment);
        let reference = inputs.reference.as_mut().unwrap();
        reference.extractor.clone_from(&inputs.extractor);
        change(reference);
        Plan::resolve(&experiment, "smoke", inputs).err()
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
