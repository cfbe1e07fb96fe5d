//! The tiny pipelines of random weights beside diffusers: text states, what is refused, gradients through guidance.

use std::path::Path;

use ndarray::{Array4, ArrayD, ArrayViewD, Axis};
use ndarray_npy::NpzReader;

use super::text_states::TextStates;
use super::{Pipeline, identity, open_pipeline};
use crate::config::{PipelineCfg, PipelineConfig};
use crate::model::bundle::{Gradients, Opened, SelfTest};
use crate::model::onnx::RuntimeOptions;
use crate::model::{ModelError, NetworkInput};
use crate::schedule::NoisePoint;
use crate::units::{SampleId, Timestep};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pipelines");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models");

/// The prompts of `scripts/golden/pipelines.py`.
const PROMPTS: [&str; 2] = ["a red cat", "一张 photo of 🐱, très BELLE lumière"];

fn config_of(name: &str, prompts: &[&str], scale: f64) -> PipelineConfig {
    let prompts = prompts.iter().map(|prompt| (*prompt).to_owned()).collect();
    let cfg = PipelineCfg { scale: Some(scale), negative: None };
    let path = Path::new(MODELS).join(name);
    PipelineConfig { cfg: Some(cfg), ..PipelineConfig::new(path, prompts) }
}

fn config(prompts: &[&str], scale: f64) -> PipelineConfig {
    config_of("tiny-sd15-random", prompts, scale)
}

fn pipeline_of(name: &str, prompts: &[&str], scale: f64) -> Pipeline {
    Pipeline::read(&config_of(name, prompts, scale), Path::new("")).unwrap()
}

fn pipeline(prompts: &[&str], scale: f64) -> Pipeline {
    pipeline_of("tiny-sd15-random", prompts, scale)
}

fn golden(file: &str, name: &str) -> ArrayD<f32> {
    let file = std::fs::File::open(Path::new(DATA).join(file)).unwrap();
    NpzReader::new(file).unwrap().by_name(name).unwrap()
}

fn close(got: ArrayViewD<'_, f32>, expected: ArrayViewD<'_, f32>) {
    assert_eq!(got.shape(), expected.shape());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-5, "{got} {expected}");
    }
}

#[test]
fn text_states_are_those_of_transformers_and_equal_texts_share_them() {
    let expected = golden("golden.npz", "text");
    let asked = pipeline(&[PROMPTS[0], PROMPTS[1], PROMPTS[0]], 7.5);
    let options = RuntimeOptions::default();
    let states = TextStates::of(&asked, &options).unwrap();
    assert_eq!(states.prompts.hidden().shape(), [3, 77, 16]);
    assert_eq!(states.prompts.pooled(), None);
    let prompts = states.prompts.all(MANY);
    for (row, of) in [0, 1, 0].into_iter().enumerate() {
        let got = prompts.states.index_axis(Axis(0), row);
        close(got, expected.index_axis(Axis(0), of));
    }
    // From the cache: the same bits.
    assert_eq!(TextStates::of(&asked, &options).unwrap().prompts.all(MANY), prompts);
    let empty = TextStates::of(&pipeline(&[""], 7.5), &options).unwrap();
    assert_eq!(states.negative, empty.prompts.all(MANY));
}

/// Bytes that hold the states of all prompts here.
const MANY: usize = 1 << 28;

