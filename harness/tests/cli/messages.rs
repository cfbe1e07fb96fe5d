//! Messages that people found poor: each says which file and where, what is there, what is expected, and the remedy.

use sha2::{Digest, Sha256};

use crate::support::{Folder, TINY};

/// `plan` of the tiny experiment with one thing changed.
fn edited(folder: &Folder, from: &str, to: &str) -> crate::support::Ended {
    let text = TINY.replacen(from, to, 1);
    assert_ne!(text, TINY, "{from} is not in the experiment");
    folder.text("edited.yaml", &text);
    folder.dubench(&["plan", "edited.yaml", "--scale", "smoke"])
}

#[test]
fn a_wrong_type_or_a_missing_key_has_its_key_path() {
    let folder = Folder::new();
    let protocol =
        "protocol: {kind: filtering, n_random: 50, curve: {n_parts: 4, n_points: 2, n_random: 10}}";
    for (from, to, words) in [
        (
            "[3, 8, 8]",
            "[3, 8]",
            "model.shape: invalid length 2, expected an array of length 3 (line 7)",
        ),
        (
            protocol,
            "protocol: {kind: guidance}",
            "protocol: missing field `arms`: write this key there",
        ),
        (
            "n_parts: 4",
            "n_parts: four",
            "protocol.curve.n_parts: invalid type: string \"four\", expected u32",
        ),
        (
            "{kind: total_variation}",
            "{kind: variation}",
            "controls[0].kind: unknown variant `variation`",
        ),
        (
            "start: 40, len: 2",
            "start: 40",
            "estimators[1].window: missing field `len`: write this key",
        ),
        ("grid: 2", "girt: 2", "features.girt: unknown field `girt`, expected `grid`"),
        ("n_pool: 48, ", "", "scales.smoke: missing field `n_pool`"),
        ("name: tiny\n", "", "missing field `name`: write this key there"),
    ] {
        edited(&folder, from, to).fails(2, &["error: edited.yaml: ", words]);
    }
    // The same where the values come from two files.
    folder.text("child.yaml", "extends: tiny.yaml\nmodel: {shape: [3, 8]}\n");
    folder.dubench(&["plan", "child.yaml", "--scale", "smoke"]).fails(
        2,
        &["child.yaml: model.shape: invalid length 2", "with what it takes from tiny.yaml"],
    );
}

#[test]
fn a_size_that_is_none_and_what_must_be_made_first_are_told() {
    let folder = Folder::new();
    let lots = ["run", "tiny.yaml", "--scale", "smoke", "--memory", "lots"];
    let ended = folder.dubench(&lots);
    assert!(ended.stderr.contains("expected a size, such as 512MiB or 4GiB"), "{}", ended.stderr);
    assert_eq!(ended.code, 2);
    let made = ["none.npz: there is no such file", "`dubench stats", "`dubench import-stats`"];
    edited(&folder, "path: reference.npz", "path: none.npz").fails(3, &made);
    let model = "model:\n  kind: analytic\n  shape: [3, 8, 8]\n  mean: 0.1\n  std: 0.5\n  schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}\n";
    edited(&folder, model, "model: {kind: bundle, path: none}\n")
        .fails(2, &["none/model.yaml: cannot be read", "imported first (docs/importing.md)"]);
}

#[test]
fn a_file_that_is_not_there_is_called_what_it_is() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("empty")).unwrap();
    let inspect = folder.dubench(&["model", "inspect", "empty"]);
    inspect.fails(
        2,
        &[
            "empty/model.yaml: cannot be read",
            "the model.yaml of a bundle, or the model_index.json of a pipeline: name the folder",
        ],
    );
    assert!(!inspect.stderr.contains("experiment file"), "{}", inspect.stderr);
    edited(&folder, "{kind: pixels, grid: 2}", "{kind: extractor, path: none.yaml}").fails(
        2,
        &["none.yaml: cannot be read", "a feature network", "`features.path`", "--extractor"],
    );
    folder.text("child.yaml", "extends: none.yaml\n");
    folder
        .dubench(&["plan", "child.yaml", "--scale", "smoke"])
        .fails(2, &["none.yaml: cannot be read", "`extends`"]);
    folder.dubench(&["plan", "none.yaml"]).fails(2, &["none.yaml", "expected an experiment file"]);
}

