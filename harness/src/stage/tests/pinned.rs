//! The digits of today, pinned: whatever a change of structure moves, these stay.
//!
//! These values are our own output. They prove nothing: closed forms and the values of other people's tools, in the tests
//! beside the code, do that. What they are for is a change that should move no digit: if it moves one, a line here fails and
//! says which. Everything runs through the stages, from the text of an experiment to the parts on disk.
//!
//! # What may move a digit?
//! A change that means to. It raises the version of what it moves (`plan/version.rs`), so that parts of before and after are
//! never mixed, and draws the tables again:
//!
//! ```text
//! cargo test -p dubench --lib pinned::draw -- --ignored --nocapture
//! ```
//!
//! Every table says in its first line which versions it was drawn under, and [`SEALS`] holds its hash under these versions.
//! A line that moves under versions that stand is refused by `draw`. New lines (another sampler, another rule) are added to
//! a table by `draw` under the same versions; then the seal of the table is replaced, and the diff shows additions alone. Other
//! weights of the shipped network are another version of its table alone.
//!
//! # Are these digests the same on every machine?
//! Draws, samplers, estimators and rules on closed-form models use `+ - * /` and square roots of IEEE 754, sums in a fixed
//! order, and `libm` compiled from source; nothing of that depends on the processor, so bits are compared. Evaluation sums by
//! vector instructions of the processor, so its numbers are compared within 1e-9, relative: a sum of 10^4 terms in another
//! order moves by 10^4 times 2^-53, about 1e-12, and the square root of a covariance by some hundred times as much. The
//! shipped network has its own tolerance, see [`network`].

mod adapter;
mod encoding;
mod experiments;
mod network;
mod numbers;
mod tables;

use std::collections::BTreeMap;

use encoding::{Table, sha256};

use crate::plan::version::{
    EVALUATE_VERSION, FEATURES_VERSION, FILTERING_VERSION, GENERATE_VERSION, THRESHOLDS_VERSION,
};

/// Hash of every table under the versions that it was drawn under. Entries are added, not edited, when digits move.
const SEALS: &[(&str, &str, &str)] = &[
    ("generate", "generate 1", "4ae228cfd3d0fdfcb4e1477b9f1e3381530ca8232039a969556e8bee6e753e50"),
    (
        "thresholds",
        "generate 1, thresholds 1",
        "86e4ab8e6f47f95eb3b6b0f97b3502663779b7927f234dfdc9423e728c81ad88",
    ),
    (
        "features",
        "generate 1, features 1",
        "345b0384b35f59798979f036bcd959f087accb6570502c12dc316a9b955099d8",
    ),
    (
        "evaluate",
        "generate 1, features 1, evaluate 1",
        "675e977ea4a66382b331fea1ca6a3f3a87f0b9cd3cff75bc944e2ffdf3e0b4c8",
    ),
    (
        "evaluate",
        "generate 1, features 1, evaluate 2",
        "7fa23cdb37500cfa88026a8c3c54df4392e014811b8cb309ea2cceaa5e63126a",
    ),
    (
        "evaluate",
        "generate 1, features 1, evaluate 2, filtering 1",
        "2cfbb42d7c9af5d82f5fe10825f8095a80ba9defc7662dd89d2ac1c016e8214b",
    ),
    ("network", "generate 1", "041e85caae6e2a26361a722daa13208a8979fef072b2d573f3f2a32058a74624"),
    (
        "network",
        "generate 1, weights 5feb3b88916c",
        "8a017dccc7c81e2529be9dedec3ec56a1caed6df8c6bed1511c61202505da528",
    ),
];

/// A table, and the versions of the code that its lines depend on.
struct Pinned {
    name: &'static str,
    versions: String,
    /// What stands in the file.
    text: &'static str,
    /// Draws it anew.
    draw: fn() -> Table,
    /// Whether two texts of a line are the same.
    same: fn(&str, &str) -> bool,
}

fn pinned() -> [Pinned; 4] {
    let (generate, thresholds) = (GENERATE_VERSION, THRESHOLDS_VERSION);
    let (features, evaluate) = (FEATURES_VERSION, EVALUATE_VERSION);
    let filtering = FILTERING_VERSION;
    [
        Pinned {
            name: "generate",
            versions: format!("generate {generate}"),
            text: include_str!("pinned/generate.txt"),
            draw: tables::generate,
            same: |a, b| a == b,
        },
        Pinned {
            name: "thresholds",
            versions: format!("generate {generate}, thresholds {thresholds}"),
            text: include_str!("pinned/thresholds.txt"),
            draw: tables::thresholds,
            same: |a, b| a == b,
        },
        Pinned {
            name: "features",
            versions: format!("generate {generate}, features {features}"),
            text: include_str!("pinned/features.txt"),
            draw: tables::features,
            same: |a, b| a == b,
        },
        Pinned {
            name: "evaluate",
            versions: format!(
                "generate {generate}, features {features}, evaluate {evaluate}, filtering {filtering}"
            ),
            text: include_str!("pinned/evaluate.txt"),
            draw: tables::evaluate,
            same: |a, b| {
                let [a, b] = [a, b].map(|text| text.parse::<f64>().unwrap());
                (a - b).abs() <= 1e-9 * b.abs()
            },
        },
    ]
}

