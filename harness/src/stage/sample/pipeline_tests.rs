//! Final latents and images of the tiny pipeline under each scheduler, beside those of diffusers.

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
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd15-random");

/// Prompts and negative prompts of `scripts/golden/pipelines.py`.
const ASKED: [[&str; 2]; 2] = [["a red cat", ""], ["一张 photo of 🐱, très BELLE lumière", "ugly"]];

fn copy(scheduler: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = ["model.onnx", "config.json"];
    let parts = [
        ("unet", &files[..]),
        ("text_encoder", &files[..]),
        ("vae_decoder", &files[..]),
        ("tokenizer", &["vocab.json", "merges.txt", "tokenizer_config.json"][..]),
        ("", &["model_index.json"][..]),
    ];
    for (part, names) in parts {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for name in names {
            let at = Path::new(part).join(name);
            std::fs::copy(Path::new(TINY).join(&at), folder.path().join(&at)).unwrap();
        }
    }
    std::fs::create_dir_all(folder.path().join("scheduler")).unwrap();
    let target = folder.path().join("scheduler/scheduler_config.json");
    std::fs::copy(Path::new(DATA).join(format!("{scheduler}.json")), target).unwrap();
    folder
}

fn array<T: ndarray_npy::ReadableElement>(name: &str) -> Array4<T> {
    let file = File::open(Path::new(DATA).join("golden.npz")).unwrap();
    NpzReader::new(file).unwrap().by_name(name).unwrap()
}

fn sampled(folder: &Path, [prompt, negative]: [&str; 2], start: Array4<f32>) -> Samples {
    let cfg = PipelineCfg { scale: Some(7.5), negative: Some(negative.to_owned()) };
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

#[test]
fn latents_and_images_are_those_of_diffusers_under_each_scheduler() {
    let start: Array4<f32> = array("start");
    for scheduler in ["pndm", "ddim", "ddim_v_trailing", "dpm", "dpm_v", "euler"] {
        let folder = copy(scheduler);
        let latents: Array4<f32> = array(&format!("{scheduler}_latent"));
        let images: Array4<u8> = array(&format!("{scheduler}_image"));
        for (row, asked) in ASKED.into_iter().enumerate() {
            let start = start.slice(s![row..=row, .., .., ..]).to_owned();
            let got = sampled(folder.path(), asked, start);
            let expected = latents.index_axis(Axis(0), row);
            let size = expected.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
            let apart = got.x0.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-4 * size, "{scheduler} {row}: {apart} of {size}");
            let levels = got.images.iter().zip(images.index_axis(Axis(0), row));
            let apart = levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(apart <= 1, "{scheduler} {row}: {apart} grey levels");
            // PNDM asks twice at its first step.
            let steps = if scheduler == "pndm" { 11 } else { 10 };
            assert_eq!(got.nfe_trajectory, 2 * steps, "{scheduler}");
        }
    }
}