#[test]
fn default_windows_fit_any_walk_and_a_written_one_past_the_end_is_refused() {
    let folder = Folder::new();
    let short = edited(&folder, "n_steps: 50", "n_steps: 20");
    short.fails(
        2,
        &["estimators[1].window: window 40..=41 ends past the last step 19: set window.start to 18 or less"],
    );
    assert!(!short.stderr.contains("estimators[0]"), "{}", short.stderr);
    let text = TINY.replace("n_steps: 50", "n_steps: 20").replace("start: 40", "start: 10");
    folder.text("mended.yaml", &text);
    let mended = folder.dubench(&["plan", "mended.yaml", "--scale", "smoke"]);
    assert_eq!(mended.code, 0, "what the message says must do: {}", mended.stderr);
}

#[test]
fn a_network_that_cannot_take_a_size_is_told_once_with_its_file_and_node() {
    let folder = Folder::new();
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny/fixed_positions.onnx");
    let bytes = std::fs::read(graph).unwrap();
    std::fs::create_dir(folder.path("bundle")).unwrap();
    folder.bytes("bundle/denoiser.onnx", &bytes);
    let mut sha256 = String::new();
    for byte in Sha256::digest(&bytes) {
        sha256.push_str(&format!("{byte:02x}"));
    }
    let describe = |side: usize| {
        let text = format!(
            "format: 1\nname: positions\n\
             task: {{kind: denoiser, image: [3, {side}, {side}], range: [-1, 1], classes: null}}\n\
             prediction: epsilon\n\
             schedule: {{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}}\n\
             timestep: {{offset: 0}}\n\
             graphs:\n  denoiser: {{file: denoiser.onnx, inputs: {{x: sample, t: timestep}}, outputs: {{prediction: eps}}}}\n\
             files: {{denoiser.onnx: {{sha256: {sha256}, bytes: {}}}}}\n",
            bytes.len()
        );
        folder.text("bundle/model.yaml", &text);
        folder.dubench(&["model", "inspect", "bundle"])
    };
    let ended = describe(6);
    ended.fails(
        3,
        &["bundle/denoiser.onnx: node positions (Add)", "4 by 6", "`task.image` of model.yaml"],
    );
    assert_eq!(ended.stderr.matches("broadcast").count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("onnxruntime_src"), "{}", ended.stderr);
    assert_eq!(describe(4).code, 0);
}

#[test]
fn doctor_names_what_a_gpu_lacks_with_the_command_that_brings_it() {
    let folder = Folder::new();
    let ended = folder.dubench(&["doctor", "--device", "cuda"]);
    let remedies = [
        ("CUDA build", "scripts/setup.sh cuda"),
        ("CUDA driver", "--gpus all"),
        ("CUDA", "pip install 'onnxruntime-gpu[cuda,cudnn]"),
    ];
    let mut n_missing = 0;
    for (what, remedy) in remedies {
        let is_of = |line: &&str| line.get(8..20).is_some_and(|name| name.trim_end() == what);
        let line = ended.stdout.lines().find(is_of).unwrap_or_else(|| panic!("{}", ended.stdout));
        // A machine that has one of them says where.
        assert_eq!(line.starts_with("missing"), line.contains(remedy), "{line}");
        n_missing += usize::from(line.starts_with("missing"));
    }
    assert!(n_missing == 0 || ended.code == 7, "{}", ended.stdout);
    let plain = folder.dubench(&["doctor"]).stdout;
    assert!(!plain.contains("CUDA"), "{plain}");
}

#[test]
fn options_of_a_gpu_and_lists_of_devices_are_refused_with_what_is_accepted() {
    let folder = Folder::new();
    let plan = |option: &str, value: &str| {
        let ended = folder.dubench(&["generate", "tiny.yaml", "--scale", "smoke", option, value]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        ended.stderr
    };
    assert!(plan("--cuda", "search=best").contains("search=fixed|heuristic|exhaustive"));
    assert!(plan("--device", "cuda:0,cuda:0").contains("several GPUs as cuda:0,cuda:1"));
    assert!(plan("--turns", "0").contains("at least 1"));
    assert!(plan("--step-graph", "perhaps").contains("off, on"));
    let whole = ["generate", "tiny.yaml", "--scale", "smoke", "--step-graph", "on"];
    folder.dubench(&whole).fails(3, &["--step-graph on is not applicable", "no bundle"]);
    let ended = folder.dubench(&["doctor", "--device", "cuda:0,cuda:1"]);
    assert!(ended.stderr.contains("one of cpu, cuda, cuda:<ordinal> and openvino"));
}

#[test]
fn blocks_in_turn_have_the_digits_of_one_at_a_time_from_the_command_line_too() {
    let folder = Folder::new();
    let in_turn = ["--turns", "2", "--networks", "1", "--work-dir", "other"];
    assert_eq!(folder.digest(&in_turn), folder.digest(&[]));
}
