//! Final latents and images of the tiny pipelines under each scheduler, beside those of diffusers.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis, s};
use ndarray_npy::NpzReader;

use super::*;
use crate::config::{PipelineCfg, PipelineConfig};
use crate::model::bundle::{Gradients, SelfTest};
use crate::model::onnx::RuntimeOptions;
use crate::model::pipeline::{Pipeline, open_pipeline};
use crate::stage::progress::Silent;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pipelines");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models");

/// Prompts of `scripts/golden/pipelines.py` and its neighbours.
const PROMPTS: [&str; 2] = ["a red cat", "一张 photo of 🐱, très BELLE lumière"];

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a tiny pipeline under another scheduler.
fn copy(name: &str, scheduler: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copied(&Path::new(MODELS).join(name), folder.path());
    let target = folder.path().join("scheduler/scheduler_config.json");
    std::fs::copy(Path::new(DATA).join(format!("{scheduler}.json")), target).unwrap();
    folder
}

fn array<T: ndarray_npy::ReadableElement>(file: &str, name: &str) -> Array4<T> {
    let file = File::open(Path::new(DATA).join(file)).unwrap();
    NpzReader::new(file).unwrap().by_name(name).unwrap()
}

/// A prompt, a negative one, and a scale of guidance.
type Asked<'a> = (&'a str, Option<&'a str>, Option<f64>);

fn sampled(folder: &Path, (prompt, negative, scale): Asked<'_>, start: Array4<f32>) -> Samples {
    let cfg = PipelineCfg { scale, negative: negative.map(str::to_owned) };
    let config = PipelineConfig {
        cfg: Some(cfg),
        ..PipelineConfig::new(PathBuf::from(folder), vec![prompt.to_owned()])
    };
    let pipeline = Pipeline::read(&config, Path::new("")).unwrap();
    let options = RuntimeOptions::default();
    let opened = open_pipeline(&pipeline, &options, SelfTest::Skip, &Gradients::None).unwrap();
    let request = SampleRequest {
        seed: 0,
        samples: vec![SampleId(0)],
        starts: Some(start),
        labels: None,
        sampler: pipeline.folder.scheduler.sampler.with_steps(10),
        estimators: Vec::new(),
        batch_size: NonZeroUsize::MIN,
    };
    sample(&request, &mut opened.into(), (&Stop::default(), &Silent)).unwrap()
}

/// Holds latents (1e-4 relative) and images (one grey level) of each row against those of the golden file.
fn check(folder: &Path, (file, case): (&str, &str), asked: &[Asked<'_>], evaluations: u64) {
    let start: Array4<f32> = array(file, "start");
    let latents: Array4<f32> = array(file, &format!("{case}_latent"));
    let images: Array4<u8> = array(file, &format!("{case}_image"));
    for (row, asked) in asked.iter().enumerate() {
        let start = start.slice(s![row..=row, .., .., ..]).to_owned();
        let got = sampled(folder, *asked, start);
        let expected = latents.index_axis(Axis(0), row);
        let size = expected.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
        let apart = got.x0.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-4 * size, "{case} {row}: {apart} of {size}");
        let levels = got.images.iter().zip(images.index_axis(Axis(0), row));
        let apart = levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(apart <= 1, "{case} {row}: {apart} grey levels");
        assert_eq!(got.nfe_trajectory, evaluations, "{case}");
    }
}

#[test]
fn latents_and_images_are_those_of_diffusers_under_each_scheduler() {
    let asked = [(PROMPTS[0], Some(""), Some(7.5)), (PROMPTS[1], Some("ugly"), Some(7.5))];
    for scheduler in ["pndm", "ddim", "ddim_v_trailing", "dpm", "dpm_v", "euler"] {
        let folder = copy("tiny-sd15-random", scheduler);
        // PNDM asks twice at its first step.
        let steps = if scheduler == "pndm" { 11 } else { 10 };
        check(folder.path(), ("golden.npz", scheduler), &asked, 2 * steps);
    }
}

/// Its guidance is the pipeline's own, 5. Without a negative prompt states of zeros stand for it, and not those of the empty
/// text.
#[test]
fn stable_diffusion_xl_gives_the_latents_and_images_of_diffusers() {
    let asked =
        [(PROMPTS[0], None, None), (PROMPTS[1], Some("ugly"), None), (PROMPTS[0], Some(""), None)];
    for scheduler in ["euler", "ddim"] {
        let folder = copy("tiny-sdxl-random", scheduler);
        check(folder.path(), ("golden_sdxl.npz", scheduler), &asked, 20);
    }
}

/// Its guidance is the pipeline's own, 7.
#[test]
fn stable_diffusion_3_gives_the_latents_and_images_of_diffusers_with_t5_and_without() {
    let asked = [(PROMPTS[0], Some(""), None), (PROMPTS[1], Some("ugly"), None)];
    for case in ["flow_shift_3", "flow"] {
        let folder = copy("tiny-sd3-random", case);
        check(folder.path(), ("golden_sd3.npz", case), &asked, 20);
    }
    let folder = copy("tiny-sd3-random", "flow_shift_3");
    let index = folder.path().join("model_index.json");
    let mut values: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    for key in ["text_encoder_3", "tokenizer_3"] {
        values[key] = serde_json::json!([null, null]);
        std::fs::remove_dir_all(folder.path().join(key)).unwrap();
    }
    crate::store::publish(&index, values.to_string().as_bytes()).unwrap();
    check(folder.path(), ("golden_sd3.npz", "no_t5"), &asked, 20);
}

/// The graphs of an export with `--fp16`: text encoder, network and decoder take and give float16, the time too.
fn half(scheduler: &str) -> tempfile::TempDir {
    let folder = copy("tiny-sd15-random", scheduler);
    copied(&Path::new(DATA).join("half"), folder.path());
    folder
}

fn largest(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// `scripts/golden/pipelines_half.py` has the same walks in diffusers, in float32 and with its networks in float16: how far
/// these two are apart is what half precision costs there, 2.1e-3 and 1.6e-3 of the largest latent. It costs no more here, and
/// something, since weights are rounded; decoded images are one grey level apart at most.
#[test]
fn half_precision_costs_latents_no_more_than_it_does_in_diffusers() {
    let file = "golden_half.npz";
    let start: Array4<f32> = array(file, "start");
    let asked = [(PROMPTS[0], Some(""), Some(7.5)), (PROMPTS[1], Some("ugly"), Some(7.5))];
    for case in ["ddim", "pndm"] {
        let single: Array4<f32> = array(file, &format!("{case}_latent_single"));
        let theirs: Array4<f32> = array(file, &format!("{case}_latent"));
        let images: Array4<u8> = array(file, &format!("{case}_image"));
        let folder = half(case);
        let mut ours = single.clone();
        for (row, asked) in asked.iter().enumerate() {
            let got =
                sampled(folder.path(), *asked, start.slice(s![row..=row, .., .., ..]).to_owned());
            ours.slice_mut(s![row..=row, .., .., ..]).assign(&got.x0);
            let levels = got.images.iter().zip(images.index_axis(Axis(0), row));
            let apart = levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(apart <= 1, "{case} {row}: {apart} grey levels");
        }
        let (cost, own) = (largest(&theirs, &single), largest(&ours, &single));
        let size = single.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
        println!("{case}: here {} of the largest latent, there {}", own / size, cost / size);
        assert!(own <= cost && own > 1e-4 * size, "{case}: {own}, there {cost}, of {size}");
    }
}