/// A text of the tiny pipeline has 77 states of 16 values.
#[test]
fn memory_holds_no_more_states_than_it_may_whatever_the_number_of_prompts() {
    let prompts: Vec<String> = (0..40).map(|at| format!("a red cat, number {at}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let texts = TextStates::of(&pipeline(&prompts, 7.5), &RuntimeOptions::default()).unwrap();
    let all = texts.prompts.all(MANY);
    assert_eq!((all.states.shape(), texts.prompts.n_held()), (&[40, 77, 16][..], 40));
    for (rows, held) in [(3, 3), (1, 1), (0, 1)] {
        assert_eq!(texts.prompts.all(rows * 77 * 16 * 4), all);
        assert_eq!(texts.prompts.n_held(), held);
    }
}

#[test]
fn states_of_two_encoders_stand_beside_each_other_and_zeros_stand_for_no_prompt() {
    let options = RuntimeOptions::default();
    let mut asked = pipeline_of("tiny-sdxl-random", &PROMPTS, 5.0);
    let texts = TextStates::of(&asked, &options).unwrap();
    let prompts = texts.prompts.all(MANY);
    close(prompts.states.view(), golden("golden_sdxl.npz", "text").view());
    let pooled = prompts.pooled.unwrap();
    assert_eq!(texts.prompts.pooled().unwrap().shape(), pooled.shape());
    close(pooled.view(), golden("golden_sdxl.npz", "pooled").view());
    let zero = |states: &ArrayD<f32>| states.iter().all(|value| *value == 0.0);
    assert!(zero(&texts.negative.states) && zero(&texts.negative.pooled.unwrap()));
    assert_eq!(asked.told_negative(), None);
    asked.zero_negative = false;
    assert!(!zero(&TextStates::of(&asked, &options).unwrap().negative.states));
    // A plan that feeds zeros is not that of the empty text.
    let with = |negative: Option<&str>| {
        let cfg = PipelineCfg { scale: None, negative: negative.map(str::to_owned) };
        let config = config_of("tiny-sdxl-random", &PROMPTS, 5.0);
        let config = PipelineConfig { cfg: Some(cfg), ..config };
        identity(&Pipeline::read(&config, Path::new("")).unwrap()).unwrap()
    };
    assert_ne!(with(None), with(Some("")));
}

#[test]
fn states_of_t5_follow_those_of_clip_and_zeros_stand_for_it_where_it_is_left_out() {
    let options = RuntimeOptions::default();
    let mut asked = pipeline_of("tiny-sd3-random", &PROMPTS, 7.0);
    let texts = TextStates::of(&asked, &options).unwrap();
    let prompts = texts.prompts.all(MANY);
    assert_eq!(prompts.states.shape(), [2, 77 + 256, 24]);
    close(prompts.states.view(), golden("golden_sd3.npz", "flow_shift_3_text").view());
    let pooled = prompts.pooled.unwrap();
    close(pooled.view(), golden("golden_sd3.npz", "flow_shift_3_pooled").view());
    asked.folder.texts.pop();
    let texts = TextStates::of(&asked, &options).unwrap().prompts.all(MANY).states;
    assert_eq!(texts.shape(), [2, 77 + 256, 24]);
    let (clip, t5) = texts.view().split_at(Axis(1), 80);
    close(clip, golden("golden_sd3.npz", "no_t5_text").view());
    assert!(t5.iter().all(|value| *value == 0.0));
}

fn opened(pipeline: &Pipeline, gradients: &Gradients) -> Opened {
    open_pipeline(pipeline, &RuntimeOptions::default(), SelfTest::Skip, gradients).unwrap()
}

fn states(seed: f32) -> Array4<f32> {
    Array4::from_shape_fn((2, 4, 16, 16), |(b, c, h, w)| {
        ((b * 1024 + c * 256 + h * 16 + w) as f32 * seed).sin()
    })
}

/// `v . (epsilon(x + h d) - epsilon(x - h d)) / 2 h = (J^T v) . d` of the guided prediction, both halves of each row at once.
fn products_are_differences(pipeline: &Pipeline, place: impl Fn(&Opened) -> NoisePoint) {
    let open = opened(pipeline, &Gradients::Derive { n_draws: vec![5] });
    assert_eq!(open.denoiser.gradient_unavailable(), None);
    let place = place(&open);
    let conditions = open.spec.conditions(&[SampleId(0), SampleId(1)], None).unwrap();
    let mut guided = Opened::guided(open.denoiser, open.guidance);
    assert_eq!(guided.evaluations_a_row(), 2);
    let (x, v) = (states(0.37), states(0.71));
    let t = [place; 2];
    let asked = NetworkInput { x: x.view(), t: &t, y: Some(&conditions) };
    let (_, product) = guided.epsilon_vjp(asked, v.view()).unwrap();
    // No step is large, and all go uphill, so that the sum is no accident.
    let d = states(1.13).abs() * product.signum();
    let mut epsilon = |x: Array4<f32>| {
        let t = [place; 2];
        guided.epsilon(NetworkInput { x: x.view(), t: &t, y: Some(&conditions) }).unwrap()
    };
    let h = 1e-3;
    let slope = (epsilon(&x + h * &d) - epsilon(&x - h * &d)) / (2.0 * h);
    let dot = |a: &Array4<f32>, b: &Array4<f32>| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let (expected, got) = (dot(&v, &slope), dot(&product, &d));
    let size = (dot(&product, &product) * dot(&d, &d)).sqrt();
    assert!((got - expected).abs() < 1e-3 * size, "{got} {expected} {size}");
    assert!(got.abs() > 1e-3 * size, "the direction sees nothing: {got} of {size}");
}

#[test]
fn products_through_guidance_are_the_finite_differences_of_the_guided_prediction() {
    products_are_differences(&pipeline(&PROMPTS, 7.5), |open| open.schedule.at(Timestep(401)));
}

#[test]
fn so_they_are_for_two_encoders_and_for_a_flow() {
    let xl = pipeline_of("tiny-sdxl-random", &PROMPTS, 5.0);
    products_are_differences(&xl, |open| open.schedule.at(Timestep(401)));
    let flow = pipeline_of("tiny-sd3-random", &PROMPTS, 7.0);
    products_are_differences(&flow, |open| open.schedule.place(0.6));
}

#[test]
fn scale_one_asks_the_network_once_and_prompts_belong_to_samples() {
    let plain = opened(&pipeline(&PROMPTS, 1.0), &Gradients::None);
    assert_eq!(plain.guidance, None);
    let t = [plain.schedule.at(Timestep(1)); 2];
    let ids = |a, b| plain.spec.conditions(&[SampleId(a), SampleId(b)], None).unwrap();
    let (x, straight, crossed) = (states(0.37), ids(2, 5), ids(1, 4));
    let mut network = plain.denoiser;
    let mut told = |y: &[crate::model::Condition]| {
        use crate::model::Denoiser;
        network.epsilon(NetworkInput { x: x.view(), t: &t, y: Some(y) }).unwrap()
    };
    let (even, odd) = (told(&straight), told(&crossed));
    assert_ne!(even, odd);
    // Sample 2 and sample 0 are of the same prompt.
    assert_eq!(even, told(&[straight[0], crossed[0]]));
}

#[test]
fn a_plan_is_named_by_every_file_and_by_what_is_asked() {
    let one = identity(&pipeline(&PROMPTS, 7.5)).unwrap();
    for name in ["unet/model.onnx", "tokenizer/merges.txt", "scheduler/scheduler_config.json"] {
        assert!(one.contains_key(name), "{:?}", one.keys());
    }
    let other = identity(&pipeline(&PROMPTS, 7.0)).unwrap();
    let differ: Vec<_> = one.iter().filter(|(name, hash)| other[*name] != **hash).collect();
    assert_eq!(differ.len(), 1);
}

#[test]
fn prompts_come_from_a_file_of_utf8_with_a_prompt_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.txt");
    let read = |bytes: &[u8]| {
        crate::store::publish(&file, bytes).unwrap();
        let inline = config(&[], 7.5);
        let config = PipelineConfig { prompts: None, prompt_file: Some(file.clone()), ..inline };
        Pipeline::read(&config, Path::new("")).map(|pipeline| pipeline.prompts)
    };
    assert_eq!(read("\u{feff}a red cat\r\n猫\n".as_bytes()).unwrap(), ["a red cat", "猫"]);
    let words = |bytes: &[u8]| match read(bytes).unwrap_err() {
        ModelError::Bundle { path, message } => format!("{path}: {message}"),
        other => panic!("{other}"),
    };
    assert!(words(b"a\n\nb\n").contains("prompts.txt: line 2 is empty"));
    assert!(words(b"a\nb\xe9\n").contains("is no UTF-8 at byte 3, in line 2: save it as UTF-8"));
    assert!(words(b"").contains("has no prompt"));
}

/// The tiny pipeline with graphs as of an export with `--fp16`.
fn half() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = |root: &str, part: &str| {
        let source = Path::new(root).join(part);
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(&source).unwrap() {
            let name = entry.unwrap().file_name();
            std::fs::copy(source.join(&name), folder.path().join(part).join(&name)).unwrap();
        }
    };
    let whole = format!("{MODELS}/tiny-sd15-random");
    for part in ["scheduler", "text_encoder", "tokenizer", "unet", "vae_decoder"] {
        from(&whole, part);
    }
    for part in ["text_encoder", "unet", "vae_decoder"] {
        from(&format!("{DATA}/half"), part);
    }
    let index = Path::new(&whole).join("model_index.json");
    std::fs::copy(index, folder.path().join("model_index.json")).unwrap();
    folder
}

