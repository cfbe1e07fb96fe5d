//! Text-to-image: the tiny pipeline of random weights without an experiment, and in one.

use std::path::{Path, PathBuf};

use crate::support::{Ended, Folder, copy_folder};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd15-random");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models");
const FIG1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/fig1-sd15.yaml");

fn sample(folder: &Folder, output: &str, more: &[&str]) -> Ended {
    let mut arguments = vec!["sample", TINY, "-o", output, "--steps", "2", "--estimator", "none"];
    arguments.extend(more);
    folder.dubench(&arguments)
}

#[test]
fn prompts_are_sampled_one_image_each_under_the_guidance_that_is_asked_for() {
    let folder = Folder::new();
    let prompts = ["--prompt", "a red cat", "--prompt", "猫 🐱", "--format", "json"];
    let answer = sample(&folder, "two", &prompts).json();
    // PNDM, which the pipeline names, asks once more at its first step; guidance doubles.
    assert_eq!(
        (&answer["nfe_trajectory"], &answer["sampler"]["kind"]),
        (&6.into(), &"pndm".into())
    );
    assert_eq!(answer["pipeline"]["guidance_scale"], 7.5);
    assert_eq!(folder.states("two/final.npy").shape(), [2, 4, 16, 16]);
    assert!(folder.path("two/images/00000001.png").is_file());
    let plain = [&prompts[..], &["--cfg", "1", "--size", "16,48", "-n", "1"]].concat();
    assert_eq!(sample(&folder, "plain", &plain).json()["nfe_trajectory"], 3);
    assert_eq!(folder.states("plain/final.npy").shape(), [1, 4, 8, 24]);
    // A part of a set has its digits.
    sample(&folder, "part", &[&prompts[..], &["--first", "1", "-n", "1"]].concat()).json();
    let (whole, part) = (folder.states("two/final.npy"), folder.states("part/final.npy"));
    assert_eq!(part.index_axis(ndarray::Axis(0), 0), whole.index_axis(ndarray::Axis(0), 1));
}

