//! `dubench collect`, and experiments that extend another.

use crate::support::Folder;

/// Two runs of one experiment, the second one from an extending file with another seed.
fn two_results() -> Folder {
    let folder = Folder::new();
    folder.text("other.yaml", "extends: tiny.yaml\nname: other\nseed: 8\n");
    for file in ["tiny.yaml", "other.yaml"] {
        let ended = folder.dubench(&["run", file, "--scale", "smoke"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    folder
}

#[test]
fn numbers_of_two_results_stand_in_one_table() {
    let folder = two_results();
    let wanted = ["collect", "--where", "metric=fid", "--where", "method=full"];
    let found = folder.dubench(&[&wanted[..], &["--format", "json"]].concat());
    assert_eq!(found.code, 0, "{}", found.stderr);
    let rows = found.json();
    let rows = rows.as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["experiment"].as_str().unwrap()).collect();
    assert_eq!(names, ["other", "tiny"]);
    // Another seed, other images, another FID.
    assert_ne!(rows[0]["value"], rows[1]["value"]);
    assert!(rows.iter().all(|row| row["n"] == rows[0]["n"]));
    let table = folder.dubench(&wanted).stdout;
    assert!(table.contains("metric `fid`") && table.contains("results/other/smoke"), "{table}");
}

#[test]
fn what_cannot_be_collected_is_named() {
    let folder = Folder::new();
    folder.dubench(&["collect", "nowhere"]).fails(2, &["nowhere", "folders with results"]);
    folder.text("results", "");
    folder.dubench(&["collect"]).fails(2, &["results"]);
    folder.dubench(&["collect", "--where", "metric"]).fails(2, &["COLUMN=TEXT"]);
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).unwrap();
    folder.dubench(&["collect", "empty"]).fails(2, &["empty", "metrics.parquet in it"]);
    let full = two_results();
    full.dubench(&["collect", "--where", "metrics=fid"]).fails(2, &["metrics", "argument"]);
    full.bytes("results/tiny/smoke/metrics.parquet", b"PAR1 and nothing else");
    full.dubench(&["collect"]).fails(5, &["tiny/smoke/metrics.parquet"]);
}