/// What is rounded are weights, states and answers, by 2^-11 each; the product itself is made in float32.
#[test]
fn an_export_in_half_precision_says_so_and_has_the_gradients_of_single_precision() {
    let folder = half();
    // Guidance would make the distance of each half w + (w - 1) times as large.
    let config = config(&PROMPTS, 1.0);
    let half = PipelineConfig { path: folder.path().to_owned(), ..config };
    let half = Pipeline::read(&half, Path::new("")).unwrap();
    assert!(super::label(&half).unwrap().ends_with(", float16"));
    assert_eq!(super::label(&pipeline(&PROMPTS, 7.5)).unwrap(), "tiny-sd15-random");
    let product = |pipeline: &Pipeline| {
        let open = opened(pipeline, &Gradients::Derive { n_draws: vec![5] });
        assert_eq!(open.denoiser.gradient_unavailable(), None);
        let t = [open.schedule.at(Timestep(401)); 2];
        let conditions = open.spec.conditions(&[SampleId(0), SampleId(1)], None).unwrap();
        let mut guided = Opened::guided(open.denoiser, open.guidance);
        let (x, v) = (states(0.37), states(0.71));
        let asked = NetworkInput { x: x.view(), t: &t, y: Some(&conditions) };
        guided.epsilon_vjp(asked, v.view()).unwrap()
    };
    let ((epsilon, jtv), (expected, of_single)) =
        (product(&half), product(&pipeline(&PROMPTS, 1.0)));
    let size = |a: &Array4<f32>| a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt();
    for (got, expected) in [(&epsilon, &expected), (&jtv, &of_single)] {
        let apart = size(&(got - expected)) / size(expected);
        println!("half precision: {apart:e}");
        assert!((1e-5..5e-3).contains(&apart), "{apart}");
    }
}
