//! Every metric once at its defaults, on sets of the size that people have: thousands of rows, 2048 columns, no multiple of
//! any block. Values are those of torch-fidelity, prdc and NumPy (`scripts/golden/sizes.py`).

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use ndarray::{Array2, Array4, s};
use ndarray_npy::{NpzReader, WriteNpyExt};

use crate::support::{Folder, TINY};

/// Rows that the golden script makes by the same formula.
fn weyl(n: usize, d: usize, shift: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
    })
}

fn right(key: &str) -> f64 {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sizes.json");
    let right: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    right.pointer(&format!("/{key}")).and_then(serde_json::Value::as_f64).unwrap()
}

/// The pair of sets, in a folder.
fn sets() -> Folder {
    let folder = Folder::new();
    folder.npy("real.npy", &weyl(1237, 2048, 0.0));
    folder.npy("fake.npy", &weyl(1100, 2048, 0.01));
    folder
}

#[track_caller]
fn holds(folder: &Folder, metric: &str, more: &[&str], values: &[(&str, &str)]) {
    let call = [&["metric", metric], more, &["--format", "json"]].concat();
    let answer = folder.dubench(&call).json();
    for (key, name) in values {
        let (ours, theirs) = (answer[key].as_f64().unwrap(), right(name));
        assert!(
            (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1e-3),
            "{key}: {ours}, not {theirs}"
        );
    }
}

const PAIR: [&str; 4] = ["--real", "real.npy", "--fake", "fake.npy"];

#[test]
fn fid_and_its_differences() {
    let folder = sets();
    holds(&folder, "fid", &PAIR, &[("fid", "fid")]);
    folder.npy("other.npy", &weyl(1100, 2048, 0.02));
    let compare = ["--real", "real.npy", "--a", "fake.npy", "--b", "other.npy"];
    holds(&folder, "compare", &compare, &[("fid_a", "fid"), ("fid_b", "fid_other")]);
    holds(&folder, "compare", &[&compare[..], &["--paired"]].concat(), &[("fid_b", "fid_other")]);
}

#[test]
fn fid_of_more_rows_than_columns() {
    let folder = Folder::new();
    // A copy, shifted: the squared length of the shift, whatever the covariance.
    #[expect(clippy::cast_possible_truncation, reason = "features in single precision")]
    let rows = weyl(2300, 2048, 0.0).mapv(|v| v as f32);
    folder.npy("real.npy", &rows);
    folder.npy("fake.npy", &(rows + 0.5));
    let answer = folder
        .dubench(&["metric", "fid", PAIR[0], PAIR[1], PAIR[2], PAIR[3], "--format", "json"])
        .json();
    assert!((answer["fid"].as_f64().unwrap() - 512.0).abs() < 1e-3, "{answer}");
}

#[test]
fn kernel_distances() {
    let folder = sets();
    holds(&folder, "kid", &PAIR, &[("kid", "kid"), ("sd", "kid_sd")]);
    holds(&folder, "mmd", &PAIR, &[("mmd_squared", "mmd_squared")]);
    folder.npy("few.npy", &weyl(400, 8, 0.0));
    let few = ["metric", "kid", "--real", "few.npy", "--fake", "few.npy"];
    folder.dubench(&few).fails(3, &["few.npy has 400 images", "--subset-size 400"]);
}

#[test]
fn precision_recall_density_coverage() {
    let folder = sets();
    holds(&folder, "pr", &PAIR, &[("precision", "adm/precision"), ("recall", "adm/recall")]);
    let keys = ["precision", "recall", "density", "coverage"];
    let names = keys.map(|key| (key, format!("prdc/{key}")));
    let values: Vec<_> = names.iter().map(|(key, name)| (*key, name.as_str())).collect();
    holds(&folder, "pr", &[&PAIR[..], &["--convention", "prdc", "--k", "5"]].concat(), &values);
}

#[test]
fn realism_and_rarity() {
    let folder = sets();
    holds(&folder, "realism", &PAIR, &[("median", "spheres/realism")]);
    let rarity = [("median", "spheres/rarity"), ("n_outside", "spheres/outside")];
    holds(&folder, "rarity", &PAIR, &rarity);
}

#[test]
fn filtering() {
    let folder = sets();
    folder.npy("scores.npy", &weyl(1100, 1, 0.0));
    let filter =
        ["--real", "real.npy", "--features", "fake.npy", "--scores", "scores.npy", "--keep", "300"];
    let values = [("fid_keep_lowest", "fid_keep_lowest"), ("fid_keep_highest", "fid_keep_highest")];
    holds(&folder, "filter", &filter, &values);
}

