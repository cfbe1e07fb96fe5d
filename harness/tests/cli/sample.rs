//! `dubench sample`: the shipped network without an experiment.

use ndarray::{Array2, Axis, s};

use crate::support::Folder;

const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/ddpm-cifar10-small");

fn json(folder: &Folder, output: &str, more: &[&str]) -> serde_json::Value {
    sample(folder, output, &[more, &["--format", "json"]].concat()).json()
}

fn sample(folder: &Folder, output: &str, more: &[&str]) -> crate::support::Ended {
    let mut arguments = vec!["sample", BUNDLE, "-o", output, "--steps", "4"];
    arguments.extend(more);
    folder.dubench(&arguments)
}

#[test]
fn a_part_of_a_set_and_given_starts_have_the_digits_of_the_whole() {
    let folder = Folder::new();
    let answer = json(&folder, "whole", &["-n", "3", "--seed", "5"]);
    assert_eq!((&answer["nfe_trajectory"], &answer["methods"][0]["nfe"]), (&4.into(), &5.into()));
    let whole = folder.states("whole/final.npy");
    assert_eq!(whole.shape(), [3, 3, 32, 32]);
    json(&folder, "part", &["-n", "2", "--first", "1", "--seed", "5"]);
    assert_eq!(folder.states("part/final.npy"), whole.slice(s![1.., .., .., ..]));
    let csv = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    let (all, part) = (csv("whole/scores.csv"), csv("part/scores.csv"));
    assert_eq!(all.lines().next(), Some("sample,sample_var"));
    assert_eq!(part.lines().skip(1).collect::<Vec<_>>(), all.lines().skip(2).collect::<Vec<_>>());
    assert!(folder.path("whole/images/00000002.png").is_file());
    assert!(folder.path("whole/uncertainty.png").is_file());
    assert!(folder.path("whole/maps.npz").is_file() && folder.path("whole/sample.json").is_file());
}

#[test]
fn starts_are_read_from_a_file_and_their_number_is_that_of_the_images() {
    let folder = Folder::new();
    let flat =
        Array2::from_shape_fn((2, 3 * 32 * 32), |(i, j)| ((i + 2) * j % 17) as f32 / 8.0 - 1.0);
    let x = flat.into_shape_with_order((2, 3, 32, 32)).unwrap();
    folder.array("x.npy", &x);
    folder.array("second.npy", &x.slice(s![1.., .., .., ..]).to_owned());
    let more = ["--estimator", "none", "--starts"];
    json(&folder, "both", &[&more[..], &["x.npy"]].concat());
    json(&folder, "one", &[&more[..], &["second.npy"]].concat());
    let both = folder.states("both/final.npy");
    assert_eq!(folder.states("one/final.npy").index_axis(Axis(0), 0), both.index_axis(Axis(0), 1));
    assert!(!folder.path("both/maps.npz").exists());
    sample(&folder, "other", &["--starts", "x.npy", "-n", "3"])
        .fails(2, &["-n", "as many as --starts"]);
    folder.array("short.npy", &x.slice(s![.., .., 1.., ..]).to_owned());
    sample(&folder, "other", &["--starts", "short.npy"]).fails(3, &["starts", "[2, 3, 32, 32]"]);
}