#[test]
fn what_a_text_loses_is_counted() {
    let folder = Folder::new();
    let long = "a ".repeat(90);
    let ended = sample(&folder, "long", &["--prompt", &long]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // 92 tokens with start and end, of which 77 fit.
    assert!(
        ended.stderr.contains("the last 15 tokens are lost: the text encoder takes 77"),
        "{}",
        ended.stderr
    );
}

#[test]
fn prompts_that_cannot_be_are_refused_by_name() {
    let folder = Folder::new();
    sample(&folder, "out", &[]).fails(2, &["--prompt", "a text for the pipeline"]);
    sample(&folder, "out", &["--prompt", "a", "--labels", "1"])
        .fails(2, &["--labels", "no classes"]);
    sample(&folder, "out", &["--prompt", "a", "--size", "33,32"])
        .fails(3, &["size: is [33, 32]", "multiples of 2"]);
    folder.bytes("latin.txt", b"caf\xe9\n");
    sample(&folder, "out", &["--prompts", "latin.txt"])
        .fails(3, &["latin.txt", "no UTF-8 at byte 3, in line 1"]);
    sample(&folder, "out", &["--prompts", "nowhere.txt"])
        .fails(3, &["nowhere.txt", "cannot be read"]);
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");
    folder
        .dubench(&["sample", bundle, "-o", "out", "--prompt", "a"])
        .fails(2, &["--prompt", "takes no text"]);
    assert!(!folder.path("out").exists());
}

/// Samples by a copy of a pipeline that `change` has been at.
fn is_refused(
    (folder, model): (&Folder, &str),
    name: &str,
    change: &dyn Fn(PathBuf),
    words: &[&str],
) {
    copy_folder(&Path::new(MODELS).join(model), &folder.path(name));
    change(folder.path(name));
    folder.dubench(&["sample", name, "-o", "out", "--prompt", "a"]).fails(3, words);
}

#[test]
fn pipelines_that_cannot_be_are_refused_by_name() {
    let folder = Folder::new();
    let refused = |name: &str, change: &dyn Fn(PathBuf), words: &[&str]| {
        is_refused((&folder, "tiny-sd15-random"), name, change, words);
    };
    let remove =
        |what: &'static str| move |root: PathBuf| std::fs::remove_file(root.join(what)).unwrap();
    let no_folder = |root: PathBuf| std::fs::remove_dir_all(root.join("vae_decoder")).unwrap();
    refused("a", &no_folder, &["a: vae_decoder: is no folder of the pipeline"]);
    refused("b", &remove("tokenizer/merges.txt"), &["merges.txt: is not there"]);
    refused(
        "c",
        &remove("unet/model.onnx"),
        &["unet: has no model.onnx", "optimum-cli export onnx"],
    );
    let scheduler = |root: PathBuf| {
        let name = "scheduler/scheduler_config.json";
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        folder.text(&format!("d/{name}"), &text.replace("PNDMScheduler", "HeunDiscreteScheduler"));
    };
    refused(
        "d",
        &scheduler,
        &["scheduler_config.json: _class_name: is \"HeunDiscreteScheduler\"", "DDIMScheduler"],
    );
    let damaged = |root: PathBuf| {
        folder.bytes(
            "e/unet/model.onnx",
            &std::fs::read(root.join("unet/model.onnx")).unwrap()[..1000],
        );
    };
    copy_folder(&Path::new(MODELS).join("tiny-sd15-random"), &folder.path("e"));
    damaged(folder.path("e"));
    folder.dubench(&["sample", "e", "-o", "out", "--prompt", "a"]).fails(5, &["unet/model.onnx: "]);
    assert!(!folder.path("out").exists());
}

/// Graphs as of an export with `--fp16`, through both stages of a guided pair; the table names the precision.
#[test]
fn pipelines_in_half_precision_are_guided_and_named() {
    let folder = Folder::new();
    copy_folder(Path::new(TINY), &folder.path("mine"));
    let half = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pipelines/half");
    copy_folder(Path::new(half), &folder.path("mine"));
    let text = format!(
        "extends: {FIG1}\nname: half\nsampler: {{kind: ddim, n_steps: 2}}\n\
         estimators: [{{kind: sample_var, window: {{start: 0, len: 2}}}}]\nmodel: {{path: mine}}\n\
         scales: {{mini: {{n_pool: 2}}}}\n\
         protocol: {{kind: pairs, arms: [{{name: two, rule: {{kind: gradient}}}}]}}\n"
    );
    let prompts = format!("{MODELS}/../prompts/fig1.txt");
    let text = text.replace("path: mine", &format!("path: mine, prompt_file: {prompts}"));
    folder.bytes("half.yaml", text.as_bytes());
    let arguments =
        ["run", "half.yaml", "--scale", "mini", "--work-dir", "work", "--results-dir", "out"];
    let ended = folder.dubench(&arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table = std::fs::read_to_string(folder.path("out/half/mini/table.md")).unwrap();
    assert!(table.contains("`mine, float16`") && table.contains("Moved"), "{table}");
}

/// The declared element type of the state, as an export in bfloat16 has it.
#[test]
fn pipelines_in_bfloat16_are_refused_with_the_remedy() {
    let folder = Folder::new();
    copy_folder(Path::new(TINY), &folder.path("half"));
    let mut bytes = std::fs::read(folder.path("half/unet/model.onnx")).unwrap();
    // Name, type, tensor type, and in it field 1, the element type: 1 is float32, 16 bfloat16.
    let is_port = |window: &[u8]| {
        window.starts_with(b"\x0a\x06sample\x12") && window[10] == 0x0a && window[12..] == [8, 1]
    };
    let at = bytes.windows(14).position(is_port).unwrap();
    bytes[at + 13] = 16;
    folder.bytes("half/unet/model.onnx", &bytes);
    folder.dubench(&["sample", "half", "-o", "out", "--prompt", "a"]).fails(
        3,
        &["unet/model.onnx: `sample` is bfloat16", "in float32 or, by --fp16, in float16"],
    );
}

#[test]
fn figure_1_at_smoke_is_a_sheet_of_pairs_and_their_differences() {
    let folder = Folder::new();
    let arguments = ["run", FIG1, "--scale", "smoke", "--work-dir", "work", "--results-dir", "out"];
    let ended = folder.dubench(&arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table = std::fs::read_to_string(folder.path("out/fig1-sd15/smoke/table.md")).unwrap();
    assert!(table.contains("`gradient`") && table.contains("Δ unguided"), "{table}");
    assert!(folder.path("out/fig1-sd15/smoke/plots/pairs.svg").is_file());
}

#[test]
fn pipelines_are_inspected_with_their_text_encoders_and_latents() {
    let folder = Folder::new();
    let inspect = |name: &str, more: &[&str]| {
        let path = Path::new(MODELS).join(name);
        let path = path.to_str().unwrap();
        folder.dubench(&[&["model", "inspect", path][..], more].concat())
    };
    let ended = inspect("tiny-sd3-random", &["--gradients"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in [
        "pipeline    StableDiffusion3Pipeline, diffusers 0.42.1",
        "images      32 x 32 of latents [4, 16, 16], decoded from latent / 1.5305 + 0.0609",
        "prediction  velocity",
        "guidance    7",
        "text        text_encoder_2 by tokenizer_2, 77 tokens: hidden_states.1, text_embeds",
        "text        text_encoder_3 by tokenizer_3, 256 tokens: last_hidden_state",
        "gradients   applicable",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    let xl = inspect("tiny-sdxl-random", &["--format", "json"]).json();
    assert_eq!(xl["conditions"]["time_ids"], serde_json::json!([6]));
    assert_eq!((&xl["zero_negative"], &xl["guidance"]), (&true.into(), &5.0.into()));
    assert_eq!(xl["sampler"], "edm_euler-50");
}

#[test]
fn stable_diffusion_3_without_t5_or_another_part_says_what_to_do() {
    let folder = Folder::new();
    let refused = |name: &str, change: &dyn Fn(PathBuf), words: &[&str]| {
        is_refused((&folder, "tiny-sd3-random"), name, change, words);
    };
    let without =
        |part: &'static str| move |root: PathBuf| std::fs::remove_dir_all(root.join(part)).unwrap();
    refused(
        "a",
        &without("text_encoder_3"),
        &["text_encoder_3: is no folder", "[null, null]", "without T5"],
    );
    refused("b", &without("transformer"), &["transformer: is no folder of the pipeline"]);
    refused("c", &without("tokenizer_2"), &["tokenizer_2: is no folder of the pipeline"]);
    let slow = |root: PathBuf| {
        std::fs::remove_file(root.join("tokenizer_3/tokenizer.json")).unwrap();
        let path = root.join("tokenizer_3/spiece.model");
        folder.bytes(path.to_str().unwrap(), b"\n\x0e");
    };
    refused("g", &slow, &["tokenizer_3: holds spiece.model alone", "save_pretrained"]);
    assert!(!folder.path("out").exists());
}

#[test]
fn stable_diffusion_3_of_a_wrong_kind_or_size_says_what_to_do() {
    let folder = Folder::new();
    let refused = |name: &str, change: &dyn Fn(PathBuf), words: &[&str]| {
        is_refused((&folder, "tiny-sd3-random"), name, change, words);
    };
    let replace = |name: &'static str, from: &'static str, to: &'static str| {
        let folder = &folder;
        move |root: PathBuf| {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            assert!(text.contains(from), "{text}");
            let path = root.join(name);
            folder.text(path.to_str().unwrap(), &text.replace(from, to));
        }
    };
    let scheduler = "scheduler/scheduler_config.json";
    refused(
        "d",
        &replace(scheduler, "\"use_dynamic_shifting\": false", "\"use_dynamic_shifting\": true"),
        &["use_dynamic_shifting: is true"],
    );
    refused(
        "e",
        &replace("text_encoder/config.json", "\"num_hidden_layers\": 2", "\"layers\": 2"),
        &["text_encoder/config.json: num_hidden_layers: is missing"],
    );
    refused(
        "f",
        &replace("model_index.json", "StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
        &["is StableDiffusion3Img2ImgPipeline: StableDiffusionPipeline (1 and 2)"],
    );
    copy_folder(&Path::new(MODELS).join("tiny-sd3-random"), &folder.path("h"));
    folder
        .dubench(&["sample", "h", "-o", "out", "--prompt", "a", "--size", "30,32"])
        .fails(3, &["size: is [30, 32], expected multiples of 4"]);
    assert!(!folder.path("out").exists());
}

#[test]
fn figures_of_a_flow_at_smoke_have_the_released_quirk_beside_the_rule() {
    let folder = Folder::new();
    for name in ["fig1-sd3", "fig12-sd3"] {
        let file = Path::new(MODELS).join("..").join(format!("{name}.yaml"));
        let file = file.to_str().unwrap();
        let arguments =
            ["run", file, "--scale", "smoke", "--work-dir", "work", "--results-dir", "out"];
        let ended = folder.dubench(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let table = format!("out/{name}/smoke/table.md");
        let table = std::fs::read_to_string(folder.path(&table)).unwrap();
        assert!(table.contains("`released_flow") && table.contains("Δ unguided"), "{table}");
        assert!(table.contains("velocity taken for epsilon"), "{table}");
    }
}

fn experiment(name: &str) -> String {
    format!("{MODELS}/../{name}.yaml")
}

#[test]
fn every_figure_of_text_to_image_has_a_plan_at_smoke() {
    let folder = Folder::new();
    for name in
        ["fig1-sd15", "fig6-sd15", "fig7-sd15", "fig10-sd15", "fig1-sd3", "fig12-sd3", "fig13-sd3"]
    {
        let ended = folder.dubench(&["plan", &experiment(name), "--scale", "smoke", "--print"]);
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
        // With the features that are CLIP's cosines.
        assert!(ended.stdout.contains("features_id"), "{}", ended.stdout);
    }
}

/// An experiment of one's own pipeline: six starts of two prompts.
fn three_lines(name: &str, more: &str) -> String {
    format!(
        "extends: {}\nname: {name}\nsampler: {{kind: ddim, n_steps: 2}}\nestimators: []\n\
         model: {{path: {MODELS}/tiny-sd15-random, prompts: [a red cat, a blue dog], prompt_file: null}}\n\
         protocol: {{kind: pairs, arms: [{{name: two, rule: {{kind: gradient}}}}]}}\n\
         scales: {{mini: {{n_pool: 6}}}}\n{more}",
        experiment("fig1-sd15")
    )
}

fn clip(name: &str) -> String {
    format!("features: {{kind: clip, path: {MODELS}/{name}}}\n")
}

/// What the table says of them, with a CLIP export and without.
#[test]
fn an_experiment_of_three_lines_makes_pairs_of_ones_own_pipeline() {
    let folder = Folder::new();
    let run = |name: &str, more: &str| {
        folder.bytes(&format!("{name}.yaml"), three_lines(name, more).as_bytes());
        let file = format!("{name}.yaml");
        let arguments =
            ["run", &file, "--scale", "mini", "--work-dir", "work", "--results-dir", "out"];
        let ended = folder.dubench(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        std::fs::read_to_string(folder.path(&format!("out/{name}/mini/table.md"))).unwrap()
    };
    let table = run("without", "");
    assert!(
        !table.contains("CLIP score |") && table.contains("No CLIP score was taken"),
        "{table}"
    );
    assert!(table.contains("6 starts of 2 prompts"), "{table}");
    assert!(table.contains("random weights: pictures and numbers mean nothing"), "{table}");
    let table = run("with", &clip("tiny-clip-random"));
    assert!(table.contains("| CLIP score |") && table.contains("by `tiny-clip-random`"), "{table}");
    let sheet = std::fs::read_to_string(folder.path("out/with/mini/plots/pairs.svg")).unwrap();
    assert!(sheet.contains("a blue dog") && sheet.contains("CLIP "), "no prompt on the sheet");
}

#[test]
fn features_that_do_not_belong_to_pairs_are_refused() {
    let folder = Folder::new();
    let refused = |name: &str, text: String, expected: &str| {
        folder.bytes(name, text.as_bytes());
        let ended = folder.dubench(&["plan", name, "--scale", "mini"]);
        assert!(ended.code != 0 && ended.stderr.contains(expected), "{}", ended.stderr);
    };
    refused(
        "gone.yaml",
        three_lines("gone", &clip("nowhere")),
        "optimum-cli export onnx --model openai/clip",
    );
    let other = format!(
        "extends: {}\nname: other\n{}",
        experiment("table1-cifar10"),
        clip("tiny-clip-random")
    );
    refused("other.yaml", other, "which protocol pairs alone reports");
    let sets = "features: {kind: pixels, grid: 2}\n";
    refused("sets.yaml", three_lines("sets", sets), "pairs are not judged by FID");
}
