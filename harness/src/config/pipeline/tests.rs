//! Descriptions of pipelines: schedulers as diffusers writes them, and folders that are not whole.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{LatentScale, PipelineFolder, Scheduler};
use crate::config::Prediction;
use crate::sampler::SamplerConfig;
use crate::schedule::{GridConfig, ScheduleConfig};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pipelines");
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd15-random");

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn refused(value: Value) -> String {
    let faults = Scheduler::of(&object(value)).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Files that diffusers 0.42.1 wrote (`scripts/golden/pipelines.py`).
#[test]
fn schedulers_as_diffusers_writes_them_have_a_sampler() {
    let read = |name: &str| Scheduler::read(&Path::new(DATA).join(format!("{name}.json"))).unwrap();
    let sampler = |name: &str| read(name).sampler;
    let leading = GridConfig::Leading { offset: 1 };
    assert!(matches!(sampler("pndm"), SamplerConfig::Pndm(pndm) if pndm.grid == leading));
    assert!(matches!(sampler("ddim"), SamplerConfig::Ddim(ddim) if ddim.grid == leading));
    assert!(matches!(sampler("euler"), SamplerConfig::EdmEuler(euler) if euler.grid == leading));
    let dpm = |name: &str| match sampler(name) {
        SamplerConfig::DpmSolverPp2m(dpm) => dpm.grid,
        other => panic!("{other:?}"),
    };
    // `lambda_min_clipped` is -Infinity there, which is no JSON.
    assert_eq!([dpm("dpm"), dpm("dpm_v")], [GridConfig::DpmLinspace {}, GridConfig::Trailing {}]);
    assert_eq!(read("dpm").prediction, Prediction::Epsilon);
    assert_eq!(read("ddim_v_trailing").prediction, Prediction::V);
    let schedule = read("pndm").schedule;
    assert!(
        matches!(schedule, ScheduleConfig::ScaledLinear { beta_end, n_train_steps: 1000, .. } if beta_end == 0.012)
    );
}

#[test]
fn keys_that_are_not_understood_are_refused_by_name_unless_they_are_off() {
    let words =
        refused(json!({"_class_name": "DDIMScheduler", "clip_sample": false, "churn": 0.3}));
    assert!(words.starts_with("churn: is 0.3, a key of DDIMScheduler"), "{words}");
    let off =
        json!({"_class_name": "DDIMScheduler", "clip_sample": false, "churn": null, "new": false});
    assert!(Scheduler::of(&object(off)).is_ok());
    // Keys of another class are what diffusers ignores as well.
    let other =
        json!({"_class_name": "DDIMScheduler", "clip_sample": false, "skip_prk_steps": true});
    assert!(Scheduler::of(&object(other)).is_ok());
    for (class, key, value) in [
        ("DDIMScheduler", "clip_sample", json!(true)),
        ("DDIMScheduler", "thresholding", json!(true)),
        ("DDIMScheduler", "timestep_spacing", json!("random")),
        ("DDIMScheduler", "beta_schedule", json!("sigmoid")),
        ("DDIMScheduler", "prediction_type", json!("flow")),
        ("DDIMScheduler", "num_train_timesteps", json!("many")),
        ("DDIMScheduler", "trained_betas", json!([0.1, "b"])),
        ("PNDMScheduler", "skip_prk_steps", json!(false)),
        ("DPMSolverMultistepScheduler", "solver_order", json!(3)),
        ("DPMSolverMultistepScheduler", "algorithm_type", json!("sde-dpmsolver++")),
        ("DPMSolverMultistepScheduler", "use_karras_sigmas", json!(true)),
        ("DPMSolverMultistepScheduler", "timestep_spacing", json!("leading")),
        ("EulerDiscreteScheduler", "timestep_spacing", json!("linspace")),
        ("EulerDiscreteScheduler", "use_karras_sigmas", json!(true)),
        ("FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting", json!(true)),
    ] {
        let words = refused(json!({"_class_name": class, key: value}));
        assert!(words.lines().any(|line| line.starts_with(&format!("{key}: is "))), "{words}");
    }
    let words = refused(json!({"_class_name": "LCMScheduler"}));
    assert!(words.contains("\"LCMScheduler\", and has no sampler here: DDIMScheduler"), "{words}");
}

#[test]
fn a_flow_has_its_shift() {
    let flow =
        json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "base_shift": 0.5});
    let scheduler = Scheduler::of(&object(flow)).unwrap();
    assert_eq!(scheduler.schedule, ScheduleConfig::Flow { shift: 3.0, n_train_steps: 1000 });
    assert_eq!(scheduler.prediction, Prediction::Velocity);
}

/// A copy of the JSON files and empty graphs of the tiny pipeline.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mine");
    for part in ["scheduler", "unet", "text_encoder", "tokenizer", "vae_decoder"] {
        std::fs::create_dir_all(root.join(part)).unwrap();
    }
    for name in [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "text_encoder/config.json",
        "vae_decoder/config.json",
    ] {
        std::fs::copy(Path::new(TINY).join(name), root.join(name)).unwrap();
    }
    for part in ["unet", "text_encoder", "vae_decoder"] {
        crate::store::publish(&root.join(part).join("model.onnx"), b"").unwrap();
    }
    (folder, root)
}

