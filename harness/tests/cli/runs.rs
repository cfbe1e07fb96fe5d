//! `dubench run` and its stages, as a person or a scheduler calls them.

use crate::laplace::bundle;
use crate::support::{Folder, TINY, find};

#[test]
fn a_run_gives_tables_plots_and_a_record_and_a_second_one_finds_them() {
    let folder = Folder::new();
    let first = folder.dubench(&["run", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let results = folder.path("results/tiny/smoke");
    for name in ["table.md", "table.tex", "metrics.parquet", "run.json", "plots/filter-curve.svg"] {
        assert!(results.join(name).is_file(), "{name} is missing");
    }
    assert!(first.stdout.contains("table.md"), "{}", first.stdout);
    let second = folder.dubench(&["run", "tiny.yaml", "--scale", "smoke", "--format", "json"]);
    assert_eq!(second.json()["found"], true);
}

#[test]
fn a_network_that_was_replaced_is_found_where_nothing_is_left_to_make() {
    let folder = Folder::new();
    bundle(&folder, "mine", "quarter");
    let [start, end] = ["model:", "sampler:"].map(|key| TINY.find(key).unwrap());
    let text = format!("{}model: {{kind: bundle, path: mine}}\n{}", &TINY[..start], &TINY[end..]);
    folder.text("mine.yaml", &text);
    let call = ["run", "mine.yaml", "--scale", "smoke"];
    assert_eq!(folder.dubench(&call).code, 0);
    let graph = folder.path("mine/denoiser.onnx");
    let whole = std::fs::read(&graph).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    folder.bytes("mine/denoiser.onnx", &other);
    for more in [&[] as &[&str], &["--force"]] {
        folder.dubench(&[&call[..], more].concat()).fails(5, &["mine/denoiser.onnx", "sha256 is"]);
    }
    // Parts may be put together where the network is not, and where it is again.
    std::fs::remove_file(&graph).unwrap();
    assert_eq!(folder.dubench(&call).code, 0);
    folder.bytes("mine/denoiser.onnx", &whole);
    assert_eq!(folder.dubench(&call).code, 0);
}

#[test]
fn a_report_before_the_evaluation_is_incomplete() {
    let folder = Folder::new();
    assert_eq!(folder.dubench(&["generate", "tiny.yaml", "--scale", "smoke"]).code, 0);
    let report = folder.dubench(&["report", "tiny.yaml", "--scale", "smoke"]);
    report.fails(4, &["metrics.parquet", "run `dubench evaluate`"]);
}

#[test]
fn plots_come_as_svg_alone_where_that_is_asked_for() {
    let folder = Folder::new();
    let plots = |more: &[&str]| {
        let ended = folder.dubench(&[&["run", "tiny.yaml", "--scale", "smoke"], more].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let record = std::fs::read_to_string(folder.path("results/tiny/smoke/run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let names = record["details"]["artefacts"].as_object().unwrap().keys().cloned();
        let of =
            |names: &[String], end: &str| names.iter().filter(|name| name.ends_with(end)).count();
        let names: Vec<String> = names.collect();
        (of(&names, "filter-curve.svg"), of(&names, "filter-curve.png"), of(&names, "-map.png"))
    };
    let (svg, png, maps) = plots(&["--plots", "svg"]);
    assert_eq!((svg, png), (1, 0));
    assert!(!folder.path("results/tiny/smoke/plots/filter-curve.png").exists());
    // Another wish is another report of the same numbers.
    assert_eq!(plots(&[]), (1, 1, maps));
    folder.dubench(&["run", "tiny.yaml", "--plots", "gif"]).fails(2, &["--plots", "svg"]);
}

#[test]
fn batch_threads_and_resume_change_no_number() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    for (name, more) in
        [("b1", ["--batch", "1"]), ("b7", ["--batch", "7"]), ("t2", ["--threads", "2"])]
    {
        let digest = folder.digest(&["--work-dir", name, "--results-dir", name, more[0], more[1]]);
        assert_eq!(digest, whole, "{more:?}");
    }
    let limited = ["run", "tiny.yaml", "--scale", "smoke", "--limit", "1", "--work-dir", "part"];
    let stopped = folder.dubench(&limited);
    assert_eq!(stopped.code, 4, "{}", stopped.stderr);
    assert_eq!(folder.digest(&["--work-dir", "part", "--results-dir", "r2"]), whole);
}

#[test]
fn shards_in_any_order_give_the_numbers_of_one_process() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    for shard in ["2/3", "0/3", "1/3"] {
        let ended = folder.dubench(&[
            "run",
            "tiny.yaml",
            "--scale",
            "smoke",
            "--work-dir",
            "shards",
            "--shard",
            shard,
        ]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(folder.digest(&["--work-dir", "shards", "--results-dir", "r2"]), whole);
}

#[test]
fn thresholds_of_a_set_come_first_and_shards_of_them_give_the_numbers_of_one_process() {
    let folder = Folder::new();
    folder.text("sets.yaml", include_str!("../../src/experiment/tiny_thresholds.yaml"));
    let call = |verb: &str, more: &[&str]| {
        folder
            .dubench(&[&[verb, "sets.yaml", "--scale", "smoke", "--format", "json"], more].concat())
    };
    folder
        .dubench(&["generate", "sets.yaml", "--scale", "smoke", "--work-dir", "a"])
        .fails(4, &["run `dubench thresholds`"]);
    let limited = call("thresholds", &["--work-dir", "a", "--limit", "3"]);
    assert_eq!(limited.code, 4, "{}", limited.stderr);
    let rest = call("thresholds", &["--work-dir", "a"]).json();
    assert_eq!((rest["n_blocks"].as_u64(), rest["n_found"].as_u64()), (Some(8), Some(3)));
    let digest = |work: &str| {
        let results = format!("{work}-results");
        let answer = call("run", &["--work-dir", work, "--results-dir", &results]).json();
        answer["metrics_sha256"].as_str().map(str::to_owned)
    };
    let whole = digest("a");
    for shard in ["1/2", "0/2"] {
        assert_eq!(call("run", &["--work-dir", "b", "--shard", shard]).code, 0);
    }
    assert_eq!(digest("b"), whole);
    let verified = call("verify", &["--work-dir", "b", "--results-dir", "b-results"]).json();
    assert_eq!(verified["recomputed_sets"].as_array().map(Vec::len), Some(1));
}

#[test]
fn status_says_what_is_missing() {
    let folder = Folder::new();
    let status = folder.dubench(&["status", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(status.code, 4, "{}", status.stderr);
    assert!(status.stdout.contains("0 of 3 blocks"), "{}", status.stdout);
    let evaluate = || folder.dubench(&["evaluate", "tiny.yaml", "--scale", "smoke"]);
    evaluate().fails(4, &["work: there is no such folder"]);
    std::fs::create_dir(folder.path("work")).unwrap();
    evaluate().fails(4, &["3 of 3", "missing"]);
}

#[test]
fn a_flipped_bit_in_a_part_is_an_integrity_error_and_verify_finds_it() {
    let folder = Folder::new();
    folder.digest(&[]);
    let verified = folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let part = find(&folder.path("work/parts/generate"), ".parquet");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let name = part.strip_prefix(folder.path("")).unwrap().to_string_lossy().into_owned();
    folder.bytes(&name, &bytes);
    folder.dubench(&["verify", "tiny.yaml", "--scale", "smoke"]).fails(5, &["parquet"]);
}

#[test]
fn wrong_experiments_are_refused_before_any_work_with_the_key_path() {
    let folder = Folder::new();
    for (from, to, words) in [
        ("seed: 7", "sead: 7", vec!["sead"]),
        ("n_steps: 50", "n_steps: 0", vec!["n_steps"]),
        ("{start: 40, len: 2}", "{start: 49, len: 2}", vec!["window", "49"]),
        ("{kind: sample_var}", "{kind: sample_var, n_draws: 1}", vec!["n_draws"]),
        ("n_keep: 40", "n_keep: 48", vec!["n_keep", "48"]),
    ] {
        assert!(TINY.contains(from), "{from}");
        folder.text("wrong.yaml", &TINY.replace(from, to));
        folder.dubench(&["run", "wrong.yaml", "--scale", "smoke"]).fails(2, &words);
        assert!(!folder.path("work").exists(), "work was begun for {to}");
    }
}

#[test]
fn missing_and_foreign_inputs_are_named() {
    let folder = Folder::new();
    folder.dubench(&["run", "none.yaml"]).fails(2, &["none.yaml"]);
    folder.dubench(&["run", "tiny.yaml", "--scale", "huge"]).fails(2, &["huge", "smoke"]);
    folder.dubench(&["run", "tiny.yaml", "--shard", "3/3"]).fails(2, &["3/3"]);
    folder.dubench(&["run", "tiny.yaml", "--device", "tpu"]).fails(2, &["tpu", "cuda"]);
    folder.statistics("reference.npz", 5);
    folder.dubench(&["run", "tiny.yaml", "--scale", "smoke"]).fails(3, &["5", "12"]);
    folder.bytes("reference.npz", b"not a zip");
    folder
        .dubench(&["run", "tiny.yaml", "--scale", "smoke"])
        .fails(3, &["reference.npz", "no .npz"]);
}

#[test]
fn a_wrong_option_is_a_usage_error_and_help_is_not() {
    let folder = Folder::new();
    assert_eq!(folder.dubench(&["run", "tiny.yaml", "--scal", "smoke"]).code, 2);
    assert_eq!(folder.dubench(&["--help"]).code, 0);
    assert_eq!(folder.dubench(&[]).code, 2);
}

#[test]
fn the_gate_passes_a_result_against_itself_and_fails_another() {
    let folder = Folder::new();
    folder.digest(&["--results-dir", "a"]);
    let same = folder.dubench(&["check", "a/tiny/smoke", "a/tiny/smoke"]);
    assert_eq!(same.code, 0, "{}", same.stderr);
    folder.text("tiny.yaml", &TINY.replace("seed: 7", "seed: 8"));
    folder.digest(&["--results-dir", "b"]);
    let moved = folder.dubench(&[
        "check",
        "a/tiny/smoke",
        "b/tiny/smoke",
        "--sigmas",
        "0",
        "--relative",
        "1e-9",
    ]);
    assert_eq!(moved.code, 6, "{}", moved.stdout);
    assert!(moved.stdout.contains("moved"), "{}", moved.stdout);
    // One metric alone, and a band of its own in its own units.
    let call = ["check", "a/tiny/smoke", "b/tiny/smoke", "--sigmas", "0", "--metric", "fid"];
    let moved = folder.dubench(&call);
    assert_eq!(moved.code, 6, "{}", moved.stdout);
    assert!(!moved.stdout.contains("/ delta"), "{}", moved.stdout);
    let wide = folder.dubench(&[&call[..], &["--band", "fid=100"]].concat());
    assert_eq!(wide.code, 0, "{}", wide.stdout);
    folder
        .dubench(&["check", "a", "a/tiny/smoke"])
        .fails(2, &["BASELINE", "run the experiment first"]);
    folder
        .dubench(&["compare", "a/tiny/smoke", "gone"])
        .fails(2, &["B \"gone\"", "results/EXPERIMENT/SCALE"]);
    let band = |bands: &[&str]| {
        folder.dubench(&[&["check", "a/tiny/smoke", "a/tiny/smoke"], bands].concat())
    };
    band(&["--band", "fide=1"]).fails(2, &["--band", "fide", "fid_inf"]);
    band(&["--band", "fid=1", "--band", "fid=2"]).fails(2, &["one band a metric"]);
    let same = ["check", "a/tiny/smoke", "a/tiny/smoke", "--metric", "fide"];
    folder.dubench(&same).fails(2, &["--metric", "fide", "one that the baseline has", "fid_inf"]);
    assert_eq!(folder.dubench(&[&call[..], &["--band", "fid"]].concat()).code, 2);
    let compared = folder.dubench(&["compare", "a/tiny/smoke", "b/tiny/smoke"]);
    assert_eq!(compared.code, 0, "{}", compared.stderr);
}