/// Draws a table and holds it against its file.
fn check(name: &str) {
    let pinned = pinned().into_iter().find(|pinned| pinned.name == name).unwrap();
    let (_, file) = Table::parse(pinned.text);
    let moved = (pinned.draw)().moved(&file, pinned.same);
    assert!(
        moved.is_empty(),
        "{} of {} lines of {name} moved: {moved:#?}\nIf that is meant, raise a version in plan/version.rs and draw the tables again (see the text of the module).",
        moved.len(),
        file.lines().len()
    );
}

#[test]
fn starts_images_scores_and_maps_stay() {
    check("generate");
}

#[test]
fn thresholds_and_what_they_guide_stay() {
    check("thresholds");
}

#[test]
fn features_stay() {
    check("features");
}

#[test]
fn numbers_stay() {
    check("evaluate");
}

/// Whoever draws a table again under versions that stand fails here, and so does whoever raises a version and draws nothing.
#[test]
fn every_table_is_sealed_under_the_versions_of_the_code() {
    for pinned in pinned() {
        assert_sealed(pinned.name, pinned.text.as_bytes(), &pinned.versions);
        assert_eq!(Table::parse(pinned.text).0, pinned.versions, "first line of {}", pinned.name);
    }
    assert_sealed("network", network::GOLDEN, &network::versions());
    let mut known: Vec<_> = SEALS.iter().map(|(table, versions, _)| (table, versions)).collect();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), SEALS.len(), "two seals for one table under the same versions");
}

fn assert_sealed(name: &str, bytes: &[u8], versions: &str) {
    let entry = SEALS.iter().find(|(table, under, _)| *table == name && *under == versions);
    let (_, _, seal) = entry.unwrap_or_else(|| {
        panic!(
            "{name} was never drawn under {versions}: draw it again (see the text of the module)"
        )
    });
    assert_eq!(
        sha256(bytes),
        *seal,
        "{name} is not the table that was drawn under {versions}: whoever moves a digit raises a version"
    );
}

/// No two variants have all their digests in common: else one of them would not be seen.
#[test]
fn every_variant_has_digits_of_its_own() {
    let (_, table) = Table::parse(include_str!("pinned/generate.txt"));
    let mut variants: BTreeMap<&str, String> = BTreeMap::new();
    for (name, digest) in table.lines() {
        let (variant, _) = name.split_once(':').unwrap_or((name, ""));
        variants.entry(variant).or_default().push_str(digest);
    }
    assert!(variants.len() > 50);
    let mut by_digits: BTreeMap<&str, &str> = BTreeMap::new();
    for (variant, digits) in &variants {
        let twin = by_digits.insert(digits, variant);
        assert_eq!(twin, None, "the same digits as {variant}");
    }
}

/// Not a test: writes the tables into the source folder and prints their seals.
#[test]
#[ignore = "draws the tables again; run by hand after a version was raised"]
fn draw() {
    for pinned in pinned() {
        let table = (pinned.draw)();
        let (versions, old) = Table::parse(pinned.text);
        let moved = old.moved(&table, pinned.same);
        let new = |name: &String| old.lines().iter().all(|line| line.0 != *name);
        assert!(
            versions != pinned.versions || moved.iter().all(new),
            "{} moved under {versions}: raise a version in plan/version.rs first: {moved:#?}",
            pinned.name
        );
        write(&format!("{}.txt", pinned.name), table.text(&pinned.versions).as_bytes());
        let text = table.text(&pinned.versions);
        eprintln!("({:?}, {:?}, {:?}),", pinned.name, pinned.versions, sha256(text.as_bytes()));
    }
    let (versions, golden) = (network::versions(), network::draw());
    let drawn = SEALS.iter().any(|(name, under, _)| (*name, *under) == ("network", &versions));
    if drawn {
        return network::assert_close(&network::read(&golden), &network::read(network::GOLDEN));
    }
    write("network.npz", &golden);
    eprintln!("(\"network\", {versions:?}, {:?}),", sha256(&golden));
}

fn write(name: &str, bytes: &[u8]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stage/tests/pinned");
    crate::store::publish(&std::path::Path::new(folder).join(name), bytes).unwrap();
}