fn edit(path: &Path, change: impl Fn(&mut Map<String, Value>)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(value.as_object_mut().unwrap());
    crate::store::publish(path, value.to_string().as_bytes()).unwrap();
}

#[test]
fn a_folder_says_size_scale_and_length_of_texts() {
    let (_guard, root) = copy();
    let folder = PipelineFolder::read(&root).unwrap();
    assert_eq!((folder.name.as_str(), folder.pixels), ("mine", 2));
    assert_eq!((folder.texts.len(), folder.texts[0].length), (1, Some(77)));
    assert_eq!(folder.scale, LatentScale::of(0.18215));
    assert_eq!(folder.shape(None).unwrap(), [4, 16, 16]);
    assert_eq!(folder.shape(Some([32, 48])).unwrap(), [4, 16, 24]);
    let odd = folder.shape(Some([33, 48])).unwrap_err().to_string();
    assert!(odd.contains("size: is [33, 48], expected multiples of 2"), "{odd}");
    edit(&root.join("unet/config.json"), |object| drop(object.remove("sample_size")));
    let open = PipelineFolder::read(&root).unwrap().shape(None).unwrap_err().to_string();
    assert!(open.contains("write size: [height, width]"), "{open}");
}

/// What is said of a copy that `change` has been at.
fn refusal(change: &dyn Fn(&Path)) -> String {
    let (_guard, root) = copy();
    change(&root);
    PipelineFolder::read(&root).unwrap_err().to_string()
}

#[test]
fn folders_that_are_not_whole_or_of_another_kind_are_refused_by_name() {
    let words = refusal(&|root| std::fs::remove_dir_all(root.join("text_encoder")).unwrap());
    assert!(words.contains("text_encoder: is no folder of the pipeline"), "{words}");
    let words = refusal(&|root| std::fs::remove_file(root.join("unet/model.onnx")).unwrap());
    assert!(
        words.contains("unet: has no model.onnx: export") && words.contains("optimum-cli"),
        "{words}"
    );
    let words = refusal(&|root| std::fs::remove_file(root.join("model_index.json")).unwrap());
    assert!(
        words.contains("model_index.json: cannot be read") && words.contains("Optimum"),
        "{words}"
    );
    let index = |change: &dyn Fn(&mut Map<String, Value>)| {
        refusal(&|root| edit(&root.join("model_index.json"), change))
    };
    let words = index(&|object| drop(object.insert("_diffusers_version".into(), json!("1.2.0"))));
    assert!(words.contains("_diffusers_version: is 1.2.0, versions 0.x are read"), "{words}");
    let words = index(&|object| drop(object.insert("_class_name".into(), json!("FluxPipeline"))));
    assert!(
        words.contains("_class_name: is FluxPipeline: StableDiffusionPipeline (1 and 2), Stable"),
        "{words}"
    );
    let words = index(&|object| drop(object.remove("tokenizer")));
    assert!(words.contains("tokenizer: is not named by model_index.json"), "{words}");
}

#[test]
fn networks_without_a_description_or_of_other_latents_are_refused_by_name() {
    let words =
        refusal(&|root| crate::store::publish(&root.join("unet/config.json"), b"{").unwrap());
    assert!(
        words.contains("unet/config.json: ") && words.contains("export the pipeline again"),
        "{words}"
    );
    let words = refusal(&|root| {
        edit(&root.join("unet/config.json"), |object| {
            drop(object.insert("in_channels".into(), json!(9)));
        });
    });
    assert!(
        words.contains("in_channels: is 9, and the decoder takes latents of 4 channels"),
        "{words}"
    );
}

/// It is never run.
#[test]
fn whether_there_is_a_safety_checker_does_not_matter() {
    let (_guard, root) = copy();
    let checker = json!(["stable_diffusion", "StableDiffusionSafetyChecker"]);
    edit(&root.join("model_index.json"), |o| {
        drop(o.insert("safety_checker".into(), checker.clone()));
    });
    assert!(PipelineFolder::read(&root).is_ok());
}

#[test]
fn latents_with_means_of_their_own_and_schedulers_of_other_networks_are_refused_by_name() {
    let words = refusal(&|root| {
        edit(&root.join("vae_decoder/config.json"), |o| {
            drop(o.insert("latents_mean".into(), json!([0.1, 0.0, 0.0, 0.0])));
        });
    });
    assert!(words.contains("latents_mean: is given"), "{words}");
    let flow = json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0});
    let words = refusal(&|root| {
        let path = root.join("scheduler/scheduler_config.json");
        crate::store::publish(&path, flow.to_string().as_bytes()).unwrap();
    });
    assert!(words.contains("is FlowMatchEulerDiscreteScheduler, and the network is no"), "{words}");
}