#[test]
fn inception_score_and_sparsification() {
    let folder = Folder::new();
    folder.npy("logits.npy", &(weyl(2500, 1008, 0.0) * 4.0));
    holds(&folder, "is", &["--logits", "logits.npy"], &[("is", "is"), ("sd", "is_sd")]);
    let pair = weyl(1500, 3072, 0.0);
    folder.npy("error.npy", &(pair.slice(s![..700, ..]).to_owned() - 0.5));
    folder.npy("map.npy", &pair.slice(s![800.., ..]).to_owned());
    let sparsification = ["--error", "error.npy", "--uncertainty", "map.npy", "--layout", "rows"];
    holds(&folder, "sparsification", &sparsification, &[("ause", "ause"), ("aurg", "aurg")]);
}

#[test]
fn every_metric_is_held_here() {
    let help = Folder::new().dubench(&["metric", "--help"]).stdout;
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names: Vec<&str> = commands
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 7, "{help}");
    for name in names {
        let held = format!("holds(&folder, \"{name}\", ");
        assert!(include_str!("sizes.rs").contains(&held), "metric {name} has no value here");
    }
}

/// The commands of docs/your-numbers.md as they stand there, but for the statistics of 50,000 images.
#[test]
fn every_documented_command_runs() {
    const PAGE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/your-numbers.md"));
    let folder = Folder::new();
    let (n, d) = (1800, 2048);
    for (name, shift) in [("features", 0.01), ("a", 0.02), ("b", 0.03), ("f", 0.01), ("r", 0.0)] {
        folder.npy(&format!("{name}.npy"), &weyl(n, d, shift));
    }
    folder.npy("s.npy", &weyl(n, 1, 0.0));
    folder.npy("l.npy", &(weyl(n, 1008, 0.0) * 4.0));
    for (name, shift) in [("e", -0.5), ("u", 0.0)] {
        let maps = (weyl(300, 3 * 32 * 32, shift)).into_shape_with_order((300, 3, 32, 32)).unwrap();
        let mut bytes = Vec::new();
        maps.write_npy(&mut bytes).unwrap();
        folder.bytes(&format!("{name}.npy"), &bytes);
    }
    folder.statistics("ref.npz", d);
    let commands: Vec<&str> =
        PAGE.lines().filter(|line| line.starts_with("dubench metric ")).collect();
    assert!(commands.len() > 7, "{commands:?}");
    for line in commands {
        let words = line.split('#').next().unwrap_or(line).split_whitespace().skip(1);
        let ended = folder.dubench(&words.collect::<Vec<_>>());
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        assert!(!ended.stdout.is_empty() && !ended.stdout.contains("NaN"), "{line}");
    }
}

/// Statistics of 2048 features as guided-diffusion publishes them: they come back whole.
#[test]
fn published_statistics_are_imported() {
    let folder = Folder::new();
    let u = weyl(1, 2048, -0.5);
    let sigma = Array2::<f64>::eye(2048) * 0.004 + u.t().dot(&u) * 0.01;
    folder.moments("theirs.npz", &sigma, 50_000);
    let import = ["import-stats", "theirs.npz", "--from", "adm", "--dataset", "theirs"];
    let network =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/extractors/fid-inception.yaml");
    let more = ["--size", "64", "--extractor", network, "-o", "ours.npz", "--format", "json"];
    let answer = folder.dubench(&[&import[..], &more].concat()).json();
    assert_eq!(answer["n"].as_u64(), Some(50_000));
    let pair = ["metric", "fid", "--real", "ours.npz", "--fake", "theirs.npz", "--format", "json"];
    let fid = folder.dubench(&pair).json();
    assert!(fid["fid"].as_f64().unwrap().abs() < 1e-9, "{fid}");
}

/// Thousands of states of an image of 32 x 32 are written, are standard normal, and are taken by a plan.
#[test]
fn starts_are_written_and_taken() {
    let folder = Folder::new();
    let text = TINY.replace("shape: [3, 8, 8]", "shape: [3, 32, 32]");
    assert_ne!(text, TINY);
    folder.text("tiny.yaml", &text);
    let starts = ["starts", "tiny.yaml", "--scale", "smoke", "-o", "x.npz", "-n", "5000"];
    let wrote = folder.dubench(&starts);
    assert_eq!(wrote.code, 0, "{}", wrote.stderr);
    let file = std::fs::File::open(folder.path("x.npz")).unwrap();
    let states: Array4<f32> = NpzReader::new(file).unwrap().by_name("x_T").unwrap();
    assert_eq!(states.dim(), (5000, 3, 32, 32));
    let n = states.len() as f64;
    let mean = states.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let square = states.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 / n.sqrt(), "mean {mean}");
    assert!((square - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "mean square {square}");
    folder.text("tiny.yaml", &format!("{text}starts: {{path: x.npz}}\n"));
    let plan = folder.dubench(&["plan", "tiny.yaml", "--scale", "smoke"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
}