#[test]
fn what_cannot_be_sampled_is_refused_and_nothing_is_written_over() {
    let folder = Folder::new();
    sample(&folder, "out", &["--sampler", "dimm"]).fails(2, &["--sampler", "`ddim`"]);
    sample(&folder, "out", &["--sampler", "{kind: ddim, eta: 2}"]).fails(2, &["--sampler: eta"]);
    sample(&folder, "out", &["--estimator", "sample_vra"])
        .fails(2, &["--estimator", "`sample_var`"]);
    sample(&folder, "out", &["--estimator", "{kind: sample_var, n_draws: 0}"])
        .fails(2, &["--estimator", "set n_draws of the estimator to 2 or more"]);
    let late = "{kind: sample_var, window: {start: 3, len: 2}}";
    sample(&folder, "out", &["--estimator", late]).fails(2, &["past the last step 3"]);
    let twice = ["--estimator", "sample_var", "--estimator", "sample_var"];
    sample(&folder, "out", &twice).fails(2, &["a name of its own"]);
    sample(&folder, "out", &["--labels", "1"]).fails(3, &["label 1: it is unconditional"]);
    sample(&folder, "out", &["-n", "0"]).fails(2, &["at least 1"]);
    assert!(!folder.path("out").exists());
    std::fs::create_dir(folder.path("out")).unwrap();
    folder.text("out/mine.txt", "mine");
    sample(&folder, "out", &[]).fails(2, &["new or empty"]);
    folder
        .dubench(&["sample", "nowhere", "-o", "new"])
        .fails(2, &["nowhere/model.yaml", "expected the model.yaml of a bundle"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_cannot_be_written_is_told_before_the_work() {
    let folder = Folder::new();
    // Days of work, which nobody waits for.
    let ended = sample(&folder, "/proc/no-place", &["-n", "1000000"]);
    ended.fails(7, &["/proc/no-place", "cannot be written"]);
}

#[test]
fn a_description_is_written_once_and_what_it_describes_runs() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("mine")).unwrap();
    for name in ["denoiser.onnx", "weights.safetensors"] {
        std::fs::copy(format!("{BUNDLE}/{name}"), folder.path(&format!("mine/{name}"))).unwrap();
    }
    let ended = folder.dubench(&["model", "init", "mine"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("check  prediction: epsilon is a guess"), "{}", ended.stdout);
    folder.dubench(&["model", "init", "mine"]).fails(2, &["model.yaml", "move it aside"]);
    let answer = folder
        .dubench(&["sample", "mine", "-o", "out", "-n", "1", "--steps", "2", "--format", "json"]);
    assert_eq!(answer.json()["nfe_trajectory"], 2);
}

#[test]
fn a_network_stored_in_half_says_so_and_computes_in_float32() {
    let folder = Folder::new();
    for name in ["full", "half"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/graph/tests/data/ddpm_traced_17.onnx");
    folder.bytes("full/denoiser.onnx", &std::fs::read(graph).unwrap());
    let narrow = ["graph", "half", "--weights", graph, "-o", "half/denoiser.onnx"];
    assert_eq!(folder.dubench(&narrow).code, 0);
    for name in ["full", "half"] {
        assert_eq!(folder.dubench(&["model", "init", name]).code, 0);
    }
    let summary = folder.dubench(&["model", "inspect", "half", "--format", "json"]).json();
    assert_eq!(
        (&summary["precision"], &summary["storage"]),
        (&"float32".into(), &"float16".into())
    );
    let words = folder.dubench(&["model", "inspect", "half"]).stdout;
    assert!(words.contains("weights     float32, stored in float16"), "{words}");
    // Near the network that it was made from: rounding is all that happened.
    let images = |network: &str, output: &str| {
        let call = ["sample", network, "-o", output, "--steps", "4", "-n", "2"];
        let ended = folder.dubench(&[&call[..], &["--estimator", "none"]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        folder.states(&format!("{output}/final.npy"))
    };
    let apart = images("full", "wide") - images("half", "small");
    let largest = apart.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(largest > 0.0 && largest < 0.01, "{largest}");
}

#[test]
fn estimators_that_need_the_gradient_graph_get_it() {
    let folder = Folder::new();
    let answer = json(&folder, "out", &["-n", "1", "--estimator", "divergence"]);
    assert_eq!(answer["methods"][0]["name"], "divergence", "{answer}");
    assert!(answer["methods"][0]["scores"][0].as_f64().is_some_and(f64::is_finite), "{answer}");
}

#[test]
fn a_fault_of_a_description_is_one_of_the_input_and_an_absent_one_of_the_call() {
    let folder = Folder::new();
    crate::support::copy_folder(std::path::Path::new(BUNDLE), &folder.path("mine"));
    let whole = std::fs::read_to_string(folder.path("mine/model.yaml")).unwrap();
    for (from, to, word) in [
        ("prediction: epsilon", "prediction: noise", "prediction"),
        ("format: 1", "format: 9", "format"),
        ("range: [-1, 1]", "range: [-1, 2]", "task.range"),
        ("n_train_steps: 1000", "n_train_steps: 0", "n_train_steps"),
        ("beta_end: 0.02", "beta_end: 2", "beta_end"),
    ] {
        assert!(whole.contains(from), "{whole}");
        folder.text("mine/model.yaml", &whole.replace(from, to));
        for call in [&["model", "inspect", "mine"][..], &["sample", "mine", "-o", "out"]] {
            folder.dubench(call).fails(3, &["mine/model.yaml", word]);
        }
    }
}

#[test]
fn a_file_in_the_place_of_the_output_folder_is_a_wrong_option() {
    let folder = Folder::new();
    folder.text("afile", "mine");
    for output in ["afile", "afile/x", "/dev/null"] {
        sample(&folder, output, &[]).fails(2, &["--output", output, "name another"]);
    }
}

#[test]
fn a_plan_refuses_guidance_and_published_numbers_that_a_run_would_refuse() {
    let folder = Folder::new();
    let table1 = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/table1-cifar10.yaml");
    let plan = |more: &str| {
        folder.text("mine.yaml", &format!("extends: {table1}\nname: mine\n{more}"));
        folder.dubench(&["plan", "mine.yaml", "--scale", "smoke"])
    };
    plan("model: {cfg: {scale: 4}}\n").fails(3, &["cfg.scale: is 4", "cfg.null"]);
    plan("published: {file: published/none.yaml}\n").fails(2, &["published/none.yaml"]);
    let early = plan("sampler: {n_steps: 10}\n");
    early.fails(2, &["ends past the last step 9: set window.start to 6 or less"]);
    let none = plan("sampler: {n_steps: 0}\n");
    assert!(none.code == 2 && !none.stderr.contains("0 or less"), "{}", none.stderr);
}
